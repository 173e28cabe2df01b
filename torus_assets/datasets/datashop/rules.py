"""What DataShop takes: names, limits and words, declared once for the writers and for the verifier.

Source: spec/datashop.md 2 to 5 and 7. Where the XML form counts characters and the tab-delimited form bytes, names that stand in
both are held to the narrower of the two, in bytes of UTF-8, so that both forms say the same.
"""

from __future__ import annotations

import re

DATASHOP_VERSION = 1  # goes up when the same rows of the lake would give other bytes; part of the content id of a run

ROOT = "tutor_related_message_sequence"
VERSION = "4"

START_PROBLEM = "START_PROBLEM"
ATTEMPT, RESULT = "ATTEMPT", "RESULT"
HINT_REQUEST, HINT_MSG = "HINT_REQUEST", "HINT_MSG"
REPLIES = {ATTEMPT: RESULT, HINT_REQUEST: HINT_MSG}  # what a tool message's event is answered by; any other pair is ignored
CORRECT, INCORRECT, HINT = "CORRECT", "INCORRECT", "HINT"
OUTCOMES = (CORRECT, INCORRECT, HINT)
CORRECT_ALIASES, INCORRECT_ALIASES = ("correct", "ok"), ("incorrect", "error", "bug")  # read case-blind; `hint`, `help` anywhere: HINT
TUTOR_FLAGS = ("tutor", "test", "pre-test", "post-test", "other")
DEFAULT_MODEL = "Default"
TIME_ZONE = "UTC"

# Bytes of UTF-8. The limits of the XML form in characters are the same numbers, but for the last three.
USER, SESSION, MESSAGE_ID = 55, 255, 100
ZONE, CONTEXT_NAME, DATASET, LEVEL, LEVEL_TYPE = 50, 100, 100, 100, 100
PROBLEM = 100  # the database has 255, but the validator tool holds every name inside `dataset` to 100
STEP, SELECTION, ACTION = 255, 255, 255
EVENT_NAME, OUTCOME, CLASSIFICATION, HINT_ID = 30, 30, 255, 255
SKILL, SKILL_CATEGORY, SKILL_MODEL = 65_535, 50, 50
CONDITION, CONDITION_TYPE = 80, 255
FIELD_NAME, FIELD_VALUE = 255, 65_000
CLASS, SCHOOL, PERIOD, CLASS_DESCRIPTION, INSTRUCTOR = 75, 100, 50, 255, 55
INPUT, TAB_INPUT = 65_535, 255
ADVICE = 65_535
PROBLEM_CONTEXT = 65_535

NAME_CHARACTERS = re.compile(r"[A-Za-z0-9 _-]+")  # of level types, KC models and custom fields in column headings

TIME = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}\.\d{3}")  # exactly three digits: `.5` is read as 5 ms, `.123456` as two minutes
YEARS_BACK, YEARS_AHEAD = 50, 20  # the importer replaces times outside

# Characters: what XML 1.0 forbids (also as references), and what MySQL's three-byte utf8 cannot store.
FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
ASTRAL = re.compile("[\U00010000-\U0010ffff]")
BLANKS = re.compile(r"[\t\n\r]+")  # the importer turns a run of these into one blank, and trims
STAND_IN = "\ufffd"

MOST_BYTES = 32 << 20  # of one file: the loader builds the whole document in memory

# The columns of the tab-delimited form, in the order of DataShop's own export (spec/datashop.md 7). `{}` is filled and repeated.
TAB_HEAD = (
    "Row", "Sample Name", "Transaction Id", "Anon Student Id", "Session Id", "Time", "Time Zone",
    "Student Response Type", "Student Response Subtype", "Tutor Response Type", "Tutor Response Subtype",
)  # fmt: skip
TAB_LEVEL = "Level ({})"
TAB_PROBLEM = (
    "Problem Name",
    "Problem View",
    "Problem Start Time",
    "Step Name",
    "Attempt At Step",
    "Outcome",
    "Selection",
    "Action",
    "Input",
)
TAB_FEEDBACK = ("Feedback Text", "Feedback Classification", "Help Level", "Total Num Hints")
TAB_KC, TAB_KC_CATEGORY = "KC ({})", "KC Category ({})"
TAB_TAIL = ("School", "Class")
TAB_FIELD = "CF ({})"
