"""The tested charts: services with different features, each with every option of its chart."""

import copy
from collections.abc import Mapping

import yaml
from docs.markdown import PARSER

from hooks.post_gen_project import FEATURES

from .helm import Chart, Values

# The answers of each service. A question without an answer has its default.
SERVICES: dict[str, dict[str, bool]] = {
    "defaults": {},
    "everything": dict.fromkeys(FEATURES, True),
    "alone": {feature: feature == "kubernetes" for feature in FEATURES},
}
NAMES = {"project_name": "Orders", "package_name": "orders"}
LONGEST_SLUG = "o" * 40

NODE = {"nodeSelectorTerms": [{"matchExpressions": [{"key": "disk", "operator": "Exists"}]}]}
PEERS = [
    {"namespaceSelector": {"matchLabels": {"team": "web"}}, "podSelector": {}},
    {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.9.0.0/16"]}},
]
CONTAINER = {
    "image": "registry.example.com/proxy:1",
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    },
    "resources": {
        "requests": {"cpu": "10m", "memory": "16Mi"},
        "limits": {"cpu": "100m", "memory": "64Mi"},
    },
}
PROBES = {
    probe: {"httpGet": {"path": "/", "port": 15021}}
    for probe in ("livenessProbe", "readinessProbe")
}
REQUESTS_METRIC = {
    "type": "Pods",
    "pods": {
        "metric": {"name": "http_requests_in_flight"},
        "target": {"type": "AverageValue", "averageValue": "50"},
    },
}
MONITORED = {"monitoring": {"serviceMonitor": True}}

# Each option of the chart, with a value other than its default.
OPTIONS: dict[str, Values] = {
    "autoscaling": {"autoscaling": {"enabled": True, "minReplicas": 3, "maxReplicas": 6}},
    "autoscaling-more": {
        "autoscaling": {
            "enabled": True,
            "metrics": [REQUESTS_METRIC],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 600}},
        }
    },
    "budget-off": {"podDisruptionBudget": {"enabled": False}},
    "budget-share": {"podDisruptionBudget": {"maxUnavailable": "25%"}},
    "common": {
        "commonLabels": {"cost-center": "shop"},
        "commonAnnotations": {"example.com/owner": "shop"},
    },
    "config": {"config": {"SERVICE_REQUEST_TIMEOUT": "5", "HEALTH_CHECK_TIMEOUT": "0.25"}},
    "drain": {"drain": {"preStop": 0, "delay": 12, "timeout": 45}},
    "environment": {
        "env": [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "vault", "key": "t"}}}],
        "envFrom": [{"secretRef": {"name": "shared"}}, {"configMapRef": {"name": "flags"}}],
    },
    "extra-objects": {
        "extraObjects": [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {
                    "name": "{{ .Release.Name }}-extra",
                    "namespace": "{{ .Release.Namespace }}",
                    "labels": {"a": "b"},
                },
                "data": {"note": "{{ .Chart.Name }}"},
            }
        ]
    },
    "gateway": {
        "httpRoute": {
            "enabled": True,
            "parentRefs": [{"name": "public", "namespace": "gateways"}],
            "hosts": ["orders.example.com"],
            "paths": ["/items", "/orders"],
            "annotations": {"example.com/a": "b"},
        }
    },
    "image": {
        "image": {
            "repository": "registry.example.com/shop/orders",
            "digest": "sha256:" + "0123456789abcdef" * 4,
            "pullPolicy": "Always",
        },
        "imagePullSecrets": ["registry"],
    },
    "ingress": {
        "ingress": {
            "enabled": True,
            "className": "nginx",
            "hosts": ["orders.example.com", "*.orders.example.com"],
            "tlsSecret": "orders-certificate",
            "annotations": {"cert-manager.io/cluster-issuer": "letsencrypt"},
        }
    },
    "network-off": {"networkPolicy": {"enabled": False}},
    "network": {
        "networkPolicy": {
            "clients": PEERS,
            "monitoring": PEERS,
            "nodes": ["10.1.0.0/16", "fd00::/8"],
            "ambient": True,
            "dnsPorts": [53, 5353],
            "dependencies": {
                "ledger": {"ports": [8443, 9443], "to": PEERS},
                "statsd": {"ports": [8125], "protocol": "UDP"},
            },
        }
    },
    "pods": {
        "podLabels": {"team": "shop"},
        "podAnnotations": {"example.com/note": "true"},
        "priorityClassName": "important",
        "nodeSelector": {"kubernetes.io/arch": "arm64"},
        "tolerations": [{"key": "spot", "operator": "Exists", "effect": "NoSchedule"}],
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": NODE}},
        "topologySpread": False,
    },
    "probes": {
        "startupProbe": {"failureThreshold": 90},
        "readinessProbe": {"timeoutSeconds": 2},
        "livenessProbe": {"periodSeconds": 20},
    },
    "replicas": {"replicaCount": 5},
    "containers": {
        "initContainers": [CONTAINER | {"name": "prepare"}],
        "sidecars": [CONTAINER | PROBES | {"name": "proxy"}],
    },
    "volumes": {
        "volumes": [{"name": "ca", "secret": {"secretName": "database-ca"}}],
        "volumeMounts": [{"name": "ca", "mountPath": "/etc/ca", "readOnly": True}],
        "tmpSizeLimit": "1Gi",
    },
    "security": {
        "podSecurityContext": {"supplementalGroups": [3000], "fsGroupChangePolicy": "Always"},
        "securityContext": {"runAsUser": 10002},
    },
    "update": {
        "updateStrategy": {"maxSurge": "50%", "maxUnavailable": 1},
        "minReadySeconds": 10,
    },
    "database-connections": {"maxDatabaseConnections": 2000},
    "resources": {"resources": {"limits": {"cpu": 2, "memory": "1Gi", "ephemeral-storage": "1Gi"}}},
    "secret": {"secret": {"name": "shop-orders", "keys": ["DATABASE_URL", "API_TOKEN"]}},
    "no-secret": {"secret": {"keys": []}},
    "service": {
        "service": {
            "port": 8080,
            "managementPort": 9090,
            "ipFamilyPolicy": "PreferDualStack",
            "annotations": {"example.com/a": "b"},
        }
    },
    "service-account": {
        "serviceAccount": {"name": "robot", "annotations": {"example.com/role": "orders"}}
    },
    "no-service-account": {"serviceAccount": {"create": False}},
    "migration-off": {"migration": {"enabled": False}},
    "migration": {"migration": {"deadline": 60, "retries": 0}},
    "migration-own": {
        "migration": {
            "secret": {"name": "orders-owner", "keys": ["DATABASE_URL"]},
            "serviceAccount": {"create": True, "annotations": {"example.com/role": "owner"}},
            "annotations": {"argocd.argoproj.io/hook": "Sync"},
            "podLabels": {"sidecar.istio.io/inject": "false"},
            "podAnnotations": {"example.com/note": "true"},
        }
    },
    "service-monitor": {
        "monitoring": {"serviceMonitor": True, "labels": {"release": "prometheus"}}
    },
    "alertmanager-config": {
        "monitoring": {
            "alertmanagerConfig": True,
            "receivers": [
                {
                    "name": "pager",
                    "pagerdutyConfigs": [{"routingKey": {"name": "pager", "key": "key"}}],
                },
                {
                    "name": "ticket",
                    "webhookConfigs": [{"urlSecret": {"name": "tickets", "key": "url"}}],
                },
            ],
        }
    },
    "rules-own": {
        "monitoring": {
            "rules": True,
            "runbookUrl": "https://wiki.example/orders",
            "alertLabels": {"team": "shop"},
        }
    },
    "rules": {"monitoring": {"rules": True, "labels": {"release": "prometheus"}}},
    "dashboards": {"monitoring": {"dashboards": True}},
    "rollout": {"rollout": {"enabled": True}, **MONITORED},
    "rollout-move": {"rollout": {"enabled": True, "deploymentReplicas": 2}, **MONITORED},
}
# Platforms, each with the section of docs/kubernetes.md that has its values.
PLATFORMS = {
    "openshift": "OpenShift",
    "istio-sidecar": "Istio with sidecars",
    "istio-ambient": "Istio in ambient mode",
    "argo-cd": "Argo CD",
    "flux": "Flux",
}
# Options that remove what other options add.
OFF = {"budget-off", "network-off", "no-secret", "no-service-account", "migration-off"}


def platform_values(chart: Chart, platform: str) -> Values:
    """Return the values that docs/kubernetes.md of a service shows for a platform."""
    page = (chart.folder.parents[1] / "docs" / "kubernetes.md").read_text("utf-8")
    section = page.split(f"\n### {PLATFORMS[platform]}\n")[1].split("\n#")[0]
    (code,) = [token.content for token in PARSER.parse(section) if token.type == "code_block"]
    values: Values = yaml.safe_load(code)
    return values


def options(chart: Chart) -> dict[str, Values]:
    """Return the options that a chart supports: the defaults first, all options together last."""
    supported = {
        name: values for name, values in OPTIONS.items() if values.keys() <= chart.values.keys()
    }
    together: Values = {}
    for name, values in supported.items():
        if name not in OFF:
            together = merge(together, values)
    return {"default": {}, **supported, "together": together}


def merge(values: Mapping[str, object], others: Mapping[str, object]) -> Values:
    """Return values overridden by others, mapping by mapping, as Helm does."""
    result: Values = copy.deepcopy(dict(values))
    for key, other in others.items():
        below = result.get(key)
        both = isinstance(below, dict) and isinstance(other, Mapping)
        result[key] = merge(below, other) if both else copy.deepcopy(other)  # type: ignore[arg-type]
    return result
