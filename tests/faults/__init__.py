"""The truth table: a generated service on real servers, broken in every way that we know.

    python -m faults [--only TEXT | --quick] [--jobs N]        (or `make faults`)

Each fault is a few lines of data and injection in a `break_*.py`; `harness.py` injects it into a
running service, polls the three probes as a kubelet would, heals, and holds the timeline against
what must be answered and by when.
"""
