"""The chat of the terminal without its connection: frames go in, actions of the screen and commands come out."""

from __future__ import annotations

from parley.client.conversation import Conversation
from parley.client.events import Command
from parley.client.frames import Frame
from parley.terminal.view import View


class Transcript:
    """A conversation, and the view of its events. Everything else is the conversation's."""

    def __init__(self, *, costs: bool = False) -> None:
        self._conversation = Conversation()
        self._view = View(costs=costs)

    def __getattr__(self, name: str) -> object:
        return getattr(self._conversation, name)

    @property
    def oldest(self) -> str | None:
        messages = self._conversation.history.messages
        return messages[0].id if messages else None

    def ask(self, frame: Frame, answer: str) -> None:
        self._conversation.ask(frame, answer, waits=True)

    def take(self, frame: Frame) -> list[object]:
        return self._shown(self._conversation.take(frame))

    def stop(self) -> list[object]:
        return self._shown(self._conversation.stop())

    def retry(self) -> list[object]:
        return self._shown(self._conversation.retry())

    def rejoined(self) -> list[object]:
        return self._shown(self._conversation.rejoined())

    def _shown(self, outcomes: list[object]) -> list[object]:
        shown: list[object] = []
        for outcome in outcomes:
            shown += [outcome] if isinstance(outcome, Command) else self._view.show(outcome)
        return shown
