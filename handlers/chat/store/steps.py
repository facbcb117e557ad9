"""Steps: the finished steps of turns, their calls, and the results of those.

A step is written with a condition on its turn, so a worker that was overtaken stores none. A result needs no such
condition: the first one counts, it has a place only while the step is there, and after the reply nobody reads it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator
from datetime import datetime
from itertools import takewhile
from typing import Self

from pynamodb.attributes import BooleanAttribute, NumberAttribute, TTLAttribute, UnicodeAttribute

from handlers.chat.records import CallState, Chat, NamedStep, Result, Step, StepCall, ToolCall, Turn
from handlers.chat.store.dynamodb import Table
from handlers.chat.store.tables import TURN, ChatItem, UsageMap, kept_awaits
from handlers.chat.store.turns import is_at
from handlers.chat.store.writes import Write, delete_where, putting, transact, update, updating

_LAST = "~"
"""A character that sorts after all that follow a reply's id in a key."""
_NAMED, _NUMBER = "/s/", "#"
"""The marks before the name of a named step, and before its number. Neither is part of a name."""


class StepItem(Table):
    """A stored step of a turn, one call of it, or a named step of an own agent.

    They are in a partition of their own beside the chat's messages. They are needed until the reply is stored, and
    their time to live deletes them after it. What devices are shown of them later is part of the reply.
    """

    class Meta:
        table_name = os.environ.get("MESSAGES_TABLE", "messages")

    partition = UnicodeAttribute(hash_key=True, attr_name="chatId")
    key = UnicodeAttribute(range_key=True, attr_name="messageId")
    expires_at = TTLAttribute(null=True, attr_name="expiresAt")
    attempt = NumberAttribute(null=True)
    calls = NumberAttribute(null=True)
    text = UnicodeAttribute(null=True)
    reasoning = UnicodeAttribute(null=True)
    usage = UsageMap(null=True)  # type: ignore[no-untyped-call]
    name = UnicodeAttribute(null=True)
    arguments = UnicodeAttribute(null=True)
    model_call_id = UnicodeAttribute(null=True, attr_name="modelCallId")
    extra = UnicodeAttribute(null=True)
    needs_approval = BooleanAttribute(null=True, attr_name="needsApproval")
    approved = BooleanAttribute(null=True)
    state = UnicodeAttribute(null=True)
    result = UnicodeAttribute(null=True)

    @staticmethod
    def partition_of(chat_id: str) -> str:
        """Return the partition of the steps of a chat's turns. No chat's id contains `#`."""
        return f"{chat_id}#steps"

    @classmethod
    def of(cls, chat_id: str, key: str, step: Step, expires_at: datetime) -> Self:
        """Return the item of a step, without its calls."""
        return cls(
            cls.partition_of(chat_id),
            key,
            expires_at=expires_at,
            attempt=step.attempt,
            calls=len(step.calls),
            text=step.text or None,
            reasoning=step.reasoning or None,
            usage=UsageMap.of(step.usage) if step.usage else None,
        )

    @classmethod
    def of_call(cls, chat_id: str, key: str, call: StepCall, expires_at: datetime) -> Self:
        """Return the item of a call that has no result."""
        asked = call.asked
        return cls(
            cls.partition_of(chat_id),
            key,
            expires_at=expires_at,
            name=asked.name,
            arguments=asked.arguments,
            model_call_id=asked.id or None,
            extra=json.dumps(asked.extra) if asked.extra else None,
            needs_approval=call.needs_approval or None,
        )

    @classmethod
    def of_named(cls, chat_id: str, key: str, step: NamedStep, expires_at: datetime) -> Self:
        """Return the item of a named step."""
        return cls(
            cls.partition_of(chat_id),
            key,
            expires_at=expires_at,
            attempt=step.attempt,
            result=step.result,
            usage=UsageMap.of(step.usage) if step.usage else None,
        )

    def named(self) -> NamedStep:
        """Return the named step."""
        name, _, number = self.key.rpartition("/")[2].rpartition(_NUMBER)
        usage: UsageMap | None = self.usage
        return NamedStep(
            name=name,
            number=int(number),
            attempt=int(self.attempt or 0),
            result=self.result or "",
            usage=usage.usage() if usage is not None else None,
        )

    def step(self, number: int, calls: tuple[StepCall, ...]) -> Step:
        """Return the step with these calls."""
        usage: UsageMap | None = self.usage
        return Step(
            number=number,
            attempt=int(self.attempt or 0),
            calls=calls,
            text=self.text or "",
            reasoning=self.reasoning or "",
            usage=usage.usage() if usage is not None else None,
        )

    def call(self) -> StepCall:
        """Return the call."""
        extra = json.loads(self.extra) if self.extra else None
        return StepCall(
            ToolCall(self.name or "", self.arguments or "", self.model_call_id or "", extra),
            Result(CallState(self.state), self.result or "") if self.state else None,
            bool(self.needs_approval),
            self.approved,
        )


class Steps:
    """The steps of turns."""

    def add(
        self,
        chat: Chat,
        turn: Turn,
        step: Step,
        lease_until: datetime,
        expires_at: datetime,
        awaits: Collection[str] = (),
    ) -> bool:
        """Store a step without results, and renew the lease, all or nothing. Returns False if the turn has moved on.

        `turn` is the turn as its worker has it, and `step` the next one of it. `awaits` are the ids of its calls that
        the user has to answer.
        """
        new = StepItem.key.does_not_exist()
        key = _key(turn.message_id, step.number)
        writes = [
            _progress(chat, turn, step.number, lease_until, awaits),
            putting(StepItem.of(chat.chat_id, key, step, expires_at), new),
        ]
        for place, call in enumerate(step.calls):
            item = StepItem.of_call(chat.chat_id, _call_key(turn.message_id, step.number, place), call, expires_at)
            writes.append(putting(item, new))
        return transact(writes)

    def keep(
        self, chat: Chat, turn: Turn, step: NamedStep, count: int, lease_until: datetime, expires_at: datetime
    ) -> bool:
        """Store a named step, and renew the lease, all or nothing. Returns False if it is stored, or the turn moved on.

        `turn` is the turn as its worker has it. `count` is the number of its stored steps, this one included.
        """
        item = StepItem.of_named(chat.chat_id, _named_key(turn.message_id, step.name, step.number), step, expires_at)
        return transact([_progress(chat, turn, count, lease_until), putting(item, StepItem.key.does_not_exist())])

    def attempt_of_named(self, chat_id: str, message_id: str, name: str, number: int) -> int | None:
        """Return the attempt that has stored a named step, None if it is not stored."""
        item = self._item(chat_id, _named_key(message_id, name, number))
        return int(item.attempt or 0) if item is not None else None

    def named(self, chat_id: str, message_id: str) -> tuple[NamedStep, ...]:
        """Return the named steps of a turn that are stored."""
        found = StepItem.query(
            StepItem.partition_of(chat_id),
            StepItem.key.startswith(f"{message_id}{_NAMED}"),
            consistent_read=True,
        )
        return tuple(item.named() for item in found)

    def finish(self, chat_id: str, message_id: str, number: int, place: int, result: Result) -> bool:
        """Store the result of the call at a place of a step. Returns False if it has one, or is gone."""
        item = StepItem(StepItem.partition_of(chat_id), _call_key(message_id, number, place))
        actions = [StepItem.state.set(result.state.value), StepItem.result.set(result.text)]
        return update(item, actions, StepItem.key.exists() & StepItem.state.does_not_exist())

    def answer(
        self, chat: Chat, message_id: str, place: tuple[int, int], call_id: str, approved: bool, result: Result | None
    ) -> bool:
        """Store what the user says to a call, and that the turn does not await it any more, all or nothing.

        `place` are the numbers of the step and of the call in it. `result` is that of a refused call. Returns False if
        the turn does not await the call, or is gone.
        """
        item = StepItem(StepItem.partition_of(chat.chat_id), _call_key(message_id, *place))
        said = [StepItem.approved.set(approved)]
        if result is not None:
            said += [StepItem.state.set(result.state.value), StepItem.result.set(result.text)]
        open_still = StepItem.key.exists() & StepItem.approved.does_not_exist() & StepItem.state.does_not_exist()
        awaited = TURN.awaits[call_id]
        awaits = (TURN.message_id == message_id) & awaited.exists()
        return transact(
            [
                updating(item, said, open_still),
                updating(ChatItem(chat.user_id, chat.chat_id), [awaited.remove()], awaits),
            ]
        )

    def call(self, chat_id: str, message_id: str, number: int, place: int) -> StepCall | None:
        """Return a call, None if it is gone."""
        item = self._item(chat_id, _call_key(message_id, number, place))
        return item.call() if item else None

    def attempt_of(self, chat_id: str, message_id: str, number: int) -> int | None:
        """Return the attempt that has stored a step, None if it is not stored."""
        item = self._item(chat_id, _key(message_id, number))
        return int(item.attempt or 0) if item is not None else None

    def of_turn(self, chat_id: str, message_id: str) -> tuple[Step, ...]:
        """Return the steps of a turn in order, with the results that are stored.

        They end before the first one of which an item is gone: the time to live deletes items one by one.
        """
        found = StepItem.query(
            StepItem.partition_of(chat_id), StepItem.key.startswith(f"{message_id}/"), consistent_read=True
        )
        items = {item.key: item for item in found}
        numbers = range(1, len(items) + 1)
        steps = (_step(items, message_id, number) for number in numbers)
        return tuple(step for step in takewhile(lambda step: step is not None, steps) if step)

    def delete_until(self, chat_id: str, until: str) -> Iterator[int]:
        """Delete the steps of a chat's turns up to this reply, and yield after each batch how many items it had."""
        return delete_where(StepItem, StepItem.partition_of(chat_id), StepItem.key <= f"{until}/{_LAST}")

    def _item(self, chat_id: str, key: str) -> StepItem | None:
        try:
            return StepItem.get(StepItem.partition_of(chat_id), key, consistent_read=True)
        except StepItem.DoesNotExist:
            return None


def _progress(chat: Chat, turn: Turn, count: int, lease_until: datetime, awaits: Collection[str] = ()) -> Write:
    """Return the write of a turn that has so many stored steps now, with a renewed lease."""
    progress = [TURN.steps.set(count), TURN.since.set(turn.attempt), TURN.lease_until.set(lease_until)]
    if awaits:
        progress.append(TURN.awaits.set(kept_awaits(awaits)))
    return updating(ChatItem(chat.user_id, chat.chat_id), progress, is_at(turn))


def _named_key(message_id: str, name: str, number: int) -> str:
    return f"{message_id}{_NAMED}{name}{_NUMBER}{number}"


def _key(message_id: str, number: int) -> str:
    return f"{message_id}/{number:02}"


def _call_key(message_id: str, number: int, place: int) -> str:
    return f"{_key(message_id, number)}/{place:02}"


def _step(items: dict[str, StepItem], message_id: str, number: int) -> Step | None:
    item = items.get(_key(message_id, number))
    if item is None:
        return None
    kept = [items.get(_call_key(message_id, number, place)) for place in range(int(item.calls or 0))]
    calls: tuple[StepCall, ...] = tuple(each.call() for each in kept if each)
    return item.step(number, calls) if len(calls) == len(kept) else None
