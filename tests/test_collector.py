"""The collector's settings fit together: no collector comes in a wheel, so none is started."""

from typing import Any

import yaml

from tools.generate import ROOT

FILE = ROOT / "{{cookiecutter.project_slug}}" / "deploy" / "otel-collector.yaml"
SETTINGS: dict[str, Any] = yaml.safe_load(FILE.read_text("utf-8"))
PIPELINES: dict[str, dict[str, list[str]]] = SETTINGS["service"]["pipelines"]


def test_every_part_of_a_pipeline_is_set_and_every_setting_is_used() -> None:
    for kind in ("receivers", "processors", "exporters"):
        used = {name for pipeline in PIPELINES.values() for name in pipeline[kind]}
        assert used == set(SETTINGS[kind])
    assert set(SETTINGS["service"]["extensions"]) == set(SETTINGS["extensions"])


def test_a_light_span_goes_one_way_and_every_other_the_other() -> None:
    """A filter drops what its condition matches."""
    light = 'span.trace_state["health"] == "light"'
    drops = {
        name: [SETTINGS["processors"][step]["trace_conditions"] for step in steps if "/" in step]
        for name, pipeline in PIPELINES.items()
        for steps in [pipeline["processors"]]
    }
    assert drops == {
        "traces/requests": [[light]],
        "traces/health": [[light.replace("==", "!=")]],
    }
    exporters = [pipeline["exporters"] for pipeline in PIPELINES.values()]
    assert exporters[0] != exporters[1]
