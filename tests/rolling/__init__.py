"""A deployment without a cluster: real processes of a generated service, and Kubernetes in small.

    python -m rolling SCENARIO POD.json

`pod.py` is a kubelet: it starts a process, asks its probes, restarts it and ends it, as the pod's
manifest says. `deployment.py` keeps replicas and rolls them, and routes connections to those that
are ready. `load.py` is the clients, which ask once. `__main__.py` plays a scenario on real servers
and prints what was seen; `test_rolling.py` says what must have been seen.

All that Kubernetes and the service wait for takes a fifth of its time, see `clock.py`.
"""
