"""The steps of turns in the simulated store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from handlers.chat.records import Chat, NamedStep, Result, Step, Turn
from tests.faults.simulation.services import SimulatedPart, is_at


class SimulatedSteps(SimulatedPart):
    def add(self, chat: Chat, turn: Turn, step: Step, lease_until: datetime, expires_at: datetime) -> bool:
        def effect() -> bool:
            steps = self.tables.steps.setdefault((chat.chat_id, turn.message_id), {})

            def progress(now: Chat) -> Chat | None:
                if now.turn is None or not is_at(now, turn) or step.number in steps:
                    return None
                values = {"steps": step.number, "since": turn.attempt, "lease_until": lease_until}
                return replace(now, turn=replace(now.turn, **values))

            if self._changed(chat.user_id, chat.chat_id, progress) is None:
                return False
            steps[step.number] = step
            return True

        return self._call(effect, False)

    def keep(
        self, chat: Chat, turn: Turn, step: NamedStep, count: int, lease_until: datetime, expires_at: datetime
    ) -> bool:
        def effect() -> bool:
            named = self.tables.named_steps.setdefault((chat.chat_id, turn.message_id), {})

            def progress(now: Chat) -> Chat | None:
                if now.turn is None or not is_at(now, turn) or (step.name, step.number) in named:
                    return None
                values = {"steps": count, "since": turn.attempt, "lease_until": lease_until}
                return replace(now, turn=replace(now.turn, **values))

            if self._changed(chat.user_id, chat.chat_id, progress) is None:
                return False
            named[step.name, step.number] = step
            return True

        return self._call(effect, False)

    def attempt_of_named(self, chat_id: str, message_id: str, name: str, number: int) -> int | None:
        def effect() -> int | None:
            step = self.tables.named_steps.get((chat_id, message_id), {}).get((name, number))
            return step.attempt if step else None

        return self._call(effect, writes=False)

    def named(self, chat_id: str, message_id: str) -> tuple[NamedStep, ...]:
        kept = self.tables.named_steps.get((chat_id, message_id), {})
        return self._call(lambda: tuple(kept[key] for key in sorted(kept)), writes=False)

    def finish(self, chat_id: str, message_id: str, number: int, place: int, result: Result) -> bool:
        def effect() -> bool:
            step = self._step(chat_id, message_id, number)
            if step is None or step.calls[place].result is not None:
                return False
            calls = list(step.calls)
            calls[place] = replace(calls[place], result=result)
            self.tables.steps[chat_id, message_id][number] = replace(step, calls=tuple(calls))
            return True

        return self._call(effect, False)

    def result(self, chat_id: str, message_id: str, number: int, place: int) -> Result | None:
        def effect() -> Result | None:
            step = self._step(chat_id, message_id, number)
            return step.calls[place].result if step else None

        return self._call(effect, writes=False)

    def attempt_of(self, chat_id: str, message_id: str, number: int) -> int | None:
        def effect() -> int | None:
            step = self._step(chat_id, message_id, number)
            return step.attempt if step else None

        return self._call(effect, writes=False)

    def of_turn(self, chat_id: str, message_id: str) -> tuple[Step, ...]:
        kept = self.tables.steps.get((chat_id, message_id), {})
        return self._call(lambda: tuple(kept[number] for number in sorted(kept)), writes=False)

    def delete_until(self, chat_id: str, until: str) -> Iterator[int]:
        def effect() -> int:
            gone = [key for key in self.tables.steps if key[0] == chat_id and key[1] <= until]
            named = [key for key in self.tables.named_steps if key[0] == chat_id and key[1] <= until]
            items = sum(1 + len(step.calls) for key in gone for step in self.tables.steps.pop(key).values())
            return items + sum(len(self.tables.named_steps.pop(key)) for key in named)

        yield self._call(effect)

    def _step(self, chat_id: str, message_id: str, number: int) -> Step | None:
        return self.tables.steps.get((chat_id, message_id), {}).get(number)
