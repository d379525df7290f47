"""The network policy: who reaches the pods, and whom they reach, as Kubernetes would judge it."""

from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

import pytest

from .cases import options
from .conftest import Charts
from .helm import Chart, Object, Values

Labels = dict[str, str]


def matches(selector: Object, labels: Labels) -> bool:
    """Judge labels by a selector; an empty one takes all."""
    assert selector.keys() <= {"matchLabels", "matchExpressions"}
    wanted: bool = selector.get("matchLabels", {}).items() <= labels.items()
    for each in selector.get("matchExpressions", []):
        assert each["operator"] == "In"
        wanted = wanted and labels.get(each["key"]) in each["values"]
    return wanted


@dataclass(frozen=True)
class Peer:
    """Somebody in a namespace of that name, with labels; or at an address outside the cluster."""

    namespace: str = ""
    labels: Labels = field(default_factory=dict)
    address: str = ""

    def is_meant(self, rule: Object) -> bool:
        """Say whether a rule's peer is this one."""
        if "ipBlock" in rule:
            return bool(self.address) and self.is_within(**rule["ipBlock"])
        if self.address:
            return False
        where = {"kubernetes.io/metadata.name": self.namespace}
        selector = rule.get("namespaceSelector")
        there = self.namespace == OWN if selector is None else matches(selector, where)
        return there and matches(rule.get("podSelector", {}), self.labels)

    def is_within(self, cidr: str, **excepted: list[str]) -> bool:
        """Say whether the address is in a range, and in none that is taken out of it."""
        address = ip_address(self.address)
        holes = excepted.get("except", [])
        return address in ip_network(cidr) and not any(
            address in ip_network(each) for each in holes
        )


OWN = "shop"
RELEASE = {"app.kubernetes.io/name": "orders", "app.kubernetes.io/instance": "orders"}


def policy(chart: Chart, values: Values | None = None) -> Object:
    (found,) = [each for each in chart.objects(values) if each["kind"] == "NetworkPolicy"]
    spec: Object = found["spec"]
    return spec


def admits(
    spec: Object, direction: str, port: str | int, peer: Peer, protocol: str = "TCP"
) -> bool:
    """Say whether traffic is let through: by any rule that knows the port and the peer."""
    side = {"ingress": "from", "egress": "to"}[direction]
    return any(
        any(each["port"] == port and each["protocol"] == protocol for each in rule["ports"])
        and (side not in rule or any(peer.is_meant(each) for each in rule[side]))
        for rule in spec.get(direction, [])
    )


WEB = Peer("web", {"app": "shop"})
PROMETHEUS = Peer("monitoring", {"app": "prometheus"})
DNS = Peer("kube-system", {"k8s-app": "kube-dns"})
OTHER_DNS = Peer("web", {"k8s-app": "kube-dns"})
INTERNET = Peer(address="203.0.113.7")
TEST = Peer(OWN, {**RELEASE, "app.kubernetes.io/component": "test"})
OTHER_TEST = Peer("web", TEST.labels)


def test_everything_that_no_rule_names_is_denied(chart: Chart) -> None:
    assert set(policy(chart)["policyTypes"]) == {"Ingress", "Egress"}


@pytest.mark.parametrize(
    ("component", "meant"), [("service", True), ("migration", True), ("test", False), ("", False)]
)
def test_it_is_about_the_pods_of_the_release(chart: Chart, component: str, *, meant: bool) -> None:
    labels = {**RELEASE, "app.kubernetes.io/component": component}
    assert matches(policy(chart)["podSelector"], labels) is meant
    assert not matches(policy(chart)["podSelector"], {**labels, "app.kubernetes.io/instance": "x"})


def test_clients_reach_the_api_and_only_monitoring_the_management_port(chart: Chart) -> None:
    spec = policy(chart)
    for port, peer, admitted in (
        ("http", WEB, True),
        ("http", TEST, True),
        ("http", INTERNET, False),
        ("management", PROMETHEUS, True),
        ("management", WEB, False),
        ("management", TEST, False),
        ("management", INTERNET, False),
        ("http-alt", WEB, False),
    ):
        assert admits(spec, "ingress", port, peer) is admitted, (port, peer.namespace)


PORTS = {
    "defaults": {5432, 6379, 4318},
    "everything": {5432, 6379, 26379, 9092, 50051, 4318},
    "alone": set(),
}


@pytest.mark.parametrize("service", PORTS)
def test_pods_reach_names_and_what_the_service_depends_on(charts: Charts, service: str) -> None:
    spec = policy(charts(service))
    assert {port for port in range(1, 65536) if admits(spec, "egress", port, INTERNET)} == PORTS[
        service
    ]
    for protocol in ("TCP", "UDP"):
        assert admits(spec, "egress", 53, DNS, protocol)
        assert not admits(spec, "egress", 53, OTHER_DNS, protocol)
        assert not admits(spec, "egress", 53, INTERNET, protocol)


def test_what_is_narrowed_down_is_narrow(chart: Chart) -> None:
    spec = policy(chart, options(chart)["network"])
    team, stranger = Peer("web"), Peer("other")
    assert not admits(spec, "ingress", "http", stranger)
    for address, admitted in (("10.0.0.1", True), ("10.9.0.1", False), ("192.0.2.1", False)):
        assert admits(spec, "ingress", "http", Peer(address=address)) is admitted
        assert admits(spec, "egress", 8443, Peer(address=address)) is admitted
    assert admits(spec, "ingress", "http", Peer(address="10.1.2.3")), "a node, for its probes"
    assert not admits(spec, "egress", 8443, stranger)
    assert not admits(spec, "egress", 8443, team), "its namespace lacks the label"


def test_without_clients_nobody_reaches_the_api_but_a_test(chart: Chart) -> None:
    """An empty list is nobody: in a policy, a rule without peers would be everybody."""
    spec = policy(chart, {"networkPolicy": {"clients": [], "monitoring": []}})
    assert admits(spec, "ingress", "http", TEST)
    assert not admits(spec, "ingress", "http", OTHER_TEST)
    for port in ("http", "management"):
        for peer in (WEB, PROMETHEUS, INTERNET):
            assert not admits(spec, "ingress", port, peer)
