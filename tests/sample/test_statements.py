"""Canonical statements are, byte for byte, the examples of the reference."""

from __future__ import annotations

import hashlib

import pytest

from torus_assets.sample import statements as st
from torus_assets.sample.course import Activity, Page, Part

PART = Part("1", 1.0, (59012, 59044), "[59012,59044]", (), (), (), (), ())
ACTIVITY = Activity(60511, 210774, "oli_multiple_choice", (PART,), (), ())
PAGE = Page(60480, "Cells", False, False, 0, (ACTIVITY,), "https://cdn.example.edu/v/cells-01.mp4", "Cells, part 1", "2918847710")
SCENE = st.Scene(
    actor=st.actor(41207, as_text=False),
    enrollment=f'"{st.E}enrollment_id":77310,',
    session=f',"{st.E}session_id":"b0f6a2de-1f7a-4c67-8a43-5f0f4e7c9d21"',
    page=PAGE,
    page_guid="5f0b7c52-9a41-4c1e-8f0d-2f6f3a7b1c10",
    page_number=2,
    project=st.project_text(118, 904),
    section=st.section_text(3021),
    day="2026-02-03",
)
GUID = "c1d2a8e4-63b5-4a0f-9d17-0b9e55a4f2aa"
FEEDBACK = '{"content":[{"children":[{"text":"Not quite: check the units."}],"id":"77120","type":"p"}],"id":"1190442"}'
TRIED = st.Tried(PART, "9b7e1f30-2c44-4f0a-b6a7-7d1e0c9a5501", 0.0, '["773001"]', '{"files":[],"input":"2887301124"}', FEEDBACK)
TUTORED = (
    '<message><tool_message context_message_id="A17"><meta><user_id>x</user_id><session_id>s</session_id><time>2026-02-03 15:05:01</time>'
    '<time_zone>US/Eastern</time_zone></meta><problem_name>balance-3</problem_name><semantic_event transaction_id="T9" name="ATTEMPT"/>'
    "<event_descriptor><selection>coef1</selection><action>UpdateTextField</action><input>2</input></event_descriptor></tool_message></message>"
)
LENGTH = f',"{st.V}length":312.44'
PAUSED = f'"{st.V}played-segments":"12.5[.]30[,]33[.]48.25","{st.V}progress":0.105,"{st.V}time":48.25'
COMPLETED = f'"{st.V}played-segments":"12.5[.]48.25[,]120[.]312.44","{st.V}progress":0.73,"{st.V}time":312.44'


def at(clock: str) -> int:
    return st.CLOCK.index(clock)


@pytest.mark.parametrize(
    ("line", "digest"),
    [
        (
            st.part_attempt(SCENE, ACTIVITY, GUID, 1, TRIED, at("15:06:41")),
            "6727003c7e53787e58ff901f391400e3b9c87f8de3963233e2422255d536ca52",
        ),
        (
            st.activity_attempt(SCENE, ACTIVITY, GUID, 1, 0.0, at("15:06:41")),
            "ac5a91c094fed1e09986c9891c9c34f0cfe95a65bbc7b839c42b81da3e444643",
        ),
        (st.page_attempt(SCENE, 7.5, 10.0, at("15:06:41")), "ede48078cd04a0af664bcbc5daa2f9db38b0422cbc961d97d84027be5ce4e098"),
        (st.page_viewed(SCENE, at("15:03:58"), 410277), "ffcb574f218ce72a8dd76339226acfae5b07bdc707a9316b06fae7027e05834b"),
        (
            st.video(SCENE, "played", f'"{st.V}time":12.5', LENGTH, 3021, at("15:04:05"), 118204),
            "b06ec3b8b82dde5141ff91a6c476e101601bf0e82442c19725b4fc1cfd4c01ac",
        ),
        (
            st.video(SCENE, "paused", PAUSED, LENGTH, 3021, at("15:04:41"), 7311),
            "aa8a53c803df70ad9cd8ac85e094616c8d20711b985f94b14cdd83f3b48cda86",
        ),
        (
            st.video(SCENE, "seeked", f'"{st.V}time-from":48.25,"{st.V}time-to":120.0', "", 3021, at("15:04:43"), 550012),
            "788ac502082f6fa9d957fef1a245d81feaefeca150904e1e7c9a08d53b7e843b",
        ),
        (
            st.video(SCENE, "completed", COMPLETED, f',"{st.V}completion-threshold":"1.0"{LENGTH}', 3021, at("15:09:58"), 900140),
            "b1a9dd186e1c2e97f04d53cd262b2b634836d0c9a162cdfffd62ff799710ff0f",
        ),
        (
            st.tutor_message(SCENE, ACTIVITY, GUID, 1, TUTORED, at("15:05:01"), 660902),
            "b63fe0826c31967e299f9d9112ef979dfba2ea7d0fbe2c26869e74b3b6906e94",
        ),
    ],
    ids=["part", "activity", "page", "viewed", "played", "paused", "seeked", "completed", "tutor"],
)
def test_a_statement_has_the_bytes_of_the_reference(line: bytes, digest: str) -> None:
    assert hashlib.sha256(line).hexdigest() == digest
