"""The smoke test: one whole conversation with a chat that runs anywhere, checked against the protocol.

`parley smoke` has it with a deployment, tests/chat/test_conversation.py with the emulator. It makes no assumption about
the model, its words, the language and the limits.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.request import Request, urlopen

from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection, connect

from parley.client.frames import GATEWAY_ERROR, Frame, FrameError
from parley.client.reply import utf16_length

QUESTION = "Hello! Please answer in one short sentence."
_REPLY = ("assistant_message_start", "assistant_message_token", "assistant_message_complete")
_ANY_TIME = ("connected", "chat_updated", "notice", "assistant_message_part")
"""Frames that may come between any two others."""
_GOOD_ENDS = ("stop", "length")


class SmokeFailure(Exception):
    """The chat does not do what the protocol says. The text names the step, what came, and where to look."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """Everything that was received: the frames' data, and the second device's view of the chat."""

    greeting: Mapping[str, Any]
    created: Mapping[str, Any]
    acknowledged: Mapping[str, Any]
    reply: tuple[Frame, ...]
    title: str
    joined: Mapping[str, Any]

    @property
    def chat_id(self) -> str:
        """The id of the chat."""
        return str(self.created["chatId"])


@dataclass(frozen=True, slots=True)
class Report:
    """Receiver of the steps: `step` is called after each one, with its name and its duration in seconds."""

    step: Callable[[str, float], None] = lambda name, seconds: None


def converse(
    url: str, token: str, question: str = QUESTION, report: Report = Report(), patience: float = 60
) -> Conversation:
    """Have the whole conversation. Raises `SmokeFailure`.

    `patience` is the time in seconds that each frame may take: the first reply waits for cold starts and for the model.
    """
    steps = _Steps(report)
    with steps("connect"), _connected(url, patience) as device:
        steps.done()
        with steps("greeting"):
            greeting = device.receive("connected").data
        with steps("ping"):
            device.ask("ping", {}, "pong")
        with steps("a made-up token is refused"):
            refusal = device.ask("join_chat", {"token": "made.up.token"}, "error")
            _expect(refusal.optional("code") == "invalid_token", f"code {refusal.optional('code')}")
        with steps("join"):
            device.ask("join_chat", {"token": token}, "authenticated")
        with steps("create a chat"):
            created = device.ask("create_chat", {}, "chat_created").data
        with steps("message"):
            mine = uuid.uuid4().hex
            acknowledged = device.ask("message", {"message": question, "clientMessageId": mine}, "user_message").data
            _expect(acknowledged.get("content") == question, f"content {acknowledged.get('content')!r}")
            _expect(acknowledged.get("clientMessageId") == mine, "another clientMessageId")
        reply = tuple(_reply(device, steps))
        with steps("title"):
            title = device.title(str(created["chatId"]))
        with steps("history on a second device"), _connected(url, patience) as other:
            joined = other.ask("join_chat", {"token": token, "chatId": created["chatId"]}, "chat_joined").data
            said = [message.get("content") for message in joined.get("messages", ())]
            _expect(said == [question, reply[-1].data["content"]], f"{len(said)} messages, or other texts")
    return Conversation(greeting, created, acknowledged, reply, title, joined)


def delete_chat(http_url: str, token: str, chat_id: str) -> None:
    """Delete the chat of the conversation through the HTTP API. Raises `SmokeFailure`."""
    if not http_url.startswith(("http://", "https://")):
        raise SmokeFailure(f"{http_url} is not the URL of an HTTP API. Check --http-url.")
    request = Request(  # noqa: S310 - the scheme is checked above
        f"{http_url.rstrip('/')}/chats/{chat_id}", headers={"authorization": f"Bearer {token}"}, method="DELETE"
    )
    try:
        with urlopen(request, timeout=30):  # noqa: S310
            pass
    except OSError as error:
        raise SmokeFailure(f"DELETE {request.full_url}: {error}. See the log of ApiFunction.") from error


def _reply(device: _Device, steps: _Steps) -> Iterator[Frame]:
    """Yield the frames of the reply, and check that its pieces join without a gap to its text."""
    with steps("first token"):
        start = device.receive("assistant_message_start")
        frame = device.receive(*_REPLY)
    yield start
    text = start.text("content")
    with steps("reply"):
        while frame.kind != "assistant_message_complete":
            if frame.kind == "assistant_message_start":  # another worker has taken over
                text = frame.text("content")
            else:
                at = frame.data.get("offset")
                _expect(at == utf16_length(text), f"a piece at {at} after {utf16_length(text)} characters")
                text += frame.text("token")
            yield frame
            frame = device.receive(*_REPLY)
        reason, content = frame.data.get("finishReason"), frame.text("content")
        _expect(
            reason in _GOOD_ENDS,
            f"finishReason {reason}, with the text {content[:200]!r}. The model failed: check OpenAiApiKey, "
            "OpenAiBaseUrl and OpenAiModel, and the log of GenerateFunction",
        )
        _expect(content == text, "the text is not that of its pieces")
        yield frame


class _Steps:
    """The current step, for messages, and the time that it takes."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._name = ""
        self._began = 0.0

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Run a step. What fails in it is raised as `SmokeFailure` with the step's name."""
        self._name, self._began = name, time.monotonic()
        try:
            yield
        except SmokeFailure:
            raise
        except InvalidStatus as error:
            raise SmokeFailure(_handshake_refused(error.response.status_code)) from error
        except TimeoutError as error:
            raise SmokeFailure(
                f"{self._name}: {str(error) or 'no answer in time'}. See the log of DefaultFunction."
            ) from error
        except (OSError, WebSocketException) as error:
            raise SmokeFailure(f"{self._name}: {error}. Check the URL and the network.") from error
        except (FrameError, KeyError, _Unexpected) as error:
            raise SmokeFailure(f"{self._name}: {error}. See docs/protocol.md, and the functions' logs.") from error
        if self._name == name:
            self.done()

    def done(self) -> None:
        """Report the current step. Later errors belong to the next one."""
        self._report.step(self._name, time.monotonic() - self._began)
        self._name = ""


class _Unexpected(Exception):
    """Something else came than the protocol says."""


def _expect(is_right: bool, found: str) -> None:
    if not is_right:
        raise _Unexpected(found)


class _Device:
    """One connection. `receive` waits for a frame, `ask` sends one and waits for its answer."""

    def __init__(self, connection: ClientConnection, patience: float) -> None:
        self._connection = connection
        self._patience = patience
        self._early: list[Frame] = []

    def ask(self, kind: str, data: Mapping[str, Any], answer: str) -> Frame:
        """Send a frame and return its answer, which repeats its id."""
        request = Frame(kind, data, uuid.uuid4().hex)
        self._connection.send(request.dump())
        expected = (answer, "authenticated") if answer == "chat_joined" else (answer,)
        while (frame := self.receive(*expected)).kind != answer:
            pass
        _expect(frame.request_id == request.request_id, f"{answer} without the requestId of {kind}")
        return frame

    def receive(self, *kinds: str) -> Frame:
        """Return the next frame of these kinds. Frames that may come at any time are kept for later."""
        kept = next((each for each in self._early if each.kind in kinds), None)
        if kept is not None:
            self._early.remove(kept)
            return kept
        deadline = time.monotonic() + self._patience
        while True:
            frame = self._next(deadline, kinds)
            if frame.kind in kinds:
                return frame
            _expect(frame.kind in _ANY_TIME, f"{_shown(frame)} instead of {' or '.join(kinds)}")
            self._early.append(frame)

    def title(self, chat_id: str) -> str:
        """Return the title that a chat gets. Titles of the user's other chats may come before it."""
        while (frame := self.receive("chat_updated")).data.get("chatId") != chat_id:
            pass
        return frame.text("title")

    def _next(self, deadline: float, kinds: tuple[str, ...]) -> Frame:
        try:
            return Frame.parse(self._connection.recv(max(deadline - time.monotonic(), 0.001)))
        except TimeoutError:
            raise TimeoutError(f"no {' or '.join(kinds)} within {self._patience:g} s") from None


@contextmanager
def _connected(url: str, patience: float) -> Iterator[_Device]:
    # API Gateway does not send WebSocket pings, and answers none within its own time.
    with connect(url, compression=None, ping_interval=None, open_timeout=patience, close_timeout=1) as connection:
        yield _Device(connection, patience)


def _shown(frame: Frame) -> str:
    if frame.kind == GATEWAY_ERROR:
        return f"the gateway's {frame.text('message')!r}"
    if frame.kind == "error":
        return f"error {frame.optional('code')} ({frame.optional('message')})"
    return frame.kind


def _handshake_refused(status: int) -> str:
    step = {
        403: "Check the stage in the URL, and AllowedOrigins.",
        404: "Check the URL: it ends with the name of the stage.",
        429: "Too many connections at once: try again.",
    }.get(status, "See the log of ConnectFunction.")
    return f"connect: refused with HTTP {status}. {step}"
