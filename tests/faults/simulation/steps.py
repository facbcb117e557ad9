"""The steps of turns in the simulated store."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import datetime

from handlers.chat.records import Chat, Result, Step, StepCall, Turn
from tests.faults.simulation.services import SimulatedPart
from tests.faults.simulation.turns import is_at


class SimulatedSteps(SimulatedPart):
    def add(
        self,
        chat: Chat,
        turn: Turn,
        step: Step,
        lease_until: datetime,
        expires_at: datetime,
        awaits: Collection[str] = (),
    ) -> bool:
        def effect() -> bool:
            steps = self.tables.steps.setdefault((chat.chat_id, turn.message_id), {})

            def progress(now: Chat) -> Chat | None:
                if now.turn is None or not is_at(now, turn) or step.number in steps:
                    return None
                values = {"steps": step.number, "since": turn.attempt, "lease_until": lease_until}
                values["awaits"] = frozenset(awaits) or now.turn.awaits
                return replace(now, turn=replace(now.turn, **values))

            if self._changed(chat.user_id, chat.chat_id, progress) is None:
                return False
            steps[step.number] = step
            return True

        return self._call(effect, False)

    def finish(self, chat_id: str, message_id: str, number: int, place: int, result: Result) -> bool:
        def effect() -> bool:
            call = self._call_at(chat_id, message_id, number, place)
            if call is None or call.result is not None:
                return False
            self._put(chat_id, message_id, number, place, replace(call, result=result))
            return True

        return self._call(effect, False)

    def answer(
        self, chat: Chat, message_id: str, place: tuple[int, int], call_id: str, approved: bool, result: Result | None
    ) -> bool:
        def effect() -> bool:
            call = self._call_at(chat.chat_id, message_id, *place)
            if call is None or call.approved is not None or call.result is not None:
                return False

            def said(now: Chat) -> Chat | None:
                turn = now.turn
                if turn is None or turn.message_id != message_id or call_id not in turn.awaits:
                    return None
                return replace(now, turn=replace(turn, awaits=turn.awaits - {call_id}))

            if self._changed(chat.user_id, chat.chat_id, said) is None:
                return False
            self._put(chat.chat_id, message_id, *place, replace(call, approved=approved, result=result))
            return True

        return self._call(effect, False)

    def call(self, chat_id: str, message_id: str, number: int, place: int) -> StepCall | None:
        return self._call(lambda: self._call_at(chat_id, message_id, number, place), writes=False)

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
            return sum(1 + len(step.calls) for key in gone for step in self.tables.steps.pop(key).values())

        yield self._call(effect)

    def _step(self, chat_id: str, message_id: str, number: int) -> Step | None:
        return self.tables.steps.get((chat_id, message_id), {}).get(number)

    def _call_at(self, chat_id: str, message_id: str, number: int, place: int) -> StepCall | None:
        step = self._step(chat_id, message_id, number)
        return step.calls[place] if step and place < len(step.calls) else None

    def _put(self, chat_id: str, message_id: str, number: int, place: int, call: StepCall) -> None:
        step = self.tables.steps[chat_id, message_id][number]
        calls = (*step.calls[:place], call, *step.calls[place + 1 :])
        self.tables.steps[chat_id, message_id][number] = replace(step, calls=calls)
