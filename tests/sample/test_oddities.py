"""What data sets have to survive is in the world: a lookup with gaps, answers that name their writer, and tutors that log as they please."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sample import naive_count
from torus_assets.sample.lookup import NOWHERE
from torus_assets.sample.options import SampleOptions
from torus_assets.sample.world import make_world

Statements = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("odd")
    make_world(SampleOptions(folder.as_uri(), statements=12_000), processes=1)
    return folder


@pytest.fixture(scope="module")
def lookup(root: Path) -> dict[str, Any]:
    return json.loads((root / "datasets/contexts/sample-datashop.json").read_text())


@pytest.fixture(scope="module")
def statements(root: Path) -> Statements:
    """All sound statements by kind; replays as often as they came."""
    found: Statements = defaultdict(list)
    for keys in naive_count.bundles(root).values():
        for line in (line for key in keys for line in naive_count.lines_of((root / "xapi" / key).read_bytes())):
            try:
                kind, _ = naive_count.kind_and_coerced(line)
            except naive_count.Refused:
                continue
            found[kind].append(json.loads(line))
    return found


@pytest.fixture(scope="module")
def tutored(statements: Statements) -> list[tuple[str, str, ET.Element | None]]:
    """User id, XML and its root, if it has one, of each tutor message."""
    return [
        (str(one["actor"]["account"]["name"]), one["result"]["message"], tree(one["result"]["message"]))
        for one in statements["tutor_message"]
    ]


def tree(xml: str) -> ET.Element | None:
    try:
        return ET.fromstring(xml)
    except ET.ParseError:
        return None


def messages(tutored: list[tuple[str, str, ET.Element | None]]) -> Iterator[tuple[str, ET.Element]]:
    for user, _, found in tutored:
        for message in found if found is not None else ():
            yield user, message


def test_the_lookup_knows_what_the_statements_name_but_for_one_page_and_one_activity(lookup, statements):
    unknown: dict[str, set[Any]] = defaultdict(set)
    for ext in map(naive_count.extensions, statements["part_attempt"]):
        unknown["pages"] |= {ext["page_id"]} - {int(key) for key in lookup["hierarchy"]}
        assert {str(skill) for skill in ext["attached_objectives"]} <= lookup["skill_titles"].keys()
        activity = lookup["activities"].get(str(ext["activity_id"]))
        if activity is None:
            unknown["activities"].add(ext["activity_id"])
            continue
        [part] = [part for part in activity["parts"] if part["id"] == ext["part_id"]]
        unknown["hints"] |= set(ext["hints_requested"]) - {hint["id"] for hint in part["hints"] or ()}
    assert (len(unknown["pages"]), len(unknown["activities"])) == (1, 1)
    assert 0 < len(unknown["hints"]) < 60
    assert all(hint.startswith("0") for hint in unknown["hints"])


def test_the_lookup_has_the_gaps_and_doubles_of_a_real_one(lookup):
    hierarchy, activities = lookup["hierarchy"], lookup["activities"].values()
    children = [child for node in hierarchy.values() for child in node["children"] or ()]
    absent = [child for child in children if str(child) not in hierarchy]
    assert (len(absent), NOWHERE in absent) == (2, True)
    [course] = [key for key in hierarchy if int(key) not in children]
    assert all(hierarchy[str(unit)]["children"] for unit in hierarchy[course]["children"])
    assert [len(node["title"]) for node in hierarchy.values() if len(node["title"].encode()) > 100] != []
    shared = Counter(lookup["skill_titles"].values()).most_common(2)
    assert [count for _, count in shared] == [2, 1]
    choices = [choice for activity in activities for choice in activity["choices"] or ()]
    assert sum("id" not in choice for choice in choices) == 1
    texts = [
        hint["content"][0]["children"][0]["text"] for activity in activities for part in activity["parts"] for hint in part["hints"] or ()
    ]
    assert texts.count("") == 1


def test_items_of_a_likert_activity_are_its_parts(lookup):
    likert = [activity for activity in lookup["activities"].values() if activity["type"] == "oli_likert"]
    assert likert
    assert all([item["id"] for item in one["items"]] == [part["id"] for part in one["parts"]] for one in likert)


def test_every_student_has_an_address_in_the_lookup(lookup, statements):
    assert {str(one["actor"]["account"]["name"]) for made in statements.values() for one in made} - {"41001", "41002"} <= lookup[
        "users"
    ].keys()
    addresses = [user["email"] for user in lookup["users"].values()]
    assert len(set(addresses)) == len(addresses) == 60
    assert all(re.fullmatch(r"student\d+@example\.edu", address) for address in addresses)


def test_now_and_then_an_answer_names_its_writer_and_nobody_else(lookup, statements):
    by_email = by_id = 0
    for one in statements["part_attempt"]:
        user, text = str(one["actor"]["account"]["name"]), json.dumps(one["result"]["response"])
        found = re.findall(r"student\d+@example\.edu", text)
        assert set(found) <= {lookup["users"][user]["email"]}
        by_email += bool(found)
        by_id += bool(re.search(rf"\b{user}\b", text))
    assert by_email
    assert by_id
    assert by_email + by_id < len(statements["part_attempt"]) / 50


def test_a_few_tutor_messages_are_no_xml(tutored):
    broken = sum(found is None for _, _, found in tutored)
    assert 0 < broken < len(tutored) / 8


def test_tutors_speak_with_a_user_and_a_time_of_their_own(tutored, lookup):
    times = set()
    for user, message in messages(tutored):
        assert message.findtext("meta/user_id") == lookup["users"][user]["email"]
        assert message.findtext("meta/time_zone") == "US/Eastern"
        time = message.findtext("meta/time") or ""
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?", time)
        times.add("." in time)
    assert times == {True, False}


def test_ids_of_tutors_repeat_between_students(tutored):
    owners: dict[tuple[str, str], set[str]] = defaultdict(set)
    for user, message in messages(tutored):
        event = message.find("semantic_event")
        if event is not None:
            owners[message.attrib["context_message_id"], event.attrib["transaction_id"]].add(user)
    assert max(map(len, owners.values())) > 1


def test_tool_messages_come_with_their_replies_before_them_alone_or_answered_twice(tutored):
    tools, replies, together = set(), Counter(), 0
    for user, found in {xml: (user, found) for user, xml, found in tutored if found is not None}.values():  # replays once
        tags = [message.tag for message in found]
        together += tags == ["tool_message", "tutor_message"]
        for message in found:
            event = message.find("semantic_event")
            if event is not None:
                own = user, message.attrib["context_message_id"], event.attrib["transaction_id"]
                if message.tag == "tool_message":
                    tools.add(own)
                else:
                    replies[own] += 1
    assert together > 10
    assert max(replies.values()) == 2
    assert {own for own in tools if not replies[own]}


def test_replies_judge_advise_number_their_hints_and_name_skills(tutored):
    seen: dict[str, set[Any]] = defaultdict(set)
    for _, message in messages(tutored):
        if message.tag == "context_message":
            assert message.findtext("dataset/name") == "CTAT Stoichiometry & Units 2014"
            assert message.findtext("dataset/level/level/problem/name")
        evaluated = message.find("action_evaluation")
        if evaluated is None:
            continue
        event = message.find("semantic_event")
        assert event is not None
        assert event.attrib["name"] == ("HINT_MSG" if evaluated.text == "HINT" else "RESULT")
        assert message.findtext("tutor_advice")
        seen["outcome"].add(evaluated.text)
        seen["hint"].add((evaluated.get("current_hint_number"), evaluated.get("total_hints_available")))
        for skill in message.iter("skill"):
            assert skill.findtext("name")
            assert skill.findtext("category")
            seen["model"].add(skill.findtext("model_name"))
    assert seen["outcome"] == {"CORRECT", "INCORRECT", "HINT"}
    assert {(None, None), ("1", "3")} <= seen["hint"]
    assert seen["model"] == {"CTAT balance", None}


def test_requests_cover_every_action(root):
    requests = {path.stem: json.loads(path.read_text()) for path in (root / "datasets/requests").iterdir()}
    assert requests.keys() == {"sample-attempts", "sample-page-views", "sample-video", "sample-datashop"}
    datashop = requests["sample-datashop"]
    assert (datashop["action"], datashop["format"]) == ("datashop", ["datashop-xml", "datashop-tab"])
    assert datashop["section_ids"] == requests["sample-attempts"]["section_ids"]
    assert {path.stem for path in (root / "datasets/contexts").iterdir()} == {"sample-csv", *requests}
