"""The bytes of each kind of statement, as Torus emits them (spec/xapi.md 4): keys in alphabetical order, the stray brace in `object.id`.

Legal variants of these are made in `variants.py`, illegal ones in `damage.py`; both edit the finished bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from torus_assets.sample.course import Activity, Page, Part, json_text

HOST = "torus.example.edu"
E = "http://oli.cmu.edu/extensions/"
V = "https://w3id.org/xapi/video/extensions/"
CLOCK = tuple(f"{s // 3600:02d}:{s // 60 % 60:02d}:{s % 60:02d}" for s in range(86_400))

_DONE = '"verb":{"display":{"en-US":"completed"},"id":"http://adlnet.gov/expapi/verbs/completed"}}'
_VIDEO_TYPE = '"type":"https://w3id.org/xapi/video/activity-type/video"'


def actor(user_id: int, *, as_text: bool, scheme: str = "") -> str:
    """The start of a statement; older and newer emitters write the id and the home page differently."""
    name = f'"{user_id}"' if as_text else user_id
    return f'{{"actor":{{"account":{{"homePage":"{scheme}{HOST}","name":{name}}},"objectType":"Agent"}},"context":'


@dataclass(slots=True)
class Scene:
    """What all statements of one page visit share, as JSON text."""

    actor: str
    enrollment: str  # `"…/enrollment_id":1,`, or empty where the emitter was too old
    session: str  # `,"…/session_id":"…"`, or empty
    page: Page
    page_guid: str
    page_number: int
    project: str  # project and publication, with a comma behind
    section: str
    day: str

    @property
    def page_extensions(self) -> str:
        return f'"{E}page_attempt_guid":"{self.page_guid}","{E}page_attempt_number":{self.page_number},"{E}page_id":{self.page.page_id},'


def project_text(project_id: int, publication_id: int) -> str:
    return f'"{E}project_id":{project_id},"{E}publication_id":{publication_id},'


def section_text(section_id: int) -> str:
    return f'"{E}section_id":{section_id}'


def guid(rng: Random) -> str:
    text = f"{rng.getrandbits(128):032x}"
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"


def _score(raw: float, out_of: float) -> str:
    scaled = raw / out_of if out_of else 0.0
    return f'"score":{{"max":{out_of},"min":0,"raw":{raw},"scaled":{scaled}}},"success":true}}'


def _activity_extensions(activity: Activity, activity_guid: str, number: int) -> str:
    return (
        f'"{E}activity_attempt_guid":"{activity_guid}","{E}activity_attempt_number":{number},'
        f'"{E}activity_id":{activity.activity_id},"{E}activity_revision_id":{activity.revision_id},'
    )


@dataclass(slots=True)
class Tried:
    """One evaluated part."""

    part: Part
    guid: str
    score: float
    hints: str  # JSON
    response: str  # JSON
    feedback: str  # JSON
    number: int = 1


def part_attempt(scene: Scene, activity: Activity, activity_guid: str, number: int, tried: Tried, second: int) -> bytes:
    part = tried.part
    return (
        f'{scene.actor}{{"extensions":{{{_activity_extensions(activity, activity_guid, number)}'
        f'"{E}attached_objectives":{part.objectives},{scene.enrollment}"{E}hints_requested":{tried.hints},'
        f'"{E}page_attempt_guid":"{scene.page_guid}","{E}page_attempt_number":{scene.page_number},'
        f'"{E}page_id":{scene.page.page_id},"{E}part_attempt_guid":"{tried.guid}",'
        f'"{E}part_attempt_number":{tried.number},"{E}part_id":"{part.part_id}",{scene.project}{scene.section}{scene.session}}}}},'
        f'"object":{{"definition":{{"name":{{"en-US":"Part Attempt"}},'
        f'"type":"http://adlnet.gov/expapi/activities/question"}},'
        f'"id":"{HOST}/part_attempt/{tried.guid}}}","objectType":"Activity"}},'
        f'"result":{{"completion":true,"extensions":{{"{E}feedback":{tried.feedback}}},"response":{tried.response},'
        f'{_score(tried.score, part.out_of)},"timestamp":"{scene.day}T{CLOCK[second]}Z",{_DONE}'
    ).encode()


def activity_attempt(scene: Scene, activity: Activity, activity_guid: str, number: int, score: float, second: int) -> bytes:
    return (
        f'{scene.actor}{{"extensions":{{{_activity_extensions(activity, activity_guid, number)}'
        f"{scene.enrollment}{scene.page_extensions}{scene.project}{scene.section}}}}},"
        f'"object":{{"definition":{{"name":{{"en-US":"Activity Attempt"}},"type":"{E}activity_attempt"}},'
        f'"id":"{HOST}/activity_attempt/{activity_guid}}}","objectType":"Activity"}},'
        f'"result":{{"completion":true,{_score(score, activity.out_of)},'
        f'"timestamp":"{scene.day}T{CLOCK[second]}Z",{_DONE}'
    ).encode()


def page_attempt(scene: Scene, score: float, out_of: float, second: int) -> bytes:
    return (
        f'{scene.actor}{{"extensions":{{{scene.enrollment}{scene.page_extensions}{scene.project}{scene.section}}}}},'
        f'"object":{{"definition":{{"name":{{"en-US":"Page Attempt"}},"type":"{E}page_attempt"}},'
        f'"id":"{HOST}/page_attempt/{scene.page_guid}}}","objectType":"Activity"}},'
        f'"result":{{"completion":true,{_score(score, out_of)},'
        f'"timestamp":"{scene.day}T{CLOCK[second]}Z",{_DONE}'
    ).encode()


def page_viewed(scene: Scene, second: int, micros: int) -> bytes:
    return (
        f'{scene.actor}{{"extensions":{{{scene.enrollment}{scene.page_extensions}{scene.project}{scene.section}}}}},'
        f'"object":{{"definition":{{"name":{{"en-US":"Page"}},"subType":"{"advanced" if scene.page.advanced else "basic"}",'
        f'"type":"{E}types/page"}},"id":"{HOST}/page/{scene.page.page_id}}}","objectType":"Page"}},'
        f'"result":{{"completion":true,"success":true}},"timestamp":"{scene.day}T{CLOCK[second]}.{micros:06d}Z",'
        '"verb":{"display":{"en-US":"viewed"},"id":"http://id.tincanapi.com/verb/viewed"}}'
    ).encode()


def video(scene: Scene, verb: str, result: str, length: str, section_id: int, second: int, micros: int) -> bytes:
    """One video event; `result` and `length` are the JSON members of `result.extensions` and of the context."""
    page = scene.page
    return (
        f'{scene.actor}{{"contextActivities":{{"category":[{{"id":"https://w3id.org/xapi/video"}}]}},'
        f'"extensions":{{"{E}content_element_id":"{page.element}",{scene.enrollment}'
        f'"{E}page_attempt_guid":"{scene.page_guid}","{E}page_attempt_number":{scene.page_number},'
        f'{scene.project}"{E}resource_id":{page.page_id},{scene.section}{length}}}}},'
        f'"object":{{"definition":{{"name":{{"en-US":{json_text(page.video_title)}}},{_VIDEO_TYPE}}},'
        f'"id":"{page.video}","objectType":"Activity"}},'
        f'"registration":"{section_id}-{page.page_id}-{page.element}","result":{{"extensions":{{{result}}}}},'
        f'"timestamp":"{scene.day}T{CLOCK[second]}.{micros:06d}Z",'
        f'"verb":{{"display":{{"en-US":"{verb}"}},"id":"https://w3id.org/xapi/video/verbs/{verb}"}}}}'
    ).encode()


def tutor_message(scene: Scene, activity: Activity, activity_guid: str, number: int, xml: str, second: int, micros: int) -> bytes:
    return (
        f'{scene.actor}{{"extensions":{{{_activity_extensions(activity, activity_guid, number)}'
        f"{scene.enrollment}{scene.page_extensions}{scene.project}{scene.section}}}}},"
        f'"object":{{"definition":{{"name":{{"en-US":"Tutor Message"}},"type":"{E}tutor_message"}},'
        f'"id":"{HOST}/tutor_message/{activity_guid}","objectType":"Tutor"}},"result":{{"message":{json_text(xml)}}},'
        f'"timestamp":"{scene.day}T{CLOCK[second]}.{micros:06d}Z",'
        '"verb":{"display":{"en-US":"created"},"id":"http://activitystrea.ms/schema/1.0/create"}}'
    ).encode()


def attribution(role: str, assignment_id: int) -> str:
    """One entry of `experiment_attributions`; older statements have `idempotency_key` instead of `key`."""
    entry: dict[str, object] = {
        "algorithm": "weighted_random",
        "assignment_id": assignment_id,
        "assignment_key": f"31:12:{assignment_id}",
        "attribution_type": role,
        "condition_code": "video-first" if assignment_id % 2 else "text-first",
        "condition_id": 88 + assignment_id % 2,
        "experiment_id": 31,
        "experiment_uuid": "0d6f3f0e-8a55-4f7b-9e0a-3b1b7f2f9c11",
        "role": role,
        "key" if assignment_id % 5 else "idempotency_key": f"31:12:{assignment_id}:{role}",
    }
    return f'"{E}experiment_attributions":{json_text([entry])},'


def experiment_assignment(text_actor: str, enrollment: str, place: str, assignment_id: int, day: str, second: int) -> bytes:
    return (
        f'{text_actor}{{"extensions":{{{enrollment}{attribution("assignment", assignment_id)}{place}}}}},'
        f'"object":{{"definition":{{"name":{{"en-US":"Experiment condition assignment"}},'
        f'"type":"{E}types/condition_assignment"}},'
        f'"id":"https://{HOST}/experiments/0d6f3f0e-8a55-4f7b-9e0a-3b1b7f2f9c11/assignments/{assignment_id}",'
        f'"objectType":"Activity"}},"timestamp":"{day}T{CLOCK[second]}Z",'
        f'"verb":{{"display":{{"en-US":"experiment condition assigned"}},'
        f'"id":"{E}verbs/experiment_condition_assigned"}}}}'
    ).encode()


def forum_post(scene: Scene, second: int, micros: int) -> bytes:
    """A kind nobody knows, with the full envelope: kept as `other`."""
    return (
        f'{scene.actor}{{"extensions":{{{scene.enrollment}"{E}page_id":{scene.page.page_id},{scene.project}{scene.section}}}}},'
        f'"object":{{"definition":{{"name":{{"en-US":"Forum Post"}},"type":"{E}types/forum_post"}},'
        f'"id":"{HOST}/forum_post/{micros}","objectType":"Activity"}},'
        f'"timestamp":"{scene.day}T{CLOCK[second]}.{micros:06d}Z",'
        '"verb":{"display":{"en-US":"commented"},"id":"http://adlnet.gov/expapi/verbs/commented"}}'
    ).encode()
