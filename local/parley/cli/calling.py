"""Calls of a running emulator, on any template: its functions and its connections."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from parley.account import local_client
from parley.emulator.paths import CONNECTIONS_REPORT_PATH, RULES_PATH
from parley.errors import StartError

_CONFIG = Config(connect_timeout=3, read_timeout=920, retries={"total_max_attempts": 1})
"""A function may take 15 minutes (Lambda's quota), and an invocation that is repeated is another one."""

_LIST_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Invoked:
    """The result of an invocation. `error` is the kind of a failure; an asynchronous one has only its `request_id`."""

    payload: str
    error: str | None
    request_id: str


@dataclass(frozen=True, slots=True)
class RunningEmulator:
    """The emulator on a port of this machine."""

    port: int

    @property
    def _url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def invoke(self, function: str, event: str, *, waits: bool) -> Invoked:
        """Invoke a function, and wait for its answer or not. Raises `StartError` if there is no such function."""
        kind = "RequestResponse" if waits else "Event"
        try:
            answer = self._client("lambda").invoke(FunctionName=function, InvocationType=kind, Payload=_bytes(event))
            payload = answer["Payload"].read().decode(errors="replace")
        except ClientError as error:
            if error.response["Error"].get("Code") == "ResourceNotFoundException":
                text = f"There is no function {function}. `parley template` lists the functions of a template."
                raise StartError(text) from None
            raise StartError(f"{function} cannot be invoked: {error}.") from None
        except (ParamValidationError, UnicodeEncodeError) as error:
            raise StartError(f"{function!r} cannot be invoked: {error}") from None
        except BotoCoreError as error:
            raise self._no_answer(error) from None
        return Invoked(payload, answer.get("FunctionError"), answer["ResponseMetadata"]["RequestId"])

    def connections(self) -> list[dict[str, Any]]:
        """Return the open connections, as the emulator lists them. Raises `StartError`."""
        found: list[dict[str, Any]] = self._own(Request(f"{self._url}{CONNECTIONS_REPORT_PATH}"))  # noqa: S310
        return found

    def rules(self) -> list[dict[str, Any]]:
        """Return the rules of the template. Raises `StartError`."""
        found: list[dict[str, Any]] = self._own(Request(f"{self._url}{RULES_PATH}"))  # noqa: S310
        return found

    def trigger(self, name: str) -> list[str]:
        """Run a rule with a schedule now, and return the ARNs of its targets. Raises `StartError` if there is none."""
        request = Request(f"{self._url}{RULES_PATH}", data=name.encode(), method="POST")  # noqa: S310
        return list(self._own(request)["targets"])

    def _own(self, request: Request) -> Any:
        """Return the answer of the emulator's own API. Raises `StartError` with the emulator's words if it refuses."""
        try:
            with urlopen(request, timeout=_LIST_SECONDS) as answer:  # noqa: S310
                return json.load(answer)
        except HTTPError as error:
            with suppress(ValueError, KeyError, TypeError):
                raise StartError(str(json.load(error)["message"])) from None
            raise self._no_answer(error) from None
        except (OSError, ValueError) as error:
            raise self._no_answer(error) from None

    def post(self, connection_id: str, data: str) -> None:
        """Send a text to a connection. Raises `StartError` if it is not open."""
        self._manage(connection_id, "post_to_connection", Data=_bytes(data))

    def close(self, connection_id: str) -> None:
        """Close a connection. Raises `StartError` if it is not open."""
        self._manage(connection_id, "delete_connection")

    def _manage(self, connection_id: str, operation: str, **arguments: Any) -> None:
        stages = [each["stage"] for each in self.connections() if each["connectionId"] == connection_id]
        gone = StartError(f"No connection {connection_id} is open. `parley connections` lists those that are.")
        if not stages:
            raise gone
        client = self._client("apigatewaymanagementapi", f"/{stages[0]}")
        try:
            getattr(client, operation)(ConnectionId=connection_id, **arguments)
        except client.exceptions.GoneException:
            raise gone from None
        except ClientError as error:
            raise StartError(f"The emulator refused: {error}. See its log.") from None
        except BotoCoreError as error:
            raise self._no_answer(error) from None

    def _client(self, service: str, path: str = "") -> Any:
        return local_client(service, f"{self._url}{path}", _CONFIG)

    def _no_answer(self, error: Exception) -> StartError:
        reason = str(error).rstrip(".")
        return StartError(
            f"No answer from an emulator on port {self.port}: {reason}. Start it with `parley up`, or name its port "
            "with --port."
        )


def described(connection: dict[str, Any]) -> str:
    """Return the line about an open connection: id, stage, address, since when, the last data, and the user agent."""
    identity = connection["identity"]
    parts = (
        connection["connectionId"],
        connection["stage"],
        identity["sourceIp"],
        f"since {_clock(connection['connectedAt'])}",
        f"last data {_clock(connection['lastActiveAt'])}",
        identity["userAgent"] or "",
    )
    return "\t".join(parts).rstrip()


def described_rule(rule: dict[str, Any]) -> str:
    """Return the line about a rule with a schedule: its name, its expression, the next time, and its targets."""
    due = datetime.fromtimestamp(rule["next"]).astimezone().strftime("%Y-%m-%d %H:%M:%S") if rule["next"] else "never"
    targets = ", ".join(arn.rpartition(":")[2] for arn in rule["targets"])
    return f"{rule['logicalId']}\t{rule['schedule']}\tnext {due}\t{targets}"


def _bytes(text: str) -> bytes:
    """Return the bytes of an argument. A shell may pass what is not UTF-8."""
    return text.encode(errors="surrogateescape")


def _clock(moment: str) -> str:
    return datetime.fromisoformat(moment).astimezone().strftime("%H:%M:%S")
