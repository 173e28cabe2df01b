"""`torus datashop verify`: what it prints, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.command import Torus
from torus_assets.cli import app

GOLDEN = Path(__file__).parents[1] / "datasets" / "golden"
XML, TABLE = GOLDEN / "datashop_upload.xml", GOLDEN / "datashop_upload.txt"


@pytest.fixture
def broken(tmp_path) -> Path:
    path = tmp_path / "broken.xml"
    path.write_text(
        XML.read_text().replace(
            "<session_id>s2</session_id><time>2026-02-02 10:00:05", "<session_id>s3</session_id><time>2026-02-02 10:00:05"
        )
    )
    return path


@pytest.fixture
def warned(tmp_path) -> Path:
    path = tmp_path / "warned.txt"
    path.write_text(TABLE.read_text().replace("INCORRECT", "NEARLY"))
    return path


def run(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["datashop", "verify", *map(str, words)])
    return result.exit_code, result.stdout


@pytest.mark.parametrize("path", [XML, TABLE])
def test_right_files_end_with_0_and_say_what_is_in_them(path):
    code, out = run(path)
    assert code == 0
    assert "Section 3021" in out
    assert "DataShop takes this" in out


def test_files_that_are_not_right_end_with_3_and_say_where(broken):
    code, out = run(broken)
    assert code == 3
    line = next(n for n, text in enumerate(broken.read_text().splitlines(), start=1) if 'tool_message context_message_id="c2"' in text)
    assert f"{broken}:{line}  tool_message t2  join.context_of_other_session: context c2 was declared in another session" in out


def test_warnings_are_right_unless_strict(warned):
    assert run(warned)[0] == 0
    assert run(warned, "--strict")[0] == 3


def test_the_document_says_the_same(broken):
    code, out = run(broken, "--json")
    found = json.loads(out)
    assert code == 3
    assert found["ok"] is False
    assert found["rules"]["join.context_of_other_session"]["count"] == 1
    assert found["sections"]["Section 3021"]["transactions"] == 2
    assert run(XML, "--json")[0] == 0


def test_several_files_are_one_upload(broken):
    code, out = run(XML, XML, "--json")
    assert code == 3
    assert "id.transaction_twice" in json.loads(out)["rules"]


def test_a_file_that_is_not_there_ends_with_1_and_no_file_with_2(tmp_path):
    torus = Torus(tmp_path)
    missing = torus("datashop", "verify", str(tmp_path / "none.xml")).expect(1)
    assert "there is no such file" in missing.err
    torus("datashop", "verify").expect(2)
    torus("datashop", "verify", str(XML)).expect(0)
    assert not list(tmp_path.iterdir())
