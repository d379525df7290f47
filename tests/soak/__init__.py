"""The soak: a service under mixed load for half an hour, with a fault every 20 seconds.

- `__main__`: generate the service, start the worker.
- `worker`: start the servers, measure the capacity, send load, inject, sample.
- `schedule`: the faults. `traffic`: the load. `samples`: what is measured each second.
- `judge`: the checks at the end. `chart`: the picture.
"""
