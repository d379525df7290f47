"""What the template's tests share: a way to generate a project."""

from pathlib import Path

import pytest
from cookiecutter.main import cookiecutter
from project import ROOT, Generate


@pytest.fixture(autouse=True)
def own_cookiecutter_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep cookiecutter away from the settings and the replay files of whoever runs the tests."""
    config = tmp_path / "cookiecutter.yaml"
    config.write_text(f"replay_dir: {tmp_path / 'replay'}\n", "utf-8")
    monkeypatch.setenv("COOKIECUTTER_CONFIG", str(config))


@pytest.fixture
def generate(tmp_path: Path) -> Generate:
    """Generate a project from the answers given, and the defaults for the rest."""

    def run(into: str = "out", **answers: object) -> Path:
        made = cookiecutter(
            str(ROOT), no_input=True, extra_context=answers, output_dir=str(tmp_path / into)
        )
        return Path(made)

    return run
