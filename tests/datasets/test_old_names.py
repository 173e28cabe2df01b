"""Argument lists, read to their end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torus_assets.datasets.old_names import NotAnArgument, argument_list, read_arguments

NAMES = st.from_regex(r"[a-z][a-z_]{0,8}", fullmatch=True)
VALUES = st.text().filter(lambda text: not text.startswith("--"))


@given(st.dictionaries(NAMES, VALUES), st.data())
def test_each_name_has_its_value_however_the_two_are_joined(document, data):
    words: list[str] = []
    for name, value in document.items():
        spelt = name.replace("_", "-") if data.draw(st.booleans()) else name
        words += [f"--{spelt}={value}"] if data.draw(st.booleans()) else [f"--{spelt}", value]
    assert argument_list(words) == document


def test_every_mistake_is_found_and_what_is_right_is_read_all_the_same():
    found = read_arguments(["stray", "--action", "video", "--job_id", "--debug=true", "--action", "datashop", "41,42", "--page_ids"])
    assert found.document == {"action": "video", "debug": "true"}
    assert found.problems == (
        "argument 1: expected --name value or --name=value",
        "argument 4: --job_id has no value",
        "argument 6: --action is given twice",
        "argument 8: expected --name value or --name=value",
        "argument 9: --page_ids has no value",
    )
    with pytest.raises(NotAnArgument) as caught:
        argument_list(["stray", "--job_id"])
    assert caught.value.problems == ("argument 1: expected --name value or --name=value", "argument 2: --job_id has no value")


def test_an_empty_value_is_a_value():
    """Torus always sends a project, and may have none."""
    assert argument_list(["--enforce_project_id", "", "--exclude_fields="]) == {"enforce_project_id": "", "exclude_fields": ""}
