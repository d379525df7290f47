"""A generated service with its packages, and the pod that its chart renders."""

import json
import sys
from pathlib import Path
from typing import Any

from chart.helm import Chart
from project import generate_in
from supervised import SupervisedProcesses

from tools.generate import ROOT, environment, set_up

SCENARIO_TIMEOUT = 600.0
"""Seconds for one scenario: the longest takes about two minutes."""

Results = dict[str, Any]


class DeployedService:
    """A generated service with its packages, and the pod from its chart."""

    def __init__(self, folder: Path) -> None:
        self.service = generate_in(folder)
        set_up(self.service)
        objects = Chart(self.service / "deploy" / "chart").objects()
        (self.deployment,) = (each for each in objects if each["kind"] == "Deployment")
        spec = self.deployment["spec"]["template"]["spec"]
        source = spec["containers"][0]["envFrom"][0]["configMapRef"]["name"]
        (settings,) = (
            each["data"]
            for each in objects
            if each["kind"] == "ConfigMap" and each["metadata"]["name"] == source
        )
        self.pod = folder / "pod.json"
        self.pod.write_text(json.dumps({"spec": spec, "settings": settings}), "utf-8")

    def run(self, module: str, *arguments: str, timeout: float = SCENARIO_TIMEOUT) -> Results:
        """Run a module of this package in the service's environment, and return its results."""
        python = self.service / ".venv" / "bin" / "python"
        with SupervisedProcesses() as processes:
            process = processes.start(
                [str(python), "-m", module, str(self.pod), *arguments],
                cwd=self.service,
                env=environment() | {"PYTHONPATH": str(ROOT / "tests")},
            )
            output, _ = process.communicate(timeout=timeout)
        assert process.returncode == 0
        results: Results = json.loads(output)
        sys.stderr.write(json.dumps(results, indent=1) + "\n")  # pytest shows it if a test fails
        return results
