"""A rolling deployment without a cluster: real processes, and the parts of Kubernetes that matter.

    python -m rolling POD.json SCENARIO
    python -m rolling.outage POD.json OPTIONS
    python -m rolling.proxied POD.json OPTIONS

`pod.py` acts as a kubelet: it starts a process, sends its probes, and restarts and stops it as the
pod's manifest says. `deployment.py` keeps replicas, rolls them, and routes connections to ready
ones. `load.py` has the clients, which do not retry. `__main__.py` runs a scenario on real servers
and prints its results, and `test_rolling.py` checks them.

`outage.py` plays an outage of the database under load. `compare.py` (`make outages`) plays it with
each impact, and `test_outage.py` checks shorter outages.

`proxied.py` rolls the pods behind real proxies. `proxies.py` configures those as the service's
page "Run behind a proxy" shows, and `proxy_clients.py` has their clients. `compare_proxies.py`
(`make proxies`) counts what they lose, and `test_proxies.py` checks fewer rolls.

In tests all waiting times of Kubernetes and of the service are divided by five: see `clock.py`.
"""
