"""The recipes go together, in a plain Starlette application that is no package."""

from pathlib import Path

from .acceptance import LOOKS
from .host_app import STARLETTE, served
from .recipe import flat, perform, read, run

IN_ORDER = ("timeout", "recovery", "body-limit", "concurrency-limit", "health-engine")
AROUND, AMONG = "app = Probes(app, registry)", "app.add_middleware(Probes, registry=registry)"


def test_in_the_order_and_with_the_changes_that_the_index_names(tmp_path: Path) -> None:
    assert all(f"`{line}`" in read("README") for line in (AROUND, AMONG))
    (tmp_path / "main.py").write_text(STARLETTE.lstrip(), "utf-8")
    for page in IN_ORDER:
        perform(flat(read(page)).replace(AROUND, AMONG), tmp_path)
    run("python -m pytest tests", tmp_path)
    with served(tmp_path, "main:app", {}) as server:
        for page in IN_ORDER:
            LOOKS[page](server, None)
