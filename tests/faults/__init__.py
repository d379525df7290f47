"""The truth table: break a generated service on real servers, and check what its probes return.

    python -m faults [--only TEXT | --quick] [--jobs N]        (or `make faults`)

Each fault is an entry in a `break_*.py`. `harness.py` injects it into a running service and polls
the three probes. It then repairs the fault and compares the responses with what is expected.
"""
