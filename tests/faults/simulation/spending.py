"""A user under a budget of tokens, and a model that knows what each of its answers took."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from math import ceil
from typing import Any

from greenlet import getcurrent

from handlers.chat.errors import ModelFailed
from handlers.chat.limits.budget import TokenUse
from handlers.chat.records import Chat, Connection, FinishReason, Usage
from handlers.chat.replies.deltas import Delta
from handlers.chat.replies.messages import PromptMessage
from handlers.chat.replies.prompt import Question
from handlers.chat.store import StoreError
from tests.faults.simulation.chat import USER, SimulatedDeployment
from tests.faults.simulation.scenario import QUIET_AFTER
from tests.faults.simulation.services import SimulatedAnswer, SimulatedFaults

BUDGET, LONGEST_ANSWER = 4_000, 400
CHATS = 3
TODAY = "2026-11-23"


class Fate(Enum):
    """The fate of a reply after some pieces of its answer."""

    COMPLETE = auto()
    CANCELLED = auto()
    DELETED = auto()
    RAISES = auto()
    MODEL_FAILS = auto()
    KILLED = auto()


class Count(Enum):
    """The count of its tokens that the model's server tells."""

    NONE = auto()
    TRUE = auto()
    AFTER_EACH_PIECE = auto()
    AFTER_THE_FIRST_PIECE = auto()
    ZEROS = auto()
    NEGATIVE = auto()


@dataclass(frozen=True)
class Ending:
    """A message in one of the chats, and the end of its reply. `density` is the tokens of a byte, as the model counts.

    `fate` strikes after the piece `at`, before the thinking if that is -1. The model thinks for some `thinking` seconds
    at a `speed` in tokens a second, and shows the part `shown` of it. The next message comes `pause` seconds later.
    """

    chat: int
    fate: Fate
    count: Count
    piece: str
    at: int
    density: float
    pause: float
    thinking: float
    speed: int
    shown: float


class BilledAnswer(SimulatedAnswer):
    """An answer with a fate, whose true tokens are known."""

    def __init__(self, model: BilledModel, number: int, ending: Ending, prompt: list[PromptMessage]) -> None:
        super().__init__(model.user.deployment.services, number, model)  # type: ignore[arg-type]
        self._user, self._ending = model.user, ending
        size = sum(len(each.text.encode()) + 8 for each in prompt)
        self.prompt_tokens, self._bytes = ceil(ending.density * size), 0
        self._thought = 0

    @property
    def completion_tokens(self) -> int:
        return self._thought + int(self._ending.density * self._bytes)

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def __iter__(self) -> Iterator[Delta]:
        if self._ending.at == -1:
            self._strike()
        self._think()
        yield Delta(thinking=int(self._thought * self._ending.shown))
        for number in range(30):
            if number:
                self._pause()
            if self._stopped:
                return
            if number == self._ending.at:
                self._strike()
            self._bytes += len(self._ending.piece.encode())
            if self.completion_tokens > LONGEST_ANSWER:
                self._bytes -= len(self._ending.piece.encode())
                break
            yield Delta(self._ending.piece, usage=self._usage_of_piece(number))
        yield Delta("", FinishReason.STOP, self._usage_at_end())

    def _think(self) -> None:
        world = self._services.world
        began, self._reader = world.time, getcurrent()
        world.wait(self._ending.thinking)
        self._reader = None
        self._thought = min(LONGEST_ANSWER, int(self._ending.speed * (world.time - began)))

    def _strike(self) -> None:
        world, chat_id = self._services.world, f"chat-{self._ending.chat}"
        match self._ending.fate:
            case Fate.CANCELLED:
                self._user.sends(self._ending.chat, "cancel")
            case Fate.DELETED:
                self._user.deployment.store.chats.delete(USER, chat_id)
            case Fate.RAISES:
                raise StoreError("throttled")
            case Fate.MODEL_FAILS:
                raise ModelFailed("reset")
            case Fate.KILLED:
                world.current.kill()
                world.sleep(1)

    def _usage_of_piece(self, number: int) -> Usage | None:
        each = self._ending.count is Count.AFTER_EACH_PIECE
        first = self._ending.count is Count.AFTER_THE_FIRST_PIECE and number == 0
        return Usage(self.prompt_tokens, self.completion_tokens) if each or first else None

    def _usage_at_end(self) -> Usage | None:
        match self._ending.count:
            case Count.TRUE | Count.AFTER_EACH_PIECE:
                return Usage(self.prompt_tokens, self.completion_tokens)
            case Count.ZEROS:
                return Usage(0, 0)
            case Count.NEGATIVE:
                return Usage(-self.prompt_tokens, -1)
            case _:
                return None


@dataclass
class BilledModel:
    """A model that remembers what each of its answers took. The last word of a prompt names the ending."""

    user: SpendingUser
    answers: list[BilledAnswer] = field(default_factory=list)

    def answer(self, question: Question) -> BilledAnswer:
        prompt = list(question.prompt)
        ending = self.user.endings[int(prompt[-1].text.split()[-1])]
        self.answers.append(answer := BilledAnswer(self, len(self.answers), ending, prompt))
        return answer


class SpendingUser:
    """Alice, with a connection in each of her chats, under a budget."""

    def __init__(self, endings: list[Ending], faults: SimulatedFaults, seed: int) -> None:
        self.endings = endings
        limits = {"TOKENS_PER_DAY": str(BUDGET), "MAX_COMPLETION_TOKENS": str(LONGEST_ANSWER)}
        self.deployment = SimulatedDeployment(seed, faults, **limits)
        self.model = BilledModel(self)
        self.deployment.model = self.model  # type: ignore[assignment]

    def sends(self, chat: int, kind: str, **data: Any) -> None:
        """Send a frame in a chat, over a connection that is there again if it was lost."""
        store, connection_id, chat_id = self.deployment.store, f"c{chat}=", f"chat-{chat}"
        now = self.deployment.world.process("x").now()
        store.tables.chats.setdefault((USER, chat_id), Chat(USER, chat_id))
        store.tables.connections[connection_id] = Connection(connection_id, now, USER, chat_id)
        self.deployment.gateway.open[connection_id] = lambda text: None
        self.deployment.message(connection_id, {"type": kind, "data": data})

    def lives(self) -> None:
        """Send all messages, and wait until everything is over."""
        world = self.deployment.world
        for number, ending in enumerate(self.endings):
            self.sends(ending.chat, "message", message=str(number))
            world.run(world.time + ending.pause)
        world.run(world.time + QUIET_AFTER)

    def check(self) -> None:
        """Check that the budget was a hard stop, by what the model counted itself."""
        took = [answer.tokens for answer in self.model.answers]
        used = self.deployment.store.tables.tokens.get((USER, TODAY), TokenUse())
        assert not self.deployment.world.failures
        assert sum(took) - max(took, default=0) < BUDGET
        assert sum(took) <= used.tokens
        killed = sum(process.dead for process in self.deployment.workers)
        if not self.deployment.faults.store_fails:
            assert len(used.reservations) <= killed
