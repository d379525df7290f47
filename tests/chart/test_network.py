"""The NetworkPolicy: allowed and denied connections, evaluated with the rules of Kubernetes."""

from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

import pytest

from .cases import options
from .conftest import Charts
from .helm import Chart, Object, Values

Labels = dict[str, str]


def matches(selector: Object, labels: Labels) -> bool:
    """Return whether a selector matches labels; an empty selector matches all."""
    assert selector.keys() <= {"matchLabels", "matchExpressions"}
    wanted: bool = selector.get("matchLabels", {}).items() <= labels.items()
    for each in selector.get("matchExpressions", []):
        assert each["operator"] == "In"
        wanted = wanted and labels.get(each["key"]) in each["values"]
    return wanted


@dataclass(frozen=True)
class Peer:
    """A pod in a namespace, with labels; or an address outside the cluster."""

    namespace: str = ""
    labels: Labels = field(default_factory=dict)
    address: str = ""

    def matches_rule(self, rule: Object) -> bool:
        """Return whether a rule's peer matches this one."""
        if "ipBlock" in rule:
            return bool(self.address) and self.is_within(**rule["ipBlock"])
        if self.address:
            return False
        where = {"kubernetes.io/metadata.name": self.namespace}
        selector = rule.get("namespaceSelector")
        in_namespace = self.namespace == OWN if selector is None else matches(selector, where)
        return in_namespace and matches(rule.get("podSelector", {}), self.labels)

    def is_within(self, cidr: str, **excepted: list[str]) -> bool:
        """Return whether the address is in a range and not in an excluded one."""
        address = ip_address(self.address)
        excluded = excepted.get("except", [])
        return address in ip_network(cidr) and not any(
            address in ip_network(each) for each in excluded
        )


OWN = "shop"
RELEASE = {"app.kubernetes.io/name": "orders", "app.kubernetes.io/instance": "orders"}


def policy(chart: Chart, values: Values | None = None, name: str = "orders") -> Object:
    (found,) = [
        each
        for each in chart.objects(values)
        if each["kind"] == "NetworkPolicy" and each["metadata"]["name"] == name
    ]
    spec: Object = found["spec"]
    return spec


def allows(
    spec: Object, direction: str, port: str | int, peer: Peer, protocol: str = "TCP"
) -> bool:
    """Return whether any rule allows traffic with this port and peer."""
    side = {"ingress": "from", "egress": "to"}[direction]
    return any(
        any(each["port"] == port and each["protocol"] == protocol for each in rule["ports"])
        and (side not in rule or any(peer.matches_rule(each) for each in rule[side]))
        for rule in spec.get(direction, [])
    )


WEB = Peer("web", {"app": "shop"})
PROMETHEUS = Peer("monitoring", {"app": "prometheus"})
DNS = Peer("kube-system", {"k8s-app": "kube-dns"})
OTHER_DNS = Peer("web", {"k8s-app": "kube-dns"})
INTERNET = Peer(address="203.0.113.7")
TEST = Peer(OWN, {**RELEASE, "app.kubernetes.io/component": "test"})
OTHER_TEST = Peer("web", TEST.labels)


def test_policy_denies_all_other_traffic(chart: Chart) -> None:
    assert set(policy(chart)["policyTypes"]) == {"Ingress", "Egress"}


@pytest.mark.parametrize(
    ("component", "selected"),
    [("service", True), ("migration", False), ("test", False), ("", False)],
)
def test_policy_selects_pods_of_release(chart: Chart, component: str, *, selected: bool) -> None:
    labels = {**RELEASE, "app.kubernetes.io/component": component}
    assert matches(policy(chart)["podSelector"], labels) is selected
    assert not matches(policy(chart)["podSelector"], {**labels, "app.kubernetes.io/instance": "x"})


def test_migration_has_policy_of_its_own_with_the_same_connections(charts: Charts) -> None:
    moved: Values = {"networkPolicy": {"dependencies": {"postgres": {"ports": [6432]}}}}
    spec = policy(charts("defaults"), moved, "orders-migrate")
    assert matches(spec["podSelector"], {**RELEASE, "app.kubernetes.io/component": "migration"})
    assert not matches(spec["podSelector"], {**RELEASE, "app.kubernetes.io/component": "service"})
    assert spec["egress"] == policy(charts("defaults"), moved)["egress"]
    assert allows(spec, "egress", 6432, INTERNET)
    assert not allows(spec, "egress", 5432, INTERNET)
    assert not allows(spec, "ingress", "http", WEB)


def test_clients_reach_api_and_only_monitoring_reaches_management_port(chart: Chart) -> None:
    spec = policy(chart)
    for port, peer, allowed in (
        ("http", WEB, True),
        ("http", TEST, True),
        ("http", INTERNET, False),
        ("management", PROMETHEUS, True),
        ("management", WEB, False),
        ("management", TEST, False),
        ("management", INTERNET, False),
        ("http-alt", WEB, False),
    ):
        assert allows(spec, "ingress", port, peer) is allowed, (port, peer.namespace)


PORTS = {
    "defaults": {5432, 6379, 4318},
    "everything": {5432, 6379, 26379, 9092, 50051, 4318},
    "alone": set(),
}


@pytest.mark.parametrize("service", PORTS)
def test_pods_reach_dns_and_dependencies_only(charts: Charts, service: str) -> None:
    spec = policy(charts(service))
    assert {port for port in range(1, 65536) if allows(spec, "egress", port, INTERNET)} == PORTS[
        service
    ]
    for protocol in ("TCP", "UDP"):
        assert allows(spec, "egress", 53, DNS, protocol)
        assert not allows(spec, "egress", 53, OTHER_DNS, protocol)
        assert not allows(spec, "egress", 53, INTERNET, protocol)


def test_configured_peers_replace_defaults(chart: Chart) -> None:
    spec = policy(chart, options(chart)["network"])
    team, stranger = Peer("web"), Peer("other")
    assert not allows(spec, "ingress", "http", stranger)
    for address, allowed in (("10.0.0.1", True), ("10.9.0.1", False), ("192.0.2.1", False)):
        assert allows(spec, "ingress", "http", Peer(address=address)) is allowed
        assert allows(spec, "egress", 8443, Peer(address=address)) is allowed
    assert allows(spec, "ingress", "http", Peer(address="10.1.2.3")), "a node, for its probes"
    assert not allows(spec, "egress", 8443, stranger)
    assert not allows(spec, "egress", 8443, team), "its namespace lacks the label"


def test_mesh_dns_ports_and_protocols_are_configurable(chart: Chart) -> None:
    spec = policy(chart, options(chart)["network"])
    for port in ("http", 15008):
        assert allows(spec, "ingress", port, Peer(address="169.254.7.127")), "probes in the mesh"
        assert not allows(spec, "ingress", port, INTERNET)
    assert allows(spec, "egress", 15008, Peer(address="10.0.0.1"))
    for port in (53, 5353):
        assert allows(spec, "egress", port, DNS, "UDP")
    assert allows(spec, "egress", 8125, INTERNET, "UDP")
    assert not allows(spec, "egress", 8125, INTERNET, "TCP")


def test_empty_clients_allow_only_helm_test(chart: Chart) -> None:
    """An empty list must allow no peer. In a policy, a rule without peers allows all of them."""
    spec = policy(chart, {"networkPolicy": {"clients": [], "monitoring": []}})
    assert allows(spec, "ingress", "http", TEST)
    assert not allows(spec, "ingress", "http", OTHER_TEST)
    for port in ("http", "management"):
        for peer in (WEB, PROMETHEUS, INTERNET):
            assert not allows(spec, "ingress", port, peer)
