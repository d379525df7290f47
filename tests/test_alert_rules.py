"""The alerts of both SLO tiers. The tests in the template folder cover only one tier."""

import os
import re
import subprocess
import sys

import pytest
from project import Generate

LIMITS = {"core": "0.2", "edge": "1.0"}
TESTS = ("test_objective_alerts.py", "test_health_alerts.py", "test_rules.py")
# These tests need neither the service nor its packages.
STANDALONE = ("--noconftest", "-c", os.devnull, "--rootdir", ".", "-p", "no:cacheprovider")


@pytest.mark.parametrize("tier", LIMITS)
def test_generated_alerts_use_limit_of_tier_and_pass_their_tests(
    generate: Generate, tier: str
) -> None:
    names = {"project_slug": "orders", "project_name": "Orders", "package_name": "orders_api"}
    made = generate(**names, slo_tier=tier, part_tests=True)
    rules = (made / "deploy" / "prometheus" / "rules" / "objectives.yaml").read_text("utf-8")
    assert set(re.findall(r'le="([^"]+)"', rules)) == {LIMITS[tier]}
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rs", *STANDALONE, *TESTS],
        cwd=made / "tests" / "observability",
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    if "SKIPPED" in ended.stdout:
        pytest.skip(ended.stdout)
