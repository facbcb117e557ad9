"""The messages of the simulated store, and the branches that they form."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from handlers.chat.records import NOTHING, Branch, Fork, Message
from tests.faults.simulation.services import SimulatedPart


class SimulatedMessages(SimulatedPart):
    def newest_first(
        self, chat_id: str, before: str | None = None, *, leaf: str | None = None, **_: Any
    ) -> Iterator[Message]:
        items = self._call(lambda: dict(self.tables.messages.get(chat_id, {})), writes=False)
        after = leaf
        for message_id in sorted(items, reverse=True):
            is_lower = message_id <= after if after is not None else before is None or message_id < before
            if is_lower:
                yield items[message_id]
                after, before = items[message_id].after, None
                if after == NOTHING:
                    return

    def with_previous(self, chat_id: str, message_id: str | None) -> tuple[Message, ...]:
        items = self._call(lambda: dict(self.tables.messages.get(chat_id, {})), writes=False)
        found = [items[each] for each in sorted(items, reverse=True) if message_id is None or each <= message_id][:2]
        return tuple(found) if found and message_id in (None, found[0].message_id) else ()

    def after(
        self, chat_id: str, message_id: str, page_items: int, first: str = "", last: str | None = None
    ) -> Iterator[Message]:
        items = self._call(lambda: dict(self.tables.messages.get(chat_id, {})), writes=False)
        for each in sorted(items):
            if each > message_id and each >= first and (last is None or each <= last):
                yield items[each]

    def oldest_first(self, chat_id: str) -> Iterator[Message]:
        items = self._call(lambda: dict(self.tables.messages.get(chat_id, {})), writes=False)
        yield from (items[message_id] for message_id in sorted(items))

    def get(self, chat_id: str, message_id: str) -> Message | None:
        return self._call(lambda: self.tables.messages.get(chat_id, {}).get(message_id), writes=False)

    def has_older(self, chat_id: str, message_id: str) -> bool:
        messages = self.tables.messages
        return self._call(lambda: any(each < message_id for each in messages.get(chat_id, {})), writes=False)

    def sent_as(self, chat_id: str, client_message_id: str) -> str | None:
        return self._call(lambda: self.tables.sent.get((chat_id, client_message_id)), writes=False)


class SimulatedBranches(SimulatedPart):
    def fork(self, chat_id: str, eldest: str) -> Fork | None:
        return self._call(lambda: self.tables.forks.get((chat_id, eldest)), writes=False)

    def forks(self, chat_id: str, first: str, last: str) -> dict[str, Fork]:
        kept = self._call(lambda: dict(self.tables.forks), writes=False)
        return {eldest: fork for (owner, eldest), fork in kept.items() if owner == chat_id and first <= eldest <= last}

    def newest_first(self, chat_id: str, leaf: str) -> Iterator[Branch]:
        kept = self._call(lambda: dict(self.tables.branches), writes=False)
        firsts = sorted((first for owner, first in kept if owner == chat_id and first <= leaf), reverse=True)
        return (Branch(first, kept[chat_id, first]) for first in firsts)
