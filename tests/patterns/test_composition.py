"""The patterns work together, copied by hand or by `make copy`."""

from pathlib import Path

from .acceptance import ACCEPTANCE
from .copying import HOSTS, copy_as_written, follow_output
from .host_app import STARLETTE, Dependency, serve, wait_until
from .pages import follow, merge_registries, read_page, run_shell, without_package

PAGES_IN_ORDER = ("timeout", "recovery", "body-limit", "concurrency-limit", "health-engine")


def test_patterns_in_the_order_of_the_index_keep_all_their_guarantees(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(STARLETTE.lstrip(), "utf-8")
    for page in PAGES_IN_ORDER:
        follow(without_package(read_page(page)), tmp_path)
    run_shell("python -m pytest tests", tmp_path)
    with serve(tmp_path, "main:app", {}) as server:
        for page in PAGES_IN_ORDER:
            ACCEPTANCE[page](server, None)


def test_patterns_that_make_copy_copied_keep_all_their_guarantees(tmp_path: Path) -> None:
    host = HOSTS["package"]
    host.create(tmp_path)
    for name in PAGES_IN_ORDER:
        follow_output(copy_as_written(name, host, tmp_path), tmp_path, host.variables)
    run_shell("python -m pytest tests", tmp_path, host.variables)
    with serve(tmp_path, host.module, host.variables) as server:
        for name in PAGES_IN_ORDER:
            ACCEPTANCE[name](server, None)


def test_fail_fast_works_in_a_starlette_application(tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / "shop").mkdir(parents=True)
    (project / "shop" / "__init__.py").touch()
    (project / "shop" / "main.py").write_text(STARLETTE.lstrip(), "utf-8")
    with Dependency("valkey", tmp_path / "server") as valkey:
        variables = {"REDIS_URL": valkey.url}
        follow(read_page("fail-fast"), project, variables)
        with serve(project, "shop.main:app", variables) as server:
            ACCEPTANCE["fail-fast"](server, valkey)


def test_two_checks_share_one_registry(tmp_path: Path) -> None:
    main = tmp_path / "main.py"
    main.write_text(STARLETTE.lstrip(), "utf-8")
    for page in ("health-engine", "custom-check"):
        follow(without_package(read_page(page)), tmp_path)
    main.write_text(merge_registries(main.read_text("utf-8")), "utf-8")
    assert "registry = Registry([uploads, payments])" in main.read_text("utf-8")
    run_shell("python -m pytest tests", tmp_path)
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    with serve(tmp_path, "main:app", {"PAYMENTS_URL": "http://127.0.0.1:1"}) as server:
        ACCEPTANCE["custom-check"](server, None)
        uploads.rmdir()
        wait_until(lambda: server.ready() == 503, timeout=10)
