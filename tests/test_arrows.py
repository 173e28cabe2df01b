"""Arrows point one way: domain code loads without the framework, without S3's client and without the environment."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("xapi", "arrivals", "datasets", "warehouse", "engine", "emr", "failures", "forgetting", "health", "sample")
OF_DAGSTER = {"assets", "checks", "definitions", "partitions", "present"}  # by name, in every package (style.md, Layout)
MODULES = [
    "torus_assets.settings",
    *(
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for package in PACKAGES
        for path in sorted((ROOT / "torus_assets" / package).rglob("*.py"))
        if path.stem not in OF_DAGSTER | {"__init__", "__main__"}
    ),
]

# Each module alone, in one interpreter per package: what it loads is taken out again, but for what was there before.
ALONE = """
import importlib, os, sys

for name in sys.argv[1:]:
    for blocked in ("dagster", "boto3", "botocore"):
        sys.modules[blocked] = None
    real = type(os.environ).__getitem__
    def watched(self, key, real=real):
        frame = sys._getframe(1)
        while frame and frame.f_globals.get("__name__") in ("os", "_collections_abc", "collections.abc"):
            frame = frame.f_back
        if frame and frame.f_globals.get("__name__", "").startswith("torus_assets"):
            raise AssertionError(f"{name} reads {key} while it is imported ({frame.f_globals['__name__']}:{frame.f_lineno})")
        return real(self, key)
    type(os.environ).__getitem__ = watched
    try:
        importlib.import_module(name)
    finally:
        type(os.environ).__getitem__ = real
    for loaded in [loaded for loaded in sys.modules if loaded.startswith("torus_assets")]:
        del sys.modules[loaded]
"""


def test_there_are_modules_to_look_at():
    assert {"torus_assets.xapi.parse", "torus_assets.xapi.worker", "torus_assets.settings"} <= set(MODULES)


@pytest.mark.parametrize("package", ["torus_assets.settings", *(f"torus_assets.{package}." for package in PACKAGES)])
def test_domain_code_imports_without_dagster_boto3_and_the_environment(package):
    names = [name for name in MODULES if name.startswith(package)]
    assert names
    subprocess.run([sys.executable, "-c", ALONE, *names], check=True, cwd=ROOT, timeout=60)


def test_commands_start_without_the_clients_of_aws():
    """Half of a command's start, when they were loaded with the definitions: 1.7 of 3.5 s."""
    words = "import sys, torus_assets.runs; print([name for name in ('boto3', 'botocore', 'dagster_aws') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", words], check=True, cwd=ROOT, timeout=60, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_init_files_are_empty():
    assert [str(path) for path in (ROOT / "torus_assets").rglob("__init__.py") if path.read_text().strip()] == []


def test_only_settings_reads_the_environment():
    """By text: `os.environ` and `getenv` appear in no domain module but `settings.py`."""
    readers = {
        path.name
        for package in PACKAGES
        for path in (ROOT / "torus_assets" / package).rglob("*.py")
        if "environ[" in (text := path.read_text()) or "os.environ" in text or "getenv(" in text
    }
    assert readers == set()


def imported(path: Path) -> Iterator[str]:
    """Names of the packages of ours that a module imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "torus_assets":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("torus_assets."):
            yield node.module.split(".")[1]


def test_arrows_between_packages_point_one_way():
    needs = {
        package: {
            name for path in (ROOT / "torus_assets" / package).rglob("*.py") if path.stem not in OF_DAGSTER for name in imported(path)
        }
        & {*PACKAGES, "clients"}
        for package in PACKAGES
    }
    order = TopologicalSorter({package: names - {package} for package, names in needs.items()}).static_order()
    first, *_ = order  # CycleError: two packages need each other
    assert first == "clients"
