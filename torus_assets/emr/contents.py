"""What the job needs: found by following its imports from the entry point, so that no list has to be kept."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import packages_distributions
from pathlib import Path

PACKAGE = "torus_assets"
ENTRY = "torus_assets.engine.job"
# Spark's mapInArrow goes through pandas_udf, which refuses to start without pandas, though no frame of it is ever made.
NEEDED_BY_SPARK = ("pandas",)
OF_THE_RELEASE = frozenset({"pyspark", "py4j"})  # EMR has its own, which ours must not hide
NEVER = frozenset({"dagster", "resources", "sensors"})


class NotAJob(ImportError):
    """The job imports what must stay out of it; the message names the module that does."""


@dataclass
class Contents:
    """Modules of ours and names of others that the job imports, at once or later."""

    modules: dict[str, Path] = field(default_factory=dict)  # dotted name -> file
    others: dict[str, str] = field(default_factory=dict)  # top-level name -> a module of ours that imports it

    def distributions(self) -> tuple[str, ...]:
        """Distributions of this environment that bring the others, and what Spark itself needs, sorted.

        Raises:
            NotAJob: a name that no installed distribution brings.
        """
        known = packages_distributions()
        found = set(NEEDED_BY_SPARK)
        for name, module in self.others.items():
            if name not in known:
                raise NotAJob(f"{module} imports {name}, which no installed distribution brings: `uv sync`, then package again")
            found |= set(known[name])
        return tuple(sorted(found))

    def files(self) -> Iterator[tuple[str, Path]]:
        """Path in the archive and file: modules, and what else lies in their packages (queries, schemas, styles)."""
        found: dict[str, Path] = {}
        for name, path in self.modules.items():
            top = path.parents[name.count(".") + (path.name == "__init__.py")]
            found[path.relative_to(top).as_posix()] = path
            if path.name == "__init__.py":
                found |= {beside.relative_to(top).as_posix(): beside for beside in _beside(path.parent)}
        yield from sorted(found.items())


def contents(entry: str = ENTRY, top: Path | None = None) -> Contents:
    """Follows the imports from `entry`, also those inside functions; those for type checkers only are left out.

    Raises:
        NotAJob: Dagster, its resources or its sensors are reached.
    """
    root = top or Path(__file__).parents[2]
    found, waiting = Contents(), [entry]
    while waiting:
        name = waiting.pop()
        path = _file(name, root)
        if name in found.modules or path is None:
            continue
        found.modules[name] = path
        for imported in _imported(path):
            first = imported.partition(".")[0]
            if first in NEVER:
                raise NotAJob(f"{name} imports {imported}: what runs on a cluster must not need it")
            if first == PACKAGE:
                waiting += _with_parents(imported, root, name)
            elif first not in sys.stdlib_module_names and first not in OF_THE_RELEASE:
                found.others.setdefault(first, name)
    return found


def _with_parents(name: str, root: Path, importer: str) -> list[str]:
    """The module itself, or that which has the attribute, and the packages above it.

    Raises:
        NotAJob: there is no such module. Packages have no attributes of their own: their `__init__.py` are empty.
    """
    parts = name.split(".")
    found = [dotted for length in range(1, len(parts) + 1) if _file(dotted := ".".join(parts[:length]), root) is not None]
    deepest = _file(found[-1], root) if found else None
    missing = len(parts) - len(found)
    if deepest is None or missing > 1 or (missing and deepest.name == "__init__.py"):
        raise NotAJob(f"{importer} imports {name}, which is not there")
    return found


def _beside(package: Path) -> Iterator[Path]:
    """Files of a package that are no code, in its folder and in folders below it that are no packages."""
    for path in sorted(package.iterdir()):
        if path.is_dir() and path.name != "__pycache__" and not (path / "__init__.py").exists():
            yield from _beside(path)
        elif path.is_file() and path.suffix not in (".py", ".pyc"):
            yield path


def _file(name: str, root: Path) -> Path | None:
    base = root.joinpath(*name.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


def _imported(path: Path) -> Iterator[str]:
    """Dotted names; also of modules that are started by their name (`python -m`)."""
    for node in _running(ast.parse(path.read_bytes()).body):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names if node.module.startswith(PACKAGE))
        elif isinstance(node, ast.List) and len(node.elts) > 2 and ast.unparse(node.elts[1]) == "'-m'":
            yield str(getattr(node.elts[2], "value", ""))


def _running(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """All nodes below, but for blocks that only a type checker reads."""
    for node in nodes:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from _running(node.orelse)
            continue
        yield node
        yield from _running(ast.iter_child_nodes(node))
