"""The lookup straight from the PostgreSQL of Torus: one read-only statement, `sql/lookup.sql`.

Source: spec/datasets.md 8.1 for the form, D-20 for what it describes: the publications that the sections use, not the authors' draft.
Tables and columns it relies on: `docs/lookup.md`. No message here quotes the address, since a mistyped one can hold the password anywhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row

CONNECT_SECONDS = 10
STATEMENT_SECONDS = 120
NAME_BYTES = 100  # of a data set's name, as DataShop takes it
_STATEMENT = Path(__file__).parent / "sql" / "lookup.sql"


class LookupDatabaseError(RuntimeError):
    """The database did not give the lookup; one sentence with host and database, never with the password."""


def fetch_lookup(url: str, section_ids: Sequence[int], *, connect_seconds: int = CONNECT_SECONDS) -> dict[str, Any]:
    """The lookup document (spec/datasets.md 8.1) of sections, `users` included.

    Args:
        url: `postgresql://user:password@host:port/database`.
        section_ids: at least one; all have to exist.
        connect_seconds: how long to wait for the server.

    Raises:
        LookupDatabaseError: no answer, refused, a table or column is missing, no such section.
    """
    asked = sorted(set(section_ids))
    with _session(url, connect_seconds) as session:
        row = session.cursor(row_factory=dict_row).execute(_STATEMENT.read_bytes(), {"sections": asked}).fetchone()
    assert row is not None  # the statement gives one row
    if missing := sorted(set(asked) - set(row["sections"] or ())):
        raise LookupDatabaseError(f"{database_place(url)}: no section {', '.join(map(str, missing))}; check section_ids of the request")
    return {
        "dataset_name": _dataset_name(row["project"], asked),
        **{name: row[name] for name in ("skill_titles", "hierarchy", "activities", "users")},
    }


def server_version(url: str, *, connect_seconds: int = CONNECT_SECONDS) -> str:
    """What the server says it is, `15.14`: a question that shows that it answers.

    Raises:
        LookupDatabaseError: no answer, or refused.
    """
    with _session(url, connect_seconds) as session:
        row = session.execute("SELECT current_setting('server_version')").fetchone()
    assert row is not None
    return str(row[0]).split()[0]


def database_place(url: str) -> str:
    """Host and database of an address, for people to read: `db.example.org/torus`. Never user or password."""
    try:
        parts = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        return "Torus database"
    # What stands before an `@` here is a piece of a password that was not percent-encoded.
    host, database = (str(parts.get(key) or "").rpartition("@")[2] for key in ("host", "dbname"))
    return f"{host or 'local socket'}/{database or 'default database'}"


@contextmanager
def _session(url: str, connect_seconds: int) -> Iterator[psycopg.Connection]:
    """A read-only transaction with a time limit; what goes wrong in it is a LookupDatabaseError."""
    place = database_place(url)
    try:
        with psycopg.connect(url, connect_timeout=connect_seconds, application_name="torus-assets", autocommit=False) as session:
            session.read_only = True
            session.execute("SELECT set_config('statement_timeout', %s, true)", [f"{STATEMENT_SECONDS}s"])
            yield session
    except errors.QueryCanceled:
        raise LookupDatabaseError(
            f"{place}: the lookup took over {STATEMENT_SECONDS} s and was cancelled; ask for fewer sections"
        ) from None
    except (errors.UndefinedTable, errors.UndefinedColumn, errors.InsufficientPrivilege) as error:
        raise LookupDatabaseError(f"{place}: {error.diag.message_primary}; docs/lookup.md lists what the lookup reads") from None
    except RecursionError:
        raise LookupDatabaseError(f"{place}: an activity's content is nested too deep to be read") from None
    except psycopg.Error as error:
        raise LookupDatabaseError(f"{place}: {_reason(error)}; check TORUS_DATABASE_URL") from None


def _reason(error: psycopg.Error) -> str:
    """Why the server did not serve, in our words: the driver quotes the address, and with it maybe the password."""
    said = str(error)
    if isinstance(error, psycopg.ProgrammingError) and error.sqlstate is None:
        return "the address cannot be read, expected postgresql://user:password@host:port/database with special characters percent-encoded"
    if error.sqlstate is not None:
        return f"the server answered with {type(error).__name__} ({error.sqlstate})"
    if any(words in said for words in ("authentication failed", "no password supplied", "no pg_hba.conf entry", "role ")):
        return "the server refuses the user or the password"
    if "database " in said and "does not exist" in said:
        return "the server has no such database"
    return "the server does not answer or takes no connection"


def _dataset_name(project: str | None, section_ids: Sequence[int]) -> str:
    """`{project}-sections-{ids}`; where that is over 100 bytes, a digest of it in place of what is too long."""
    name = f"{project or 'torus'}-sections-{'-'.join(map(str, section_ids))}"
    if len(name.encode()) <= NAME_BYTES:
        return name
    tail = f"-{hashlib.sha256(name.encode()).hexdigest()[:10]}"
    return name.encode()[: NAME_BYTES - len(tail)].decode(errors="ignore") + tail
