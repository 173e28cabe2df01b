"""A failed run is told once, in words; a run that mends it takes it back."""

from datetime import UTC, datetime

import dagster as dg
import pytest

from sensors import interrupted
from sensors.failures import NOTED, failed_runs, right_again
from tests.sensors.runs import Place, in_memory, on_disk, place_at
from torus_assets.failures.notices import Failure
from torus_assets.failures.spans import spans_of
from torus_assets.steps import FAILURE, step
from torus_assets.warehouse.load import HeldDay

DAYS = dg.DailyPartitionsDefinition("2026-02-01", end_date="2026-03-01")
CANARY = "canary-41207@example.edu"


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("TORUS_HOME", str(tmp_path))
    with place_at(tmp_path, in_memory()) as opened:
        yield opened


def job(work, name: str = "refresh") -> dg.JobDefinition:
    """A job of one asset over days, whose work is given the context."""

    @dg.asset(partitions_def=DAYS, check_specs=[dg.AssetCheckSpec("few_quarantined", asset="raw_events", blocking=True)])
    def raw_events(context: dg.AssetExecutionContext):
        with step(context):
            passed = work(context)
        yield dg.MaterializeResult()
        yield dg.AssetCheckResult(passed=passed is not False, metadata={"what_to_do": "Look at the quarantine."})

    return dg.Definitions(assets=[raw_events], jobs=[dg.define_asset_job(name, [raw_events], partitions_def=DAYS)]).resolve_job_def(name)


def held(context):
    raise HeldDay(f"{context.partition_key} is held: 812 lines were refused")


def plain(context):
    raise ValueError(CANARY)


class Sensors:
    """Both sensors with their cursors, as the daemon keeps them."""

    def __init__(self, place: Place) -> None:
        self.place, self.cursors = place, {}
        self.tick()  # the first tick only takes its position

    def tick(self) -> None:
        for sensor in (failed_runs, right_again):
            found = self.place.tick(sensor, self.cursors.get(sensor.name))
            self.cursors[sensor.name] = found.cursor
            assert not [reaction.error for reaction in found.dagster_run_reactions or () if reaction.error]


def test_one_message_says_what_failed_for_which_partition_why_and_what_to_do(place):
    sensors = Sensors(place)
    run = place.run(job(held), "2026-02-02")
    sensors.tick()
    [told] = place.messages
    assert told.splitlines()[:3] == [
        "refresh / raw_events: failed, and running it again will not cure it",
        "Partitions: 2026-02-02",
        "Why: 2026-02-02 is held: 812 lines were refused",
    ]
    assert "What to do: Look at `torus quarantine list`" in told
    assert told.endswith(f"Run: /runs/{run.run_id}")
    assert len(told.splitlines()) <= 10


def test_the_same_failure_of_other_days_is_one_notice_and_told_once(place):
    sensors = Sensors(place)
    for day in ("2026-02-02", "2026-02-03", "2026-02-05"):
        place.run(job(held), day)
        sensors.tick()
    assert len(place.messages) == 1
    [notice] = place.book.open()
    assert notice.spans == spans_of(["2026-02-02", "2026-02-03", "2026-02-05"])
    assert notice.count == 3


def test_a_success_of_the_same_step_and_day_in_any_job_takes_it_back(place):
    sensors = Sensors(place)
    place.run(job(held), "2026-02-02")
    place.run(job(held), "2026-02-03")
    sensors.tick()
    place.run(job(lambda context: True, "warehouse_load"), "2026-02-02")
    sensors.tick()
    assert [notice.spans for notice in place.book.open()] == [spans_of(["2026-02-03"])]
    place.run(job(lambda context: True, "warehouse_load"), "2026-02-03")
    sensors.tick()
    assert place.book.open() == []
    place.run(job(held), "2026-02-02")
    sensors.tick()
    assert len(place.messages) == 2


def test_a_check_that_did_not_pass_is_named_with_what_to_do(place):
    sensors = Sensors(place)
    run = place.run(job(lambda context: False), "2026-02-02")
    sensors.tick()
    [told] = place.messages
    assert "refresh / raw_events: done, but a check did not pass" in told
    assert "Why: check raw_events:few_quarantined did not pass" in told
    assert "What to do: Look at the quarantine." in told
    assert place.instance.get_run_by_id(run.run_id).tags[FAILURE] == "check"


def test_what_a_learner_wrote_is_in_no_message_and_no_notice(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("TORUS_HOME", str(tmp_path))
    with place_at(tmp_path, on_disk(tmp_path / "dagster")) as place:
        sensors = Sensors(place)
        place.run(job(plain), "2026-02-02")
        sensors.tick()
    [told] = place.messages
    assert "ValueError" in told
    kept = b"".join(path.read_bytes() for folder in ("lake", "dagster") for path in (place.root / folder).rglob("*") if path.is_file())
    assert CANARY.encode() not in kept
    assert CANARY not in told + caplog.text


def test_a_step_outside_the_frame_gives_its_class_and_not_its_words(place):
    @dg.op
    def bare():
        raise KeyError(CANARY)

    @dg.job
    def loose():
        bare()

    sensors = Sensors(place)
    place.run(loose)
    sensors.tick()
    [told] = place.messages
    assert "Why: KeyError" in told
    assert CANARY not in told


def test_what_is_not_delivered_is_told_with_the_next_tick_of_the_other_sensor(place):
    sensors = Sensors(place)
    place.hook.status = 503
    place.run(job(held), "2026-02-02")
    sensors.tick()
    assert place.messages == []
    place.hook.status = 200
    place.tick(interrupted.interrupted_runs)
    assert len(place.messages) == 1
    place.tick(interrupted.interrupted_runs)
    assert len(place.messages) == 1


def test_a_failure_from_before_the_sensor_was_on_is_found_and_counted_once(place):
    run = place.run(job(held), "2026-02-02")
    Sensors(place)  # its first tick passes by what was before
    assert place.book.open() == []
    place.tick(interrupted.interrupted_runs)
    [notice] = place.book.open()
    assert place.instance.get_run_by_id(run.run_id).tags[NOTED] == notice.fingerprint
    place.tick(interrupted.interrupted_runs)
    assert [one.count for one in place.book.open()] == [1]


def test_two_steps_that_failed_are_two_notices(place):
    @dg.op
    def one():
        raise dg.Failure("one is wrong", allow_retries=False)

    @dg.op
    def other():
        raise dg.Failure("another is wrong", allow_retries=False)

    @dg.job
    def both():
        one()
        other()

    sensors = Sensors(place)
    place.run(both)
    sensors.tick()
    assert sorted(body["step"] for body in place.hook.got) == ["one", "other"]


def test_a_success_from_before_the_failure_takes_nothing_back(place):
    place.run(job(lambda context: True), "2026-02-02")
    sensors = Sensors(place)
    later = Failure("refresh", "raw_events", "permanent", "K", "t", "w", datetime.now(UTC), "r", spans_of(["2026-02-02"]))
    place.book.note(later)
    sensors.cursors.clear()
    sensors.tick()
    assert len(place.book.open()) == 1
