"""The port of the emulator."""

from __future__ import annotations

import errno
import socket

from parley.errors import StartError

_BACKLOG = 2048


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises `StartError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise StartError(f"Cannot listen on {host}:{port}: {_reason_and_next_step(error)}") from None
    listener.listen(_BACKLOG)
    listener.setblocking(False)
    return listener


def _reason_and_next_step(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            "another program listens there. Stop that program, or choose another port: "
            "`make run PORT=8001`, `parley up --port 8001`."
        )
    return (
        f"{error.strerror or error}. Choose an address of this machine with --host, and a port above 1023 with --port."
    )
