"""The configuration of the collector is consistent. No collector is started: no wheel has one."""

from typing import Any

import yaml

from tools.generate import ROOT

FILE = ROOT / "{{cookiecutter.project_slug}}" / "deploy" / "otel-collector.yaml"
CONFIG: dict[str, Any] = yaml.safe_load(FILE.read_text("utf-8"))
PIPELINES: dict[str, dict[str, list[str]]] = CONFIG["service"]["pipelines"]


def test_pipelines_use_every_component_and_no_other() -> None:
    for kind in ("receivers", "processors", "exporters"):
        used = {name for pipeline in PIPELINES.values() for name in pipeline[kind]}
        assert used == set(CONFIG[kind])
    assert set(CONFIG["service"]["extensions"]) == set(CONFIG["extensions"])


def test_health_spans_and_other_spans_go_to_different_exporters() -> None:
    """A filter drops the spans that match its condition."""
    light = 'span.trace_state["health"] == "light"'
    drops = {
        name: [CONFIG["processors"][step]["trace_conditions"] for step in steps if "/" in step]
        for name, pipeline in PIPELINES.items()
        for steps in [pipeline["processors"]]
    }
    assert drops == {
        "traces/requests": [[light]],
        "traces/health": [[light.replace("==", "!=")]],
    }
    exporters = [pipeline["exporters"] for pipeline in PIPELINES.values()]
    assert exporters[0] != exporters[1]
