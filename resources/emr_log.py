"""The driver's log of a job on EMR Serverless, in CloudWatch: Dagster Pipes' messages are lines of it."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import boto3.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from dagster_aws.pipes import PipesCloudWatchMessageReader
from dagster_pipes import PIPES_PROTOCOL_VERSION_FIELD, PipesParams

TAIL_LINES = 200  # of standard error


class DriverLog(PipesCloudWatchMessageReader):
    """Messages among the lines of the driver's standard output, from the first line on. Read when asked, without threads."""

    def __init__(self, client: Any) -> None:
        super().__init__(client=client)
        self.trouble = ""  # why the log could not be read, when that was so
        self._handler: Any = None
        self._token: str | None = None

    @contextmanager
    def read_messages(self, handler: Any) -> Iterator[PipesParams]:
        self._handler = handler
        with self.get_params() as params:
            yield params

    def look_at(self, group: str, stream: str) -> None:
        """Where the driver writes; another attempt writes to another stream."""
        if (group, stream) != (self.log_group, self.log_stream):
            self.log_group, self.log_stream, self._token = group, stream, None

    def read(self) -> None:
        """Takes what was written since the last time. A log that cannot be read (yet) is no error: the messages will be missed."""
        while self.log_stream and (page := self._page(self.log_stream, {"nextToken": self._token} if self._token else {})) is not None:
            for event in page["events"]:
                self._take(event["message"])
            last, self._token = self._token, page["nextForwardToken"]
            if self._token == last:
                return

    def last_lines(self, stream: str) -> list[str]:
        """The end of another stream; empty when it cannot be read."""
        page = self._page(stream, {"limit": TAIL_LINES, "startFromHead": False})
        return [event["message"] for event in page["events"]] if page else []

    def _page(self, stream: str, more: Mapping[str, Any]) -> Any:
        asked = {"logGroupName": self.log_group, "logStreamName": stream, "startFromHead": True, **more}
        try:
            return self.client.get_log_events(**asked)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            self.trouble = "" if code == "ResourceNotFoundException" else f"CloudWatch refused logs:GetLogEvents ({code})"
        except BotoCoreError as error:
            self.trouble = f"CloudWatch did not answer ({type(error).__name__})"
        return None

    def _take(self, text: str) -> None:
        for line in text.splitlines():
            with suppress(json.JSONDecodeError):
                message = json.loads(line)
                if isinstance(message, dict) and PIPES_PROTOCOL_VERSION_FIELD in message:
                    self._handler.handle_message(message)


def cloudwatch() -> Any:
    """A client of CloudWatch's logs. Nothing is contacted before the first use."""
    config = Config(connect_timeout=10, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 4})
    return boto3.session.Session().client("logs", config=config)
