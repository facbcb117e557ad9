"""The ends of child processes, as descriptors that `poll` can wait for."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import suppress


class Exits:
    """A descriptor for each child, readable when it ends, on Linux; elsewhere one for all, readable after SIGCHLD.

    SIGCHLD also comes when a child is stopped and when it goes on. Environments are, twice for each event, and the
    zygote would wake up each time.
    """

    def __init__(self) -> None:
        self._of_children: dict[int, int] = {}
        self._signals: tuple[socket.socket, socket.socket] | None = None
        if not _has_descriptors_of_processes():
            self._signals = socket.socketpair()
            for end in self._signals:
                end.setblocking(False)
            signal.signal(signal.SIGCHLD, lambda *_: None)
            signal.set_wakeup_fd(self._signals[1].fileno(), warn_on_full_buffer=False)

    def descriptors(self) -> list[int]:
        """Return the descriptors to wait for."""
        return [self._signals[0].fileno()] if self._signals else list(self._of_children.values())

    def add(self, pid: int) -> None:
        """Watch a child that was just made."""
        if not self._signals:
            self._of_children[pid] = os.pidfd_open(pid)

    def ended(self) -> list[tuple[int, int]]:
        """Return the children that have ended, each with its exit status. They are reaped then."""
        if self._signals:
            with suppress(BlockingIOError):
                self._signals[0].recv(4096)
        found = []
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                found.append((ended[0], os.waitstatus_to_exitcode(ended[1])))
        for pid, _ in found:
            if descriptor := self._of_children.pop(pid, None):
                os.close(descriptor)
        return found

    def leave(self) -> None:
        """In a forked child: give up what belongs to the parent."""
        if self._signals:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for end in self._signals:
                end.close()
        for descriptor in self._of_children.values():
            os.close(descriptor)


def _has_descriptors_of_processes() -> bool:
    """Tell if the system can open a process: Linux 5.3, and no sandbox that forbids it."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return False
    return True
