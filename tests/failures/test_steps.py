"""The frame around a step: what Dagster keeps of a failure, whether it is tried again, and what it never keeps."""

from pathlib import Path

import dagster as dg
import duckdb
import pytest

from tests.sensors.runs import in_memory, on_disk
from torus_assets.clients.clickhouse import WarehouseBusy
from torus_assets.failures.processes import parsed, this_process
from torus_assets.steps import FAILURE, PROCESS, RETRIES, step
from torus_assets.warehouse.load import HeldDay

AT_ONCE = dg.RetryPolicy(max_retries=2, delay=0)
CANARY = "canary-41207@example.edu"


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("TORUS_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def instance():
    with in_memory() as opened:
        yield opened


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """An instance on disk, for all tests that look into its files."""
    with on_disk(tmp_path_factory.mktemp("kept") / "dagster") as opened:
        yield opened


def run(instance: dg.DagsterInstance, work, policy: dg.RetryPolicy | None = AT_ONCE):
    """One run of an asset that does `work` inside a step, and how often it was tried."""
    tries = []

    @dg.asset(retry_policy=policy)
    def worked(context: dg.AssetExecutionContext) -> None:
        with step(context):
            tries.append(1)
            work()

    result = dg.materialize([worked], instance=instance, raise_on_error=False)
    return result, instance.get_run_by_id(result.run_id), len(tries)


def failing(error: Exception):
    def work():
        raise error

    return work


def failure_of(result) -> dict:
    [event] = [event for event in result.all_events if event.event_type == dg.DagsterEventType.STEP_FAILURE]
    told = event.step_failure_data.user_failure_data
    return {"description": told.description, **{name: value.value for name, value in told.metadata.items()}}


def stored(instance: dg.DagsterInstance) -> bytes:
    """Every byte that Dagster keeps."""
    return b"".join(path.read_bytes() for path in Path(instance.root_directory).rglob("*") if path.is_file())


def test_a_step_that_succeeds_names_its_process(home, instance):
    result, record, tries = run(instance, lambda: None)
    assert (result.success, tries) == (True, 1)
    assert parsed(record.tags[PROCESS]) == this_process()
    assert FAILURE not in record.tags


def test_a_permanent_failure_is_not_tried_again_and_says_what_to_do(home, instance):
    result, record, tries = run(instance, failing(HeldDay("2026-02-02 is held: 7 % of its lines were refused")))
    assert tries == 1
    shown = failure_of(result)
    assert shown["description"] == "2026-02-02 is held: 7 % of its lines were refused"
    assert shown["kind"] == "HeldDay"
    assert "torus quarantine list" in shown["what_to_do"]
    assert record.tags[FAILURE] == "permanent"


def test_a_transient_failure_is_tried_again_and_may_pass(home, instance):
    left = [WarehouseBusy("busy"), WarehouseBusy("busy")]

    def work():
        if left:
            raise left.pop()

    result, record, tries = run(instance, work)
    assert (result.success, tries) == (True, 3)
    assert FAILURE not in record.tags


def test_a_transient_failure_that_stays_keeps_its_words(home, instance):
    result, record, tries = run(instance, failing(WarehouseBusy("the chDB folder is open in another process")))
    assert tries == 3
    assert failure_of(result)["description"] == "the chDB folder is open in another process"
    assert "CLICKHOUSE_HOST" in failure_of(result)["what_to_do"]
    assert FAILURE not in record.tags


@pytest.mark.parametrize("policy", [AT_ONCE, None])
def test_the_text_of_a_library_is_kept_on_this_machine_and_not_by_dagster(home, kept, policy):
    def work():
        try:
            duckdb.sql(f"SELECT CAST('{CANARY}' AS INTEGER)").fetchall()
        except duckdb.Error as error:
            raise ValueError(f"in a row: {CANARY}") from error

    result, _, tries = run(kept, work, policy)
    assert tries == (3 if policy else 1)
    shown = failure_of(result)["description"]
    assert shown.startswith("ValueError: its text may quote learners and is not shown; it is in ")
    assert CANARY.encode() not in stored(kept)
    path = Path(shown.rpartition(" ")[2])
    assert path.is_relative_to(home / "errors")
    assert path.stat().st_mode & 0o777 == 0o600
    assert "ConversionException" in path.read_text()
    assert CANARY in path.read_text()


def test_a_text_that_cannot_be_kept_hides_nothing_of_the_failure(home, kept):
    (home / "errors").write_text("a file where the folder should be")
    result, _, _ = run(kept, failing(ValueError(CANARY)), None)
    assert failure_of(result)["description"].startswith(
        "ValueError: its text may quote learners and is not shown; it could not be kept either"
    )
    assert CANARY.encode() not in stored(kept)


def test_a_failure_that_says_all_of_it_already_goes_through(home, instance):
    result, _, tries = run(instance, failing(dg.Failure("said already", metadata={"what_to_do": "this"}, allow_retries=False)))
    assert (tries, failure_of(result)) == (1, {"description": "said already", "what_to_do": "this"})


def test_retries_are_at_most_three_and_within_two_and_a_half_minutes():
    longest = [max(RETRIES.calculate_delay(attempt) for _ in range(200)) for attempt in (1, 2, 3)]
    assert RETRIES.max_retries == 3
    assert longest == sorted(longest)
    assert sum(longest) <= 140
