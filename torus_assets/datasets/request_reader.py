"""Reads a request's document key by key: values in their normal form, every mistake, and a note of what was ignored and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

from torus_assets.datasets import old_names, presets
from torus_assets.datasets import request_values as read
from torus_assets.datasets.csv_tables import ACTIONS, DATASHOP, Action
from torus_assets.datasets.datashop.rules import DATASET as DATASET_NAME_BYTES

CHUNK_ROWS = 50_000
FORMATS = ("csv", "parquet")
DATASHOP_FORMATS = ("datashop-xml", "datashop-tab")
ROLLUPS = ("csv", "parquet")
DIALECTS = {"rfc4180": "time", "compat": "source"}  # each with the order of rows that goes with it
ORDERS = ("time", "source")
TABLES = {**ACTIONS, DATASHOP.name: DATASHOP}


class Reader:
    """Reads key after key and collects what is wrong instead of stopping at it."""

    def __init__(self, document: Mapping[str, Any], keys: Sequence[str]) -> None:
        known = (*keys, "preset", *old_names.OLD_NAMES)
        self.document = {str(key): value for key, value in document.items()}
        self.problems = [f"{read.shortened(key)}: unknown key{read.nearest(key, known)}" for key in self.document if key not in known]
        self.notes: list[str] = []
        self.preset: Mapping[str, Any] = {}

    def values(self) -> dict[str, Any]:
        """A value for each field of a request; usable when there are no problems."""
        self.ignored()
        preset = self.value("preset", read.one_of("preset", presets.PRESETS))
        self.preset = presets.PRESETS.get(preset or "", {})
        action = self.action(preset)
        table = TABLES.get(action or "")
        job_id = self.value("job_id", read.job_id, required=True)
        first, last = self.days()
        anonymize, permitted_by = self.names()
        dialect = self.only_csv("dialect", read.one_of("dialect", DIALECTS), "rfc4180", table)
        return {
            "job_id": job_id,
            "action": action,
            "section_ids": self.value("section_ids", read.ids, required=True),
            "format": self.formats(table),
            "sub_types": self.sub_types(table),
            "page_ids": self.page_ids(preset),
            "ignored_student_ids": self.value("ignored_student_ids", read.students, ()),
            "project_id": self.value("project_id", read.id_),
            "date_from": first,
            "date_to": last,
            "exclude_fields": self.exclude_fields(table),
            "anonymize": anonymize,
            "permitted_by": permitted_by,
            "dialect": dialect,
            "order": self.only_csv("order", read.one_of("order", ORDERS), DIALECTS[dialect], table),
            "chunk_rows": self.value("chunk_rows", read.count, CHUNK_ROWS),
            "include_held": self.value("include_held", read.truth, False),
            "scope": self.value("scope", read.text, job_id),
            "dataset_name": self.dataset_name(table),
            "rollup": self.rollup(table),
        }

    # One key -------------------------------------------------------------------------------------------------------------

    def value(self, key: str, read_it: Callable[[Any], Any], default: Any = None, *, required: bool = False) -> Any:
        """The value of a key under its name or an old one, else what the preset says, else the default. Null counts as left out."""
        found: dict[str, Any] = {}
        given = [name for name in (key, *old_names.RENAMED.get(key, ())) if self.document.get(name) is not None]
        for name in given:
            try:
                found[name] = read_it(self.document[name])
            except ValueError as error:
                self.problems.append(f"{name}: {error}")
        if len(found) > 1 and len({repr(value) for value in found.values()}) > 1:
            first, *others = found
            self.problems.append(f"{first}: says something else than {' and '.join(others)}, which means the same")
        if found:
            return next(iter(found.values()))
        if not given and key in self.preset:
            return read_it(self.preset[key])
        if not given and required:
            self.problems.append(f"{key}: missing")
        return default

    def ignored(self) -> None:
        """Names of the old job that say nothing here: checked where that is possible, and noted."""
        for name, reason in old_names.IGNORED.items():
            if self.document.get(name) is None:
                continue
            try:
                if name in old_names.TEXTS:
                    read.text(self.document[name])
                elif name == "chunk_size":
                    read.count(self.document[name])
            except ValueError as error:
                self.problems.append(f"{name}: {error}")
            self.notes.append(f"{name}: ignored; {reason}")

    def only_csv(self, key: str, read_it: Callable[[Any], Any], default: Any, table: Action | None) -> Any:
        """A value that means nothing to DataShop: read and checked all the same, then left out with a note."""
        found = self.value(key, read_it, default)
        if table is not DATASHOP or found == default:
            return found
        self.notes.append(f"{key}: ignored; DataShop's files have their own form")
        return default

    # Keys with rules of their own ----------------------------------------------------------------------------------------

    def action(self, preset: str | None) -> str | None:
        if self.document.get("job_type") == old_names.CUSTOM:
            del self.document["job_type"]
        found = self.value("action", read.one_of("action", TABLES), required=True)
        if found and self.preset and found != self.preset["action"]:
            self.problems.append(f"preset: {preset} is made of {self.preset['action']}, and the action is {found}")
            self.preset = {}  # what it fills would be wrong words for this action
        return found

    def formats(self, table: Action | None) -> tuple[str, ...]:
        if table is not DATASHOP:
            return self.value(
                "format",
                read.some_of(f"format of {table.name}" if table else "format", FORMATS if table else FORMATS + DATASHOP_FORMATS),
                ("csv",),
            )
        if self.document.pop("output_type", None) is not None:  # Torus stores `csv` with every job
            self.notes.append("output_type: ignored; DataShop's files have forms of their own, see format")
        return self.value("format", read.some_of("format of datashop", DATASHOP_FORMATS), ("datashop-xml",))

    def days(self) -> tuple[date | None, date | None]:
        first, last = self.value("date_from", read.day), self.value("date_to", read.day)
        if first and last and first > last:
            self.problems.append(f"date_from: {first} is after date_to {last}")
        return first, last

    def names(self) -> tuple[bool, str | None]:
        given = self.document.get("anonymize")
        if isinstance(given, str) and given.strip() not in ("true", "false"):
            self.notes.append("anonymize: text other than false leaves it on, as in the old job")
        anonymize = self.value("anonymize", read.old_truth, True)
        permitted_by = self.value("permitted_by", read.text)
        if anonymize is False and not permitted_by:
            self.problems.append("permitted_by: has to say who permitted it when anonymize is false")
        return anonymize, permitted_by

    def page_ids(self, preset: str | None) -> tuple[int, ...] | None:
        before = len(self.problems)
        found = self.value("page_ids", read.page_ids)
        if found is None and preset in presets.NEEDS_PAGES and len(self.problems) == before:
            self.problems.append(f"page_ids: missing; {preset} needs the ids of the survey's pages")
        return found

    def sub_types(self, table: Action | None) -> tuple[str, ...]:
        if table is None:  # names cannot be judged without an action, which is reported already
            return ()
        if table is DATASHOP:
            return self.nothing("sub_types", "DataShop takes part attempts, hints and embedded tutors")

        def known(value: Any) -> tuple[str, ...]:
            parts = [part for text in read.texts(value) for part in read.elements(text)]
            wrong = [part for part in parts if not read.run_of(part, table.sub_types)]
            if wrong:
                raise ValueError("; ".join(f"unknown {read.quoted(part)}{read.nearest(part, table.sub_types)}" for part in wrong))
            names = {name for part in parts for name in read.run_of(part, table.sub_types)}
            return tuple(name for name in table.sub_types if name in names or not names)

        return self.value("sub_types", known, tuple(table.sub_types))

    def exclude_fields(self, table: Action | None) -> tuple[str, ...]:
        if table is DATASHOP:
            return self.nothing("exclude_fields", "DataShop's files have their own columns")

        def known(value: Any) -> tuple[str, ...]:
            names = read.texts(value)
            if table is None:
                return names
            wrong = [
                f"{table.name} has no column {read.quoted(name)}{read.nearest(name, table.names)}"
                for name in names
                if name not in table.names
            ]
            if wrong:
                raise ValueError("; ".join(wrong))
            if set(names) >= set(table.names):
                raise ValueError("leaves no column")
            return tuple(name for name in table.names if name in names)

        return self.value("exclude_fields", known, ())

    def nothing(self, key: str, reason: str) -> tuple[str, ...]:
        """A list of names that the action has no use for: read, noted, left out."""
        if self.value(key, read.texts, ()):
            self.notes.append(f"{key}: ignored; {reason}")
        return ()

    def dataset_name(self, table: Action | None) -> str | None:
        found = self.value("dataset_name", read.text_of_at_most(DATASET_NAME_BYTES))
        if found and table in ACTIONS.values():
            self.notes.append("dataset_name: ignored; only DataShop's files have one")
            return None
        return found

    def rollup(self, table: Action | None) -> str | None:
        """`csv` for DataShop where nothing is said; null, false and `none` say that there is to be none."""
        said_none = self.document.get("rollup") in (None, False, "false", "none")
        if table is DATASHOP:
            default = None if "rollup" in self.document else "csv"
            return default if said_none else self.value("rollup", read.one_of("rollup", ROLLUPS))
        if table and not said_none:
            self.problems.append("rollup: only a DataShop data set has one")
        return None
