"""The folder is independent: copied beside a FastAPI app, it works with three added lines."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import httpx

from dev.ports import free_port

import reference_service.health
from tests.processes import wait_until

FLAT_APP = """
from fastapi import FastAPI
from health import Check, Probes, Registry

app = FastAPI()

@app.get("/")
async def hello():
    return {"hello": "world"}

async def check_database():
    pass

registry = Registry([Check("database", check_database)])
app = Probes(app, registry)
"""

ONLY_STANDARD_LIBRARY = """
import sys
sys.path = [path for path in sys.path if "site-packages" not in path]
import health
"""


def copy_to(folder: Path) -> Path:
    """Copy the folder `health` into a folder, and return that."""
    source = Path(reference_service.health.__file__).parent
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(source, folder / "health", ignore=ignore)
    return folder


def test_folder_imports_only_the_standard_library(tmp_path: Path) -> None:
    folder = copy_to(tmp_path)
    command = [sys.executable, "-c", ONLY_STANDARD_LIBRARY]
    subprocess.run(command, cwd=folder, check=True)


def test_three_lines_add_the_probes_to_an_app(tmp_path: Path) -> None:
    folder = copy_to(tmp_path)
    (folder / "main.py").write_text(FLAT_APP)
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "main:app", "--port", str(port)]
    environment = os.environ | {"PYTHONPATH": str(folder)}
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            wait_until(lambda: client.get("/health/startup").status_code == 200)
            for probe in ("startup", "ready", "live"):
                response = client.get(f"/health/{probe}")
                assert (response.status_code, response.text) == (200, '{"status": "pass"}')
            assert client.get("/").json() == {"hello": "world"}
    finally:
        process.terminate()
        process.wait(10)
