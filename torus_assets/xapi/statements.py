"""What a Torus xAPI statement looks like: one typed shape per kind, as the emitters write it.

Attributes carry the name of the lake column they feed, so that a field of a wrong type is counted under that column. Optional
fields are those that some emitter version leaves out (spec/xapi.md 4); required ones are those that every emitter writes and
that end in a column. A field that we do not carry cannot be missed.
"""

from __future__ import annotations

from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import Raw, Struct, field

OLI = "http://oli.cmu.edu/extensions/"
OLI_HTTPS = "https://oli.cmu.edu/extensions/"  # the earliest loader's scheme; `http` wins
VIDEO = "https://w3id.org/xapi/video/extensions/"

Id = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
UserId = int | Annotated[str, msgspec.Meta(min_length=1)]
ABSENT = Raw(b"")

# Fields that join or order: a wrong type refuses the line. All others become null and are counted (DESIGN 4).
JOINING = frozenset(
    [
        "account",
        "user_id",
        "mbox",
        "home_page",
        "timestamp",
        "section_id",
        "page_id",
        "resource_id",
        "activity_id",
        "part_id",
        "page_attempt_guid",
        "activity_attempt_guid",
        "part_attempt_guid",
        "score",
        "verb_id",
        "type",
    ]
)


class Refused(Exception):
    """A line that cannot become a row: the reason's code, and the path with what was expected (never a value)."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def oli(name: str, **options: Any) -> Any:
    return field(name=OLI + name, **options)


def video(name: str, **options: Any) -> Any:
    return field(name=VIDEO + name, **options)


class Account(Struct):
    user_id: UserId = field(name="name")
    home_page: str = field(name="homePage")


class Actor(Struct):
    account: Account | None = None
    mbox: str | None = None  # in no emitter read; both upstream loaders fall back to it


class Display(Struct):
    verb_display: str | None = field(name="en-US", default=None)


class Verb(Struct):
    verb_id: str = field(name="id")
    display: Display | None = None


class Definition(Struct):
    type: str | None = None


class Object(Struct):
    definition: Definition = field(default_factory=Definition)


class Scope(Struct, kw_only=True):
    """Context extensions that every kind has."""

    section_id: Id | None = oli("section_id", default=None)
    project_id: Id | None = oli("project_id")
    publication_id: Id | None = oli("publication_id")
    enrollment_id: Id | None = oli("enrollment_id", default=None)
    experiment_attributions: Raw = oli("experiment_attributions", default=ABSENT)


X = TypeVar("X")
R = TypeVar("R")
T = TypeVar("T")


class Context(Struct, Generic[X]):
    extensions: X


class Statement(Struct, Generic[X, R, T], kw_only=True):
    """A bare xAPI statement; `X` are its context extensions, `R` its result, `T` its object."""

    actor: Actor
    verb: Verb
    object: T
    context: Context[X]
    result: R
    timestamp: str
    statement_id: str | None = field(name="id", default=None)


# What the kinds add. Section numbers are those of spec/xapi.md.


class OnPage(Scope, kw_only=True):
    page_id: Id = oli("page_id")
    page_attempt_guid: str = oli("page_attempt_guid")
    page_attempt_number: Count | None = oli("page_attempt_number")


class OnActivity(OnPage, kw_only=True):
    activity_id: Id = oli("activity_id")
    activity_revision_id: Id | None = oli("activity_revision_id")
    activity_attempt_guid: str = oli("activity_attempt_guid")
    activity_attempt_number: Count | None = oli("activity_attempt_number")


class OnPart(OnActivity, kw_only=True):
    part_id: str = oli("part_id")
    part_attempt_guid: str = oli("part_attempt_guid")
    part_attempt_number: Count | None = oli("part_attempt_number")
    hint_ids: list[str | int] | None = oli("hints_requested")
    attached_objectives: list[Id] | None = oli("attached_objectives")
    session_id: str | None = oli("session_id", default=None)


class OnVideo(Scope, kw_only=True):
    """Video says `resource_id`; the legacy `completed` says `page_id` instead (4.5)."""

    resource_id: Id | None = oli("resource_id", default=None)
    page_id: Id | None = oli("page_id", default=None)
    content_element_id: str | None = oli("content_element_id", default=None)
    page_attempt_guid: str | None = oli("page_attempt_guid")
    page_attempt_number: Count | None = oli("page_attempt_number")
    video_length: float | None = video("length", default=None)


class Score(Struct):
    score: float = field(name="raw")
    out_of: float | None = field(name="max")
    scaled_score: float | None = field(name="scaled")


class Done(Struct, kw_only=True):
    success: bool | None
    completion: bool | None


class Scored(Done, kw_only=True):
    score: Score


class Feedback(Struct):
    feedback: Raw = oli("feedback")


class Answered(Scored, kw_only=True):
    response: Raw
    extensions: Feedback


class VideoState(Struct):
    video_time: float | None = video("time", default=None)
    video_progress: float | None = video("progress", default=None)
    video_played_segments: str | None = video("played-segments", default=None)
    video_seek_from: float | None = video("time-from", default=None)
    video_seek_to: float | None = video("time-to", default=None)
    video_length: float | None = video("length", default=None)
    # where early loaders looked (4.5)
    content_element_id: str | None = None
    video_time_early: float | None = field(name="video_play_time", default=None)
    video_length_early: float | None = field(name="length", default=None)


class Watched(Struct):
    extensions: VideoState = field(default_factory=VideoState)
    video_length: float | None = field(name="length", default=None)


class Message(Struct):
    tutor_xml: str = field(name="message")


class Nothing(Struct):
    """Kinds without a result."""


class ViewedDefinition(Definition):
    page_sub_type: str | None = field(name="subType", default=None)


class ViewedObject(Struct):
    definition: ViewedDefinition = field(default_factory=ViewedDefinition)


class Title(Struct):
    video_title: str | None = field(name="en-US")


class VideoDefinitionExtensions(Struct):
    video_length: float | None = video("length", default=None)
    video_length_early: float | None = field(name="length", default=None)


class VideoDefinition(Definition, kw_only=True):
    title: Title = field(name="name")
    extensions: VideoDefinitionExtensions | None = None


class VideoObject(Struct, kw_only=True):
    video_url: str | None = field(name="id")
    definition: VideoDefinition


class AnyScope(Scope, kw_only=True):
    """Of statements of unknown kinds: what every statement has may be there."""

    project_id: Id | None = oli("project_id", default=None)
    publication_id: Id | None = oli("publication_id", default=None)


class AnyContext(Struct):
    extensions: AnyScope = field(default_factory=AnyScope)


class AnyStatement(Struct, kw_only=True):
    """The envelope of a statement whose kind we do not know."""

    actor: Actor
    verb: Verb
    context: AnyContext = field(default_factory=AnyContext)
    timestamp: str
    statement_id: str | None = field(name="id", default=None)


class Assigned(Struct, kw_only=True):
    """An experiment assignment has no result (4.8)."""

    actor: Actor
    verb: Verb
    object: Object
    context: Context[Scope]
    timestamp: str
    statement_id: str | None = field(name="id", default=None)


PartAttempt = Statement[OnPart, Answered, Object]
ActivityAttempt = Statement[OnActivity, Scored, Object]
PageAttempt = Statement[OnPage, Scored, Object]
PageView = Statement[OnPage, Done, ViewedObject]
VideoEvent = Statement[OnVideo, Watched, VideoObject]
TutorMessage = Statement[OnActivity, Message, Object]
