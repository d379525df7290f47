"""The availability objective at the proxy in front of the service: Ingress, gateway or mesh."""

from pathlib import Path

import pytest

from .alerting import HOUR, MINUTE, SERVICE, Case, Scenario, Series, assert_fires_and_resolves

LABELS = {"symptom": "availability", "slo_target": "0.999"}
ISTIO = f'istio_requests_total{{reporter="source",destination_service_name="{SERVICE}"'
SOME_FAIL: Series = {
    f'{ISTIO},response_code="200"}}': (100, 90),
    f'{ISTIO},response_code="503"}}': (0, 10),
}
CASES = [
    Case(
        "EdgeAvailabilityBudgetBurnFast",
        {"severity": "page"} | LABELS,
        SOME_FAIL,
        history=HOUR,
        duration=15 * MINUTE,
        pending_after=10 * MINUTE,
        firing_after=11 * MINUTE,
        resolved_after=6 * MINUTE,
    ),
    Case(
        "EdgeAvailabilityBudgetBurnMedium",
        {"severity": "page"} | LABELS,
        SOME_FAIL,
        history=6 * HOUR,
        duration=40 * MINUTE,
        pending_after=23 * MINUTE,
        firing_after=24 * MINUTE,
        resolved_after=30 * MINUTE,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.alert)
def test_alert_fires_and_resolves(case: Case, tmp_path: Path) -> None:
    assert_fires_and_resolves(case, tmp_path)


# The metric of each proxy, its labels for the service in the namespace `shop`, and the label of the
# status with the values of success and failure.
PROXIES = {
    "nginx": (
        "nginx_ingress_controller_requests",
        f'namespace="ingress",exported_namespace="shop",ingress="a-{SERVICE}",status',
        ("200", "503"),
    ),
    "nginx with honorLabels": (
        "nginx_ingress_controller_requests",
        f'namespace="shop",ingress="{SERVICE}",status',
        ("200", "503"),
    ),
    "istio": (
        "istio_requests_total",
        (
            'reporter="source",namespace="istio-system",destination_service_namespace="shop",'
            f'destination_service_name="{SERVICE}",response_code'
        ),
        ("200", "0"),
    ),
    "envoy": (
        "envoy_cluster_upstream_rq_xx",
        (
            f'namespace="gateways",envoy_cluster_name="httproute/shop/{SERVICE}/rule/0",'
            "envoy_response_code_class"
        ),
        ("2", "5"),
    ),
    "haproxy": (
        "haproxy_backend_http_responses_total",
        f'namespace="ingress",proxy="shop_svc_{SERVICE}_http",code',
        ("2xx", "5xx"),
    ),
}


@pytest.mark.parametrize("failed", [0, 1])
@pytest.mark.parametrize("proxy", PROXIES)
def test_requests_at_each_proxy_count_in_the_namespace_of_the_service(
    proxy: str, failed: int, tmp_path: Path
) -> None:
    """A series of failures begins with the first failure: until then there are none."""
    metric, labels, (success, failure) = PROXIES[proxy]
    series = {f'{metric}{{{labels}="{success}"}}': "0+9x80"}
    if failed:
        series[f'{metric}{{{labels}="{failure}"}}'] = "0+1x80"
    tested = Scenario(series, interval=MINUTE, scrape=15)
    found = f"abs(service:edge_failed:ratio_rate5m - {failed / 10}) < bool 0.001"
    tested.expect(found, 15 * MINUTE, f'{{namespace="shop", service_id="{SERVICE}"}}')
    tested.run(tmp_path)


def test_other_services_at_the_proxy_do_not_count(tmp_path: Path) -> None:
    series = {
        f'{metric}{{{labels}="{failure}"}}'.replace(SERVICE, f"{SERVICE}-admin"): "0+9x80"
        for metric, labels, (_, failure) in PROXIES.values()
    }
    tested = Scenario(series, interval=MINUTE, scrape=15)
    tested.expect('{__name__=~"service:edge.+"}', 15 * MINUTE)
    tested.run(tmp_path)
