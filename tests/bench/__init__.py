"""The benchmark: the cost of a generated service, compared with minimal applications.

    make bench [ARGS="--quick | --only TEXT | --fault-minutes N"]

`measure.py` runs with the service's packages and runs the scenarios. `cpu_per_request.py` compares
requests by CPU time and by rate, and each middleware with `layers.py`. `probe_flood.py` and
`overload.py` send more than the service can serve. `startup_memory.py` measures startup and memory.
All of them use the client in `load.py`. No test asserts a measured value, because values depend on
the machine.
"""
