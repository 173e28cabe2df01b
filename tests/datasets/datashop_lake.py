"""What DataShop data sets are made of in tests: attempts with guids of their own, page views, the messages of embedded tutors; and the
finished files, read back as DataShop reads them."""

from __future__ import annotations

import io
import json
from functools import partial
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from tests.datasets import small_lake
from torus_assets.datasets.datashop.parsed import ParsedTransaction
from torus_assets.datasets.datashop.verify import Report, iter_transactions, verify

FORMS = ["datashop-xml", "datashop-tab"]
ENDS = {"xml": ".xml", "tab": ".txt"}


def attempt(name: str, user: Any = 41207, at: str = "12:00:00", day: str = "2026-01-02", **changes: Any) -> dict[str, Any]:
    """A part attempt whose guid is `name`: no hints, no skills, session `s-{user}`, unless told otherwise."""
    own = {"part_attempt_guid": name, "hints_requested": [], "attached_objectives": [], "session_id": f"s-{user}"}
    return small_lake.part(user, f"{day}T{at}Z", **(own | changes))


def opened(user: Any = 41207, at: str = "12:00:00", day: str = "2026-01-02", **changes: Any) -> dict[str, Any]:
    """A page view."""
    return small_lake.view(user, f"{day}T{at}Z", **changes)


def said(*messages: str, user: Any = 41207, at: str = "12:00:00", day: str = "2026-01-02", **changes: Any) -> dict[str, Any]:
    """One statement of an embedded tutor with these messages in it."""
    return small_lake.tutor("".join(messages), user, f"{day}T{at}Z", **changes)


# Messages of a tutor. Their `meta` is never to be believed.

META = "<meta><user_id>theirs</user_id><session_id>theirs</session_id><time>1999-01-01 00:00:00</time><time_zone>x</time_zone></meta>"


def declared(context: str = "A17", problem: str = "balance-3", more: str = "", flag: str = "tutor") -> str:
    return (
        f'<context_message context_message_id="{context}" name="START_PROBLEM">{META}<dataset><name>theirs</name>'
        f"<level><name>theirs</name><problem tutorFlag={quoteattr(flag)}><name>{escape(problem)}</name></problem></level></dataset>{more}"
        "</context_message>"
    )


def tool(transaction: str = "T9", context: str = "A17", name: str = "ATTEMPT", input: str = "2", more: str = "") -> str:  # noqa: A002
    return (
        f'<tool_message context_message_id="{context}">{META}<problem_name>balance-3</problem_name>'
        f'<semantic_event transaction_id="{transaction}" name="{name}"/><event_descriptor><selection>coef1</selection>'
        f"<action>UpdateTextField</action><input>{escape(input)}</input></event_descriptor>{more}</tool_message>"
    )


def reply(
    transaction: str = "T9", context: str = "A17", name: str = "RESULT", outcome: str = "CORRECT", advice: str = "", more: str = "",
    numbers: str = "",
) -> str:  # fmt: skip
    shown = f"<tutor_advice>{escape(advice)}</tutor_advice>" if advice else ""
    return (
        f'<tutor_message context_message_id="{context}">{META}<semantic_event transaction_id="{transaction}" name="{name}"/>'
        "<event_descriptor><selection>coef1</selection><action>UpdateTextField</action></event_descriptor>"
        f"<action_evaluation{numbers}>{escape(outcome)}</action_evaluation>{shown}{more}</tutor_message>"
    )


def skill(name: str, model: str = "", category: str = "") -> str:
    shown = f"<model_name>{model}</model_name>" if model else ""
    return f"<skill><name>{escape(name)}</name><category>{category}</category>{shown}</skill>"


def custom(name: str, value: str) -> str:
    return f"<custom_field><name>{escape(name)}</name><value>{escape(value)}</value></custom_field>"


# What was made


def look_up(store: Any, document: dict[str, Any], job: str = "job-1") -> None:
    """Puts the lookup of a job where the export finds it."""
    store.put(f"contexts/{job}.json", json.dumps(document).encode())


def exported(make: Any, *, named: bool = True, **keys: Any) -> Any:
    """A data set in both forms, sound by every check there is; `named`: with guids and sessions as they came."""
    permitted = {"anonymize": False, "permitted_by": "IRB 2026-17"} if named else {}
    made = make("datashop", **({"format": FORMS} | permitted | keys))
    is_sound(made)
    return made


def files_of(made: Any, form: str = "xml") -> list[tuple[str, Any]]:
    """Name and opener of each file of a form."""
    names = [name for name in made.result.chunks if name.endswith(ENDS[form])]
    return [(name, partial(io.BytesIO, made.body(name))) for name in names]


def read(made: Any, form: str = "xml") -> list[ParsedTransaction]:
    return list(iter_transactions(files_of(made, form)))


def by_guid(made: Any, form: str = "xml") -> dict[str, ParsedTransaction]:
    """Attempts (no hints) by the guid of the part attempt."""
    attempts = [one for one in read(made, form) if one.student_type == "ATTEMPT"]
    return {one.fields["part_attempt_guid"]: one for one in attempts if "part_attempt_guid" in one.fields}


def judged(made: Any, form: str = "xml") -> Report:
    return verify(files_of(made, form))


def is_sound(made: Any) -> None:
    """It passed its own checks, the verifier has no error in either form, and both forms say the same."""
    assert made.result.ok, made.result.checks
    for form in ENDS:
        if files_of(made, form):
            report = judged(made, form)
            assert report.ok, report.findings
    if files_of(made, "xml") and files_of(made, "tab"):
        assert list(map(comparable, read(made, "xml"))) == list(map(comparable, read(made, "tab")))


def comparable(one: ParsedTransaction) -> ParsedTransaction:
    """Without what the forms cannot both say: XML has no view, a table no input of more than 255 bytes and no classification alone."""
    escaped = one.input.replace("\\", "\\\\").encode()[:250].decode(errors="ignore")
    return one._replace(view=None, input=escaped[:80], classification=one.classification if one.advice else "")


def notes(made: Any) -> dict[str, int]:
    """What was replaced, cut, not found."""
    return made.result.receipt["notes"]


def page_of(title: str, *above: str, **more: Any) -> dict[str, Any]:
    """A hierarchy in which page 60480 lies in these containers, outermost first."""
    nodes: dict[str, Any] = {"60480": {"title": title, **more}}
    child = 60480
    for number, name in enumerate(reversed(above), start=1):
        nodes[str(number)] = {"title": name, "children": [child]}
        child = number
    return {"hierarchy": nodes}
