"""What the client knows of its chat: frames go in, what to show or ask for comes out. No I/O."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from local.client.actions import Action, End, Line, Resume, Stream, Style
from local.client.frames import Frame, Message
from local.client.reply import Reply


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked of the server and not answered yet: settled by a frame of `answer`'s kind, or by an error."""

    frame: Frame
    answer: str


class Transcript:
    """The chat as this client has seen it, and what it still waits for."""

    def __init__(self) -> None:
        self.chat_id: str | None = None
        self.oldest: str | None = None
        """The first message that was shown: `/history` loads what came before it."""
        self.request: Request | None = None
        self.reply: Reply | None = None
        self._replying = False
        self._resuming = False
        self._last_role: str | None = None
        self._seen: set[str] = set()
        self._sent: set[str] = set()
        self._takers: dict[str, Callable[[Frame], list[Action]]] = {
            "chat_created": self._chat_created,
            "chat_joined": self._chat_joined,
            "history": self._history,
            "chat_updated": self._chat_updated,
            "chat_deleted": self._chat_deleted,
            "user_message": self._user_message,
            "assistant_message_start": self._start,
            "assistant_message_token": self._token,
            "assistant_message_complete": self._complete,
            "error": self._error,
        }

    @property
    def busy(self) -> bool:
        """Whether something is still to come: an answer to a request, or a reply."""
        return self.request is not None or self._replying or self.reply is not None

    def ask(self, frame: Frame, answer: str) -> None:
        """Note that `frame` is being sent, and what kind of frame answers it."""
        self.request = Request(frame, answer)
        if frame.kind == "message":
            self._sent.add(frame.text("clientMessageId"))

    def lost(self) -> None:
        """Note that the connection is gone. A message is sent again on the next one, other requests are dropped."""
        if self.request and self.request.frame.kind != "message":
            self.request = None
        self._resuming = False

    def take(self, frame: Frame) -> list[Action]:
        """Take a frame from the server. Raise FrameError where it breaks the protocol; unknown kinds are ignored."""
        taker = self._takers.get(frame.kind)
        actions = taker(frame) if taker else []
        if self.request and frame.kind == self.request.answer and self._answers(frame, self.request.frame):
            self.request = None
        return actions

    def _answers(self, frame: Frame, asked: Frame) -> bool:
        if asked.kind == "message":
            return frame.optional("clientMessageId") == asked.text("clientMessageId")
        return frame.request_id in (asked.request_id, None)

    def _enter(self, chat_id: str) -> None:
        self.chat_id = chat_id
        self.oldest = self.reply = self._last_role = None
        self._replying = False
        self._seen.clear()

    def _chat_created(self, frame: Frame) -> list[Action]:
        self._enter(frame.text("chatId"))
        return [Line(f"{frame.text('title')} · chat {self.chat_id}")]

    def _chat_joined(self, frame: Frame) -> list[Action]:
        actions: list[Action] = []
        if frame.text("chatId") != self.chat_id:
            self._enter(frame.text("chatId"))
            actions.append(Line(f"{frame.text('title')} · chat {self.chat_id}"))
        for message in frame.messages():
            actions += self._missed(message)
        if "reply" not in frame.data and self._last_role == "assistant":
            self.reply, self._replying = None, False
        return actions

    def _missed(self, message: Message) -> list[Action]:
        """Show a message of the joined chat, if it is new here, or the rest of it, if it is the running reply."""
        if message.id in self._seen:
            return []
        self._see(message.id, message.role)
        if self.reply and message.id == self.reply.message_id:
            actions = self._whole(self.reply, self.reply.attempt, message.content)
            self.reply = None
            return actions
        return [_line(message)]

    def _history(self, frame: Frame) -> list[Action]:
        messages = frame.messages()
        if frame.text("chatId") != self.chat_id:
            return []
        if not messages:
            return [Line("There are no earlier messages.")]
        self.oldest = messages[0].id
        self._seen.update(message.id for message in messages)
        return [_line(message) for message in messages]

    def _chat_updated(self, frame: Frame) -> list[Action]:
        return [Line(f"Title: {frame.text('title')}")] if frame.text("chatId") == self.chat_id else []

    def _chat_deleted(self, frame: Frame) -> list[Action]:
        if frame.text("chatId") != self.chat_id:
            return []
        self.request = self.reply = None
        self._replying = False
        return [Line("This chat was deleted. `/new` starts another one.", Style.ERROR)]

    def _user_message(self, frame: Frame) -> list[Action]:
        if frame.text("chatId") != self.chat_id:
            return []
        message = Message(frame.text("messageId"), "user", frame.text("content"))
        own = frame.optional("clientMessageId") in self._sent
        known = message.id in self._seen
        if own:  # sent again after a loss, it may have been answered meanwhile
            answered = known and self.reply is None and self._last_role == "assistant"
            self._replying = not answered
        if not known:
            self._see(message.id, "user")
        return [] if own or known else [_line(message)]

    def _start(self, frame: Frame) -> list[Action]:
        if frame.text("chatId") != self.chat_id or frame.text("messageId") in self._seen:
            return []
        self._resuming = False
        actions: list[Action] = []
        if self.reply is None or self.reply.message_id != frame.text("messageId"):
            if self.reply or "replaces" in frame.data:
                actions.append(Line("The reply is written anew."))
            self.reply = Reply(frame.text("messageId"), frame.number("attempt"))
        return actions + self._piece(self.reply, frame, "content")

    def _token(self, frame: Frame) -> list[Action]:
        if self.reply is None or self.reply.message_id != frame.text("messageId"):
            return []
        return self._piece(self.reply, frame, "token")

    def _piece(self, reply: Reply, frame: Frame, name: str) -> list[Action]:
        taken = reply.take(frame.number("attempt"), frame.number("offset"), frame.text(name))
        actions: list[Action] = [Line("The reply starts over.")] if taken.restarted else []
        if taken.missing and not self._resuming:
            self._resuming = True
            actions.append(Resume())
        return [*actions, Stream(taken.text)] if taken.text else actions

    def _complete(self, frame: Frame) -> list[Action]:
        message_id, attempt = frame.text("messageId"), frame.number("attempt")
        if frame.text("chatId") != self.chat_id or message_id in self._seen:
            return []
        reply = self.reply
        if reply is None or reply.message_id != message_id:
            reply = Reply(message_id, attempt)
        self.reply, self._replying = None, False
        self._see(message_id, "assistant")
        actions = self._whole(reply, attempt, frame.optional("content"))
        reason = frame.text("finishReason")
        return actions if reason == "stop" else [*actions, Line(f"The reply ended early: {reason}.")]

    def _whole(self, reply: Reply, attempt: int, content: str | None) -> list[Action]:
        """Show what is missing of a reply whose whole text is `content`, or too large to be sent again."""
        if content is None:
            return [End()]
        if attempt > reply.attempt or not content.startswith(reply.text):
            return [Line("The reply starts over."), Stream(content), End()]
        rest = reply.take(attempt, 0, content).text
        return [Stream(rest), End()] if rest else [End()]

    def _error(self, frame: Frame) -> list[Action]:
        settled = self.request and self._refuses(frame, self.request.frame)
        if settled:
            self.request = None
        return [Line(f"{frame.text('message')} ({frame.optional('code') or 'error'})", Style.ERROR)]

    def _refuses(self, frame: Frame, asked: Frame) -> bool:
        """Tell whether an error settles a request. One that names no request settles whatever is awaited."""
        named = {frame.request_id, frame.optional("clientMessageId")} - {None}
        return not named or bool(named & {asked.request_id, asked.data.get("clientMessageId")})

    def _see(self, message_id: str, role: str) -> None:
        self._seen.add(message_id)
        self._last_role = role
        self.oldest = self.oldest or message_id


def _line(message: Message) -> Line:
    content = "(too long to be shown here)" if message.content is None else message.content
    if message.role == "user":
        return Line(f"› {content}", Style.USER)
    return Line(content, Style.REPLY)
