"""Stores that lose an answer, are interrupted, or count their writes."""

from handlers.chat.store import Store


class LossyStore:
    """A store that loses the first answer of one operation: it raises an error or returns False instead."""

    def __init__(self, store, operation, lost):
        self.store, self.operation, self.lost, self.times = store, operation, lost, 1

    def __getattr__(self, name):
        method = getattr(self.store, name)
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
        self._store = store
        self._left = at
        self._interrupt = interrupt
        self.interrupted = False

    def __getattr__(self, name):
        operation = getattr(self._store, name)

        def call(*arguments, **more):
            self._left -= 1
            if self._left < 0 and not self.interrupted:
                self.interrupted = True
                self._interrupt()
            return operation(*arguments, **more)

        return call


class CountingStore(Store):
    """Counts the writes of what users have spent."""

    def __init__(self):
        self.attempts = 0

    def spend(self, user_id, before, after):
        self.attempts += 1
        return super().spend(user_id, before, after)
