"""The questions and orders of Dagster's screens, asked over GraphQL as the screens do."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

SECONDS = 60  # one answer
LOCATION, REPOSITORY = "torus", "__repository__"
RUN = "runId status jobName creationTime startTime endTime tags { key value } stepStats { stepKey status startTime }"
STATE = "id status ticks(limit: 40) { id status timestamp endTimestamp skipReason runIds error { message } }"


class Refused(RuntimeError):
    """The server answered with an error; the message is the server's."""


UNFINISHED = ("NOT_STARTED", "QUEUED", "STARTING", "STARTED", "CANCELING")


class Run(NamedTuple):
    """A run as the run page shows it. Times are seconds since 1970; None: not yet."""

    id: str
    status: str
    job: str
    created: float
    started: float | None
    ended: float | None
    tags: dict[str, str]
    steps: dict[str, str]  # step key -> status; a step in work: IN_PROGRESS

    @property
    def is_over(self) -> bool:
        return self.status not in UNFINISHED

    @property
    def days(self) -> tuple[str, str]:
        """First and last partition."""
        first = self.tags.get("dagster/asset_partition_range_start", self.tags.get("dagster/partition", ""))
        return first, self.tags.get("dagster/asset_partition_range_end", first)


class Graphql(NamedTuple):
    """One Dagster server."""

    url: str

    def ask(self, document: str, **variables: Any) -> Any:
        """The one member of the answer.

        Raises:
            Refused: the document was not understood, or the answer is an error of the schema.
            OSError: nobody answers.
        """
        body = json.dumps({"query": document, "variables": variables}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            said = json.load(answer)
        if said.get("errors"):
            raise Refused(str(said["errors"]))
        [found] = said["data"].values()
        if isinstance(found, dict) and (kind := str(found.get("__typename", ""))).endswith(("Error", "Invalid", "NotFound", "Conflict")):
            raise Refused(f"{kind}: {found.get('message')}")
        return found

    # Sensors

    def start_sensor(self, name: str) -> None:
        self.ask(
            f"mutation($it: SensorSelector!) {{ startSensor(sensorSelector: $it) {{ {_or_error('Sensor { name }')} }} }}", it=_sensor(name)
        )

    def stop_sensor(self, name: str) -> None:
        self.ask(
            f"mutation($it: String!) {{ stopSensor(id: $it) {{ {_or_error('StopSensorMutationResult { instigationState { status } }')} }} }}",
            it=self._sensor_state(name)["id"],
        )

    def sensor_is_on(self, name: str) -> bool:
        return self._sensor_state(name)["status"] == "RUNNING"

    def ticks(self, name: str) -> list[dict[str, Any]]:
        """The last ticks of a sensor, newest first: status, skipReason, runIds, timestamp and endTimestamp in seconds."""
        return self._sensor_state(name)["ticks"]

    def _sensor_state(self, name: str) -> dict[str, Any]:
        found = self.ask(
            f"query($it: SensorSelector!) {{ sensorOrError(sensorSelector: $it) {{ {_or_error(f'Sensor {{ sensorState {{ {STATE} }} }}')} }} }}",
            it=_sensor(name),
        )
        return found["sensorState"]

    # Runs and backfills

    def runs(self, *, statuses: Iterable[str] = (), **tags: str) -> list[Run]:
        """Every run in one of these statuses (none named: in any) and with these tags, oldest first."""
        found = self.ask(
            f"query($it: RunsFilter) {{ runsOrError(filter: $it, limit: 500) {{ {_or_error(f'Runs {{ results {{ {RUN} }} }}')} }} }}",
            it={"tags": [{"key": key, "value": value} for key, value in tags.items()], "statuses": list(statuses) or None},
        )
        return sorted(map(_run, found["results"]), key=lambda run: run.created)

    def backfill(self, assets: Iterable[str], days: Iterable[str]) -> str:
        """Launches a backfill of assets (`xapi/bundles`) over partitions; its id."""
        found = self.ask(
            "mutation($it: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $it) "
            f"{{ {_or_error('LaunchBackfillSuccess { backfillId }')} }} }}",
            it={"assetSelection": [{"path": name.split("/")} for name in assets], "partitionNames": list(days)},
        )
        return found["backfillId"]

    def backfill_status(self, backfill: str) -> str:
        found = self.ask(
            "query($it: String!) { partitionBackfillOrError(backfillId: $it) "
            f"{{ {_or_error('PartitionBackfill { status error { message } }')} }} }}",
            it=backfill,
        )
        return found["status"]

    # Assets

    def assets(self) -> dict[str, str]:
        """Every asset of the graph with its group."""
        found = self.ask("{ assetNodes { assetKey { path } groupName } }")
        return {"/".join(node["assetKey"]["path"]): node["groupName"] for node in found}

    def materializations(self, asset: str, partition: str | None = None) -> list[dict[str, Any]]:
        """The asset's materializations, newest first: `partition`, `runId` and its numbers by label."""
        found = self.ask(
            "query($it: AssetKeyInput!, $only: [String!]) { assetOrError(assetKey: $it) { __typename ... on Asset { "
            "assetMaterializations(partitions: $only, limit: 100) { partition runId metadataEntries "
            "{ label ... on IntMetadataEntry { intValue } } } } } }",
            it={"path": asset.split("/")},
            only=[partition] if partition else None,
        )
        return [
            {"partition": one["partition"], "runId": one["runId"]}
            | {entry["label"]: entry["intValue"] for entry in one["metadataEntries"] if entry.get("intValue") is not None}
            for one in found["assetMaterializations"]
        ]

    def location_error(self) -> str | None:
        """Why the code location does not load; None when it is loaded.

        Raises:
            OSError: the server does not answer yet, or the location is still loading.
        """
        found = self.ask(
            "{ workspaceOrError { __typename ... on Workspace { locationEntries { loadStatus locationOrLoadError "
            "{ __typename ... on PythonError { message } } } } } }"
        )
        entries = found["locationEntries"]
        if not entries or any(one["loadStatus"] == "LOADING" or one["locationOrLoadError"] is None for one in entries):
            raise ConnectionError("the code location is loading")
        return next(
            (one["locationOrLoadError"].get("message") for one in entries if one["locationOrLoadError"]["__typename"] == "PythonError"),
            None,
        )

    def unhealthy_daemons(self) -> list[str]:
        found = self.ask("{ instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } } }")
        return [one["daemonType"] for one in found["daemonHealth"]["allDaemonStatuses"] if one["required"] and not one["healthy"]]


def _or_error(fields: str) -> str:
    return f"__typename ... on {fields} ... on Error {{ message }}"


def _sensor(name: str) -> Mapping[str, str]:
    return {"repositoryLocationName": LOCATION, "repositoryName": REPOSITORY, "sensorName": name}


def _run(found: Mapping[str, Any]) -> Run:
    return Run(
        found["runId"], found["status"], found["jobName"], found["creationTime"], found["startTime"], found["endTime"],
        {tag["key"]: tag["value"] for tag in found["tags"]}, {step["stepKey"]: step["status"] for step in found["stepStats"]},
    )  # fmt: skip
