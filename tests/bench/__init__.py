"""The benchmark: what a generated service costs beside the least that could do the same.

    make bench [ARGS="--quick | --only TEXT | --fault-minutes N"]

`measure.py` runs in the service's environment and plays the scenarios: `costs.py` compares
requests by CPU and by number, and layers by `layers.py`; `storm.py` and `overload.py` give the
service more than it wants, `lifetime.py` looks at its start and its memory. `load.py` is the client
of them all. No test asserts a figure: they belong to the machine that they were taken on.
"""
