"""The benchmark: what a generated service costs beside the least that could do the same.

    make bench [ARGS="--quick | --only TEXT | --fault-minutes N"]

`measure.py` runs in the service's environment and plays the scenarios. `cpu_per_request.py`
compares requests by CPU and by rate, and layers with `layers.py`. `probe_flood.py` and
`overload.py` send more than the service can serve. `startup_memory.py` measures start-up and
memory. `load.py` is the client of all of them. No test asserts a measured value: values belong to
the machine they were taken on.
"""
