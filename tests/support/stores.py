"""Stores that lose an answer, are interrupted, or count their writes."""

from handlers.chat.store.turns import Turns
from handlers.chat.store.users import Users


class LossyStore:
    """A store that loses the first answer of one operation on turns: it raises an error or returns False instead."""

    def __init__(self, store, operation, lost):
        self.chats, self.messages, self.steps, self.branches = store.chats, store.messages, store.steps, store.branches
        self.attachments = store.attachments
        self.turns = _LossyTurns(store.turns, operation, lost)


class _LossyTurns:
    def __init__(self, turns, operation, lost):
        self.turns, self.operation, self.lost, self.times = turns, operation, lost, 1

    def __getattr__(self, name):
        method = getattr(self.turns, name)
        if name != self.operation:
            return method

        def call(*arguments):
            result = method(*arguments)
            if not self.times:
                return result
            self.times -= 1
            if isinstance(self.lost, Exception):
                raise self.lost
            return self.lost

        return call


class InterruptedStore:
    """A store that calls `interrupt` before the call of this number, once."""

    def __init__(self, store, at, interrupt):
        self._left = at
        self._interrupt = interrupt
        self.interrupted = False
        for part in ("users", "connections", "chats", "messages", "turns", "steps", "branches"):
            setattr(self, part, _InterruptedPart(getattr(store, part), self.before_call))
        self.attachments = store.attachments

    def before_call(self):
        self._left -= 1
        if self._left < 0 and not self.interrupted:
            self.interrupted = True
            self._interrupt()


class _InterruptedPart:
    def __init__(self, part, before_call):
        self._part, self._before_call = part, before_call

    def __getattr__(self, name):
        operation = getattr(self._part, name)

        def call(*arguments, **more):
            self._before_call()
            return operation(*arguments, **more)

        return call


class CountingUsers(Users):
    """Counts the writes of quota usage."""

    def __init__(self):
        self.attempts = 0

    def replace_quota_usage(self, user_id, before, after):
        self.attempts += 1
        return super().replace_quota_usage(user_id, before, after)


class CountingTurns(Turns):
    """Counts the writes of quota usage that are made with a message, beside those of `users`."""

    def __init__(self, users):
        self._users = users

    def accept(self, chat, message, turn, change=None, fork=None):
        self._users.attempts += change is not None
        return super().accept(chat, message, turn, change, fork)
