"""The emulator as a user starts it, in a process of its own, and devices that talk to it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from random import SystemRandom
from threading import Thread
from typing import Any, ClassVar

import boto3
from parley.dev_tokens import token
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.support import contract
from tests.support.waiting import HANGS, until

ROOT = Path(__file__).parents[2]
PARLEY = Path(sys.executable).with_name("parley")
SECRET = "a secret of tests, which signs the tokens of all their emulators"
"""The `JWT_SECRET` of every emulator here, so that a test makes tokens without asking it for its own secret."""

PIECE = 24
"""Characters from which on a piece of a reply is looked for in logs."""


def free_port() -> int:
    """A port that nobody listens on, and that no connection gets by chance before a server binds it.

    Linux takes the ports of outgoing connections from 32768 on, and gives those to who asks for any port too.
    """
    while True:
        port = SystemRandom().randrange(10_000, 32_768)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Emulator:
    """A running `parley up`. On our own template, functions may do only what their roles allow."""

    printed: ClassVar[list[list[str]]] = []
    """What each has printed, for the check at the end of the run that no log tells what it must not."""

    command: ClassVar[tuple[object, ...]] = (PARLEY,)

    def __init__(self, folder: Path = ROOT, **variables: str) -> None:
        """Start it in a folder. `variables` are those of its environment."""
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.websocket_url = f"ws://127.0.0.1:{self.port}/ws/chat"
        elsewhere = variables.get("PARLEY_DYNAMODB", "")
        self.dynamodb_url = elsewhere if elsewhere.startswith("http") else f"{self.url}/_parley/dynamodb"
        # The user's cache folder has the DynamoDB engine. A test with another home wants nothing of it.
        kept = ("PATH",) if "HOME" in variables else ("PATH", "HOME", "XDG_CACHE_HOME")
        environment = {name: os.environ[name] for name in kept if name in os.environ}
        if "PARLEY_DATA" not in variables:
            environment["PARLEY_NO_DATA"] = "1"
        if "JWT_JWKS_URL" not in variables:
            environment["JWT_SECRET"] = SECRET
        # Our own template's functions, and those of templates below this repository, find their packages there.
        environment["PARLEY_PYTHON"] = sys.prefix
        if "PARLEY_TEMPLATE" not in variables and variables.get("PARLEY_FUNCTIONS") != "inline":
            environment["PARLEY_IAM"] = "enforce"
        self.process = subprocess.Popen(
            [*map(str, self.command), "up"],
            cwd=folder,
            env=environment | {"PORT": str(self.port), "PARLEY_TOKENS_PER_SECOND": "0"} | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.output: list[str] = []
        self.printed.append(self.output)
        self._wait_until_up()

    def _wait_until_up(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output.append(line)
            if line.startswith("  Trace "):
                break
        else:
            raise AssertionError("".join(self.output))
        self.reading = Thread(target=lambda: self.output.extend(self.process.stdout or ()), daemon=True)
        self.reading.start()

    def client(self, service: str, **more: Any) -> Any:
        """An unmodified boto3 client that finds the emulator where AWS would be."""
        endpoint = {
            "dynamodb": self.dynamodb_url,
            "lambda": self.url,
            "apigatewaymanagementapi": f"{self.url}/live",
            "s3": f"{self.url}/_parley/aws/s3",
        }[service]
        keys = {"aws_access_key_id": "any", "aws_secret_access_key": "any", "region_name": "us-east-1"}
        return boto3.client(service, endpoint_url=endpoint, **keys, **more)

    def until_in_chat(self, user_id: str, chat_id: str, connection_id: str) -> None:
        """Wait until a connection that was shown a chat also hears what is new there.

        `chat_joined` comes before the subscription. A message in between is shown by another `chat_joined` only.
        """
        chats, key = self.client("dynamodb"), {"userId": {"S": user_id}, "chatId": {"S": chat_id}}

        def subscribers() -> dict[str, Any]:
            item = chats.get_item(TableName="ChatsTable", Key=key, ConsistentRead=True)["Item"]
            return dict(item["subscribers"]["M"])

        until(lambda: connection_id in subscribers())

    def status_of_me(self, token: str) -> int:
        """The status of the answer to a user's question who they are."""
        request = urllib.request.Request(f"{self.url}/me", headers={"Authorization": f"Bearer {token}"})
        try:
            with urllib.request.urlopen(request, timeout=HANGS) as response:
                return int(response.status)
        except urllib.error.HTTPError as refused:
            return refused.code

    def roles(self) -> dict[str, dict[str, Any]]:
        """The role of each function, and what of it was used, missing and unused."""
        with urllib.request.urlopen(f"{self.url}/_parley/iam", timeout=HANGS) as response:
            roles: dict[str, dict[str, Any]] = json.load(response)["functions"]
            return roles

    def missing(self) -> list[tuple[str, str, str]]:
        """Function, action and resource of each permission that a role lacks."""
        return [
            (function, each["action"], each["resource"])
            for function, role in self.roles().items()
            for each in role["missing"]
        ]

    def stop(self, how: int = signal.SIGINT) -> float:
        """End the emulator; return how many seconds that took."""
        started = time.monotonic()
        self.process.send_signal(how)
        self.process.wait(HANGS)
        return time.monotonic() - started


class Device:
    """A plain WebSocket client that speaks the protocol. `frames` are all that it has received."""

    said: ClassVar[set[str]] = set()
    """The texts that all of them have sent or received."""

    def __init__(self, url: str, **options: Any) -> None:
        # Without a bound to unread frames: with one, a close waits 10 s where a test has not read them all.
        options = {
            "compression": None,
            "ping_interval": None,
            "max_queue": None,
            "open_timeout": HANGS,
            "legacy": True,
            **options,
        }
        self.socket: ClientConnection = connect(url, **options)
        self.frames: list[dict[str, Any]] = []

    def send(self, kind: str, request_id: str | None = None, **data: Any) -> None:
        self._note(data)
        text = json.dumps({"type": kind, "data": data} | ({"requestId": request_id} if request_id else {}))
        contract.sent(text)
        self.socket.send(text)

    def receive(self, kind: str, timeout: float = HANGS) -> dict[str, Any]:
        """The next frame of a type. The greeting may come at any moment; any other type is unexpected."""
        while True:
            frame = self.receive_any(timeout)
            if frame["type"] == kind:
                return frame
            assert frame["type"] in ("connected", "chat_updated"), frame

    def receive_any(self, timeout: float = HANGS) -> dict[str, Any]:
        self.frames.append(json.loads(self.socket.recv(timeout)))
        contract.received(self.frames[-1])
        self._note(self.frames[-1].get("data"), self.frames[-1].get("type", ""))
        return self.frames[-1]

    def _note(self, data: Any, kind: str = "") -> None:
        """Remember what no log may hold. A reply is cut anywhere, so a short piece may be a word that each log has."""
        shortest = PIECE if kind in ("assistant_message_start", "assistant_message_token") else 0
        if isinstance(data, dict):
            texts = [data[name] for name in ("message", "content", "title", "token") if isinstance(data.get(name), str)]
            self.said.update(text for text in texts if len(text) >= shortest)

    def connection_id(self) -> str:
        return self.receive("connected")["data"]["connectionId"]

    def join(self, user: str, chat_id: str | None = None) -> dict[str, Any] | None:
        """Authenticate; with a chat, return the data of `chat_joined`."""
        data = {"token": token(user, SECRET)} | ({"chatId": chat_id} if chat_id else {})
        self.send("join_chat", **data)
        assert self.receive("authenticated")["data"] == {"userId": user}
        return self.receive("chat_joined")["data"] if chat_id else None

    def create_chat(self, **data: Any) -> str:
        self.send("create_chat", **data)
        return self.receive("chat_created")["data"]["chatId"]

    def reply(self) -> list[dict[str, Any]]:
        """The frames of one reply, from `assistant_message_start` to `assistant_message_complete`."""
        frames = [self.receive("assistant_message_start")]
        while frames[-1]["type"] != "assistant_message_complete":
            frame = self.receive_any()
            if frame["type"].startswith("assistant_message"):
                frames.append(frame)
        return frames

    def ask(self, text: str) -> list[dict[str, Any]]:
        """Send a message and return the frames of its reply."""
        self.send("message", message=text)
        self.receive("user_message")
        return self.reply()

    def new_title(self, chat_id: str) -> str:
        """The title that a chat gets; titles of the user's other chats may come before."""
        while (updated := self.receive("chat_updated")["data"])["chatId"] != chat_id:
            pass
        return str(updated["title"])

    def closing_code(self, *sent: Any) -> int | None:
        """Send these, and return the code with which the gateway closes the connection."""
        with suppress(ConnectionClosed):
            for each in sent:
                self.socket.send(each)
            while True:
                self.receive_any()
        return self.socket.close_code

    def refusal(self) -> str:
        """The code of the next frame, which must be an error."""
        return str(self.receive("error")["data"]["code"])
