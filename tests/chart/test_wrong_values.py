"""Invalid values: Helm's error message has their path and how to fix them."""

from collections.abc import Iterator

import pytest

from .conftest import Charts
from .helm import Values, helm

# The text of a values file, and fragments that the error message must contain.
INVALID: list[tuple[str, tuple[str, ...]]] = [
    # wrong type
    ('replicaCount: "two"', ("at '/replicaCount': got string, want integer",)),
    ('replicaCount: "2"', ("at '/replicaCount': got string, want integer",)),
    ("replicaCount: 1.5", ("at '/replicaCount': got number, want integer",)),
    ("image: {tag: 1.0}", ("at '/image/tag': got number, want string",)),
    ("image: registry.example.com/orders", ("at '/image': got string, want object",)),
    ('autoscaling: {enabled: "yes"}', ("at '/autoscaling/enabled': got string, want boolean",)),
    (
        "config: {SERVICE_REQUEST_TIMEOUT: 5}",
        ("at '/config/SERVICE_REQUEST_TIMEOUT'", "got number, want string"),
    ),
    ("config: {SERVICE_DEBUG: true}", ("at '/config/SERVICE_DEBUG': got boolean, want string",)),
    ("podLabels: {team: 7}", ("at '/podLabels/team': got number, want string",)),
    ("nodeSelector: {gpu: true}", ("at '/nodeSelector/gpu': got boolean, want string",)),
    ("tolerations: {key: spot}", ("at '/tolerations': got object, want array",)),
    ("ingress: {hosts: orders.example.com}", ("at '/ingress/hosts': got string, want array",)),
    (
        "ingress: {hosts: [{host: orders.example.com}]}",
        ("at '/ingress/hosts/0': got object, want string",),
    ),
    ("secret: {keys: DATABASE_URL}", ("at '/secret/keys': got string, want",)),
    ("drain: {delay: 5s}", ("at '/drain/delay': got string, want integer",)),
    ("migration: {deadline: 10m}", ("at '/migration/deadline': got string, want integer",)),
    ("rollout: {steps: {setWeight: 20}}", ("at '/rollout/steps': got object, want array",)),
    # misspelled name, at each level
    ("replicas: 3", ("at ''", "additional properties 'replicas' not allowed")),
    ("image: {name: orders}", ("at '/image'", "'name' not allowed")),
    ("resources: {limit: {cpu: 1}}", ("at '/resources'", "'limit' not allowed")),
    ("resources: {limits: {mem: 1Gi}}", ("at '/resources/limits'", "'mem' not allowed")),
    ("readinessProbe: {period: 5}", ("at '/readinessProbe'", "'period' not allowed")),
    ("probes: {ready: {periodSeconds: 5}}", ("at ''", "'probes' not allowed")),
    ("autoscaling: {minReplica: 2}", ("at '/autoscaling'", "'minReplica' not allowed")),
    (
        "networkPolicy: {clients: [{matchLabels: {a: b}}]}",
        ("at '/networkPolicy/clients/0'", "'matchLabels' not allowed"),
    ),
    (
        "networkPolicy: {dependencies: {db: {port: 5432}}}",
        ("at '/networkPolicy/dependencies/db'", "missing property 'ports'"),
    ),
    (
        "rollout: {analysis: {maxErrorrate: 0.1}}",
        ("at '/rollout/analysis'", "'maxErrorrate' not allowed"),
    ),
    (
        "networkPolicy: {clients: [{podSelector: {app: web}}]}",
        ("podSelector'", "'app' not allowed"),
    ),
    (
        "networkPolicy: {dns: [{ipBlock: {cdir: 10.0.0.0/8}}]}",
        ("at '/networkPolicy/dns/0/ipBlock'", "'cdir' not allowed"),
    ),
    ("rollout: {steps: [{setweight: 20}]}", ("at '/rollout/steps/0'", "'setweight' not allowed")),
    ("tolerations: [{keyy: spot}]", ("at '/tolerations/0'", "'keyy' not allowed")),
    ("affinity: {nodeAfinity: {}}", ("at '/affinity'", "'nodeAfinity' not allowed")),
    # out of range
    ("replicaCount: -1", ("at '/replicaCount': minimum: got -1, want 0",)),
    ("service: {port: 0}", ("at '/service/port': minimum: got 0, want 1",)),
    ("service: {port: 70000}", ("at '/service/port': maximum: got 70,000, want 65,535",)),
    (
        "autoscaling: {targetCPUUtilizationPercentage: 170}",
        ("at '/autoscaling/targetCPUUtilizationPercentage': maximum", "want 100"),
    ),
    (
        "rollout: {analysis: {maxErrorRate: 5}}",
        ("at '/rollout/analysis/maxErrorRate': maximum: got 5, want 1",),
    ),
    (
        "livenessProbe: {failureThreshold: 0}",
        ("at '/livenessProbe/failureThreshold': minimum: got 0, want 1",),
    ),
    (
        "image: {pullPolicy: always}",
        ("at '/image/pullPolicy'", "'Always', 'IfNotPresent', 'Never'"),
    ),
    # wrong format
    ("image: {repository: ''}", ("image", "repository")),
    ("image: {repository: 'https://registry.example.com/orders'}", ("image.repository", "without")),
    ("image: {tag: 'v 1'}", ('image.tag is "v 1"', "letters, digits")),
    ("image: {digest: 0123abcd}", ('image.digest is "0123abcd"', "sha256:")),
    ("resources: {limits: {memory: 1 gig}}", ('resources.limits.memory is "1 gig"', "512Mi")),
    ("resources: {requests: {cpu: 250 m}}", ('resources.requests.cpu is "250 m"', "250m")),
    ("resources: {limits: {memory: -1Gi}}", ("resources.limits.memory", "quantity")),
    ("podDisruptionBudget: {maxUnavailable: half}", ("podDisruptionBudget.maxUnavailable", "25%")),
    ("podDisruptionBudget: {maxUnavailable: 120%}", ("podDisruptionBudget.maxUnavailable", "25%")),
    ("ingress: {enabled: true, hosts: ['']}", ("ingress", "hosts")),
    (
        "ingress: {enabled: true, hosts: ['https://orders.example.com/']}",
        ("ingress.hosts[0]", "without scheme"),
    ),
    (
        "ingress: {enabled: true, hosts: [Orders.example.com]}",
        ("ingress.hosts[0]", "orders.example.com"),
    ),
    ("networkPolicy: {nodes: [10.0.0.0]}", ("networkPolicy.nodes[0]", "10.0.0.0/16")),
    ("config: {log-level: debug}", ("config.log-level", "capitals")),
    ("rollout: {analysis: {address: 'metrics:9090'}}", ("rollout.analysis.address", "http://")),
    ("ingress: {paths: [items]}", ('ingress.paths[0] is "items"', "/items")),
    ("httpRoute: {hosts: [Orders]}", ("httpRoute.hosts[0]", "orders.example.com")),
    ("tmpSizeLimit: 64 MB", ("tmpSizeLimit", "64Mi")),
    ("updateStrategy: {maxSurge: many}", ("updateStrategy.maxSurge", "25%")),
    ("commonLabels: {team: a b}", ("commonLabels.team", "label")),
    # empty value
    ("drain:", ("at ''", "missing property 'drain'")),
    ("livenessProbe:", ("at ''", "missing property 'livenessProbe'")),
    # contradicting values, or values that belong elsewhere
    ("ingress: {enabled: true}", ("ingress.hosts is empty", "add a host")),
    (
        "autoscaling: {minReplicas: 11}",
        ("autoscaling.minReplicas is 11", "autoscaling.maxReplicas"),
    ),
    (
        "{replicaCount: 5, database: {maxConnections: 118}}",
        ("5 pods, and 2 more", "up to 119 connections, 17 each", "or use a pooler"),
    ),
    (
        "{autoscaling: {enabled: true, maxReplicas: 20}, database: {maxConnections: 100}}",
        ("20 pods, and 5 more", "up to 425 connections", "autoscaling.maxReplicas"),
    ),
    (
        "{config: {DATABASE_POOL_SIZE: '5'}, database: {maxConnections: 20}}",
        ("2 pods, and 1 more", "up to 21 connections, 7 each"),
    ),
    ("httpRoute: {enabled: true}", ("httpRoute.parentRefs is empty", "add a gateway")),
    ("updateStrategy: {maxSurge: 0}", ("updateStrategy.maxSurge", "no pod could be replaced")),
    ("service: {ipFamilies: [IPv6]}", ("service.ipFamilies", "SERVICE_HOST")),
    ("service: {ipFamilyPolicy: RequireDualStack}", ("ipFamilyPolicy", "SERVICE_HOST")),
    ("env: [{name: SERVICE_PORT, value: '80'}]", ("env[0] is SERVICE_PORT", "service.port")),
    ("env: [{name: DATABASE_URL, value: x}]", ("env[0] is DATABASE_URL", "also in secret.keys")),
    ("env: [{name: SERVICE_LOG_LEVEL, value: x}]", ("env[0]", "also in config")),
    ("env: [{name: A, value: x}, {name: A, value: y}]", ("env[1] is A", "also in env[0]")),
    ("env: [{value: x}]", ("at '/env/0'", "missing property 'name'")),
    ("volumes: [{name: tmp, emptyDir: {}}]", ("volumes[0]", "rename it")),
    ("volumeMounts: [{name: ca, mountPath: /ca}]", ("volumeMounts[0].name is ca", "volumes")),
    ("volumeMounts: [{name: tmp, mountPath: /tmp}]", ("volumeMounts[0].mountPath", "tmpSizeLimit")),
    ("sidecars: [{name: service}]", ("sidecars[0]", "rename it")),
    ("podSecurityContext: {runAsUsr: 1}", ("at '/podSecurityContext'", "'runAsUsr' not allowed")),
    ("securityContext: {runAsUser: me}", ("at '/securityContext/runAsUser'", "want integer")),
    (
        "networkPolicy: {dependencies: {db: {ports: [1], protocol: tcp}}}",
        ("/protocol'", "'TCP', 'UDP'"),
    ),
    ("commonLabels: {app.kubernetes.io/name: x}", ("commonLabels.app.kubernetes.io/name",)),
    ("commonAnnotations: {helm.sh/hook: test}", ("commonAnnotations.helm.sh/hook", "remove")),
    ("service: {port: 9000}", ("service.port", "service.managementPort", "9000")),
    ("rollout: {enabled: true}", ("rollout.enabled requires monitoring.serviceMonitor",)),
    (
        "{autoscaling: {enabled: true}, resources: {requests: {cpu: }}}",
        ("resources.requests.cpu", "autoscal"),
    ),
    ("config: {DATABASE_URL: 'postgresql://u:p@db/orders'}", ("config.DATABASE_URL", "Secret")),
    ("config: {SERVICE_DRAIN_DELAY: '9'}", ("config.SERVICE_DRAIN_DELAY", "drain.delay")),
    ("config: {SERVICE_PORT: '80'}", ("config.SERVICE_PORT", "service.port")),
    ("podLabels: {app.kubernetes.io/name: other}", ("podLabels", "app.kubernetes.io/name")),
]


@pytest.mark.parametrize(("text", "fragments"), INVALID, ids=[text for text, _ in INVALID])
def test_error_names_path_and_fix(charts: Charts, text: str, fragments: tuple[str, ...]) -> None:
    error = charts("everything").error(helm().values_from_yaml(text))
    missing = [fragment for fragment in fragments if fragment not in error]
    assert missing == [], error or "Helm accepts it"


def test_pods_with_few_enough_connections_are_accepted(charts: Charts) -> None:
    """Without a limit, any number is."""
    chart = charts("defaults")
    assert chart.objects({"replicaCount": 5, "database": {"maxConnections": 119}})
    assert chart.objects({"replicaCount": 500})


def test_all_errors_are_reported_at_once(charts: Charts) -> None:
    values = helm().values_from_yaml("replicaCount: two\nservice: {port: 0}\nreplica: 1")
    error = charts("everything").error(values)
    assert [place in error for place in ("'/replicaCount'", "'/service/port'", "'replica'")] == [
        True,
        True,
        True,
    ]


def test_error_does_not_contain_secret(charts: Charts) -> None:
    values = {"config": {"DATABASE_URL": "postgresql://orders:hunter2@db/orders"}}
    error = charts("everything").error(values)
    assert "config.DATABASE_URL" in error
    assert "hunter2" not in error


def test_empty_value_is_optional_or_rejected_with_path(charts: Charts) -> None:
    """In YAML a key without a value is null, and Helm then removes its default."""
    chart = charts("everything")
    for path in paths(chart.values):
        values: Values = {}
        below = values
        for key in path[:-1]:
            below = below.setdefault(key, {})
        below[path[-1]] = None
        error = chart.error(values)
        expected = (f"missing property '{path[-1]}'", ".".join(path))
        assert not error or any(each in error for each in expected), error


def paths(values: Values, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in values.items():
        yield (*above, key)
        if isinstance(value, dict):
            yield from paths(value, (*above, key))
