"""The parts of the emulator that keep something, on one data folder; without a folder they keep nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any, Self

from parley.emulator.state.folder import SERVICES_FILE, DataFolder
from parley.emulator.state.journal import Journal, NotKept
from parley.emulator.state.objects import KeptObjects
from parley.emulator.state.queues import KeptQueues
from parley.errors import StartError
from parley.functions.asynchronous import AcceptedEvent
from parley.functions.service import Functions, UnknownFunction
from parley.gateway.events import Handshake
from parley.gateway.websocket.stage import WebSocketGateway
from parley.trace import Trace

Note = Callable[[str], None]
"""Tells the developer something, in one line."""

OTHER_KEYS = (
    "Put the old keys back into the template, or begin anew with `parley state reset`, which saves the tables as "
    "`previous`."
)
"""The next step if a table that is kept has other keys than the template says."""

_NOT_KEPT = (
    "Tables, asynchronous events and open connections are not kept: moto has its tables in memory. "
    "`parley install-dynamodb` installs the engine that keeps them. Queues are kept."
)


class State:
    """The parts that keep something. `services`, `events` and `connections` are None without a data folder."""

    def __init__(self, folder: DataFolder | None = None, journal: Journal | None = None) -> None:
        self.folder = folder
        self._journal = journal
        self.services = KeptServices(journal) if journal else None
        self.events = KeptEvents(journal) if journal else None
        self.connections = KeptConnections(journal) if journal else None

    @classmethod
    def on(cls, folder: DataFolder | None) -> Self:
        """Return the state on a folder, or without one. Raises `StartError`."""
        if folder is None:
            return cls()
        try:
            return cls(folder, Journal(folder.current / SERVICES_FILE))
        except NotKept as error:
            raise StartError(f"{error}.") from None

    def stop(self) -> None:
        """Take no more ends of connections: from now on the emulator ends them, and `$disconnect` is not called."""
        if self.connections:
            self.connections.stop()

    def close(self) -> None:
        """End the writing. Nobody has the folder then."""
        if self._journal and self.folder:
            self._journal.close()
            self.folder.close()

    def resume(
        self, functions: Functions, gateways: Iterable[WebSocketGateway], keeps_tables: bool, trace: Trace
    ) -> None:
        """Go on with what the last run had accepted and not completed.

        If tables are not kept, events and connections are forgotten: they are about items that are not there any more.
        """
        if not (self._journal and self.events and self.connections):
            return

        def note(text: str) -> None:
            trace.record("note", text=text)

        if keeps_tables:
            self.events.resume(functions, note)
            self.connections.resume(tuple(gateways), note)
        else:
            note(_NOT_KEPT)
            with suppress(NotKept):
                self._journal.write(("DELETE FROM events", ()), ("DELETE FROM connections", ()))


class KeptServices:
    """The data of SQS and S3. Only for the thread in which the services are used."""

    def __init__(self, journal: Journal) -> None:
        self._queues = KeptQueues(journal)
        self._objects = KeptObjects(journal)
        self._restored: set[str] = set()

    def restore(self, service: str, names: Collection[str] = ()) -> None:
        """Put what was kept into what the template has made of a service; `names` are those of its new queues."""
        if service == "sqs":
            self._queues.restore(names)
        elif service == "s3" and service not in self._restored:
            self._objects.restore()
        self._restored.add(service)

    def holds_messages(self) -> bool:
        """Tell if messages were kept: their queues must be made and filled before anybody receives."""
        return self._queues.holds_messages()

    def keep(self, service: str) -> None:
        """Keep what a request to a service has changed, before it is answered. Raises `NotKept`."""
        if service in ("sqs", "sns") and "sqs" in self._restored:
            self._queues.keep()
        elif service == "s3" and "s3" in self._restored:
            self._objects.keep()


class KeptEvents:
    """Events that Lambda has accepted and not completed: they are run again in the next run, as on AWS."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def accept(self, event: AcceptedEvent) -> None:
        """Keep an event, before the caller hears that it was accepted. Raises `NotKept`."""
        invocation = event.invocation
        values = (
            *(invocation.request_id, invocation.function.name, invocation.qualifier, invocation.payload),
            *(event.accepted, event.attempts),
        )
        names = "request_id, function, qualifier, payload, accepted, attempts"
        self._journal.write((f"INSERT INTO events ({names}) VALUES (?, ?, ?, ?, ?, ?)", values))  # noqa: S608 - ours

    def note_attempts(self, request_id: str, attempts: int) -> None:
        """Keep the number of attempts so far. Raises `NotKept`."""
        self._journal.write(("UPDATE events SET attempts = ? WHERE request_id = ?", (attempts, request_id)))

    def complete(self, request_id: str) -> None:
        """Forget an event. Raises `NotKept`."""
        self._journal.write(("DELETE FROM events WHERE request_id = ?", (request_id,)))

    def resume(self, functions: Functions, note: Note) -> None:
        """Run the events of the last run that it has not completed. One whose function is gone stays."""
        rows = self._journal.read(
            "SELECT function, payload, qualifier, request_id, accepted, attempts FROM events ORDER BY number"
        )
        resumed, missing = 0, set()
        for row in rows:
            try:
                functions.resume(*row)
                resumed += 1
            except UnknownFunction:
                missing.add(row[0])
        if resumed:
            note(f"Asynchronous events that the last run had accepted and not completed go on: {resumed}.")
        for name in sorted(missing):
            note(f"Events for {name} are kept until it is in the template again: the last run had accepted them.")


class KeptConnections:
    """Connections that are open. Those that end with the emulator get their `$disconnect` in the next run."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._stopped = False

    def stop(self) -> None:
        """Take no more ends."""
        self._stopped = True

    def opened(self, handshake: Handshake) -> None:
        """Keep a connection."""
        # Not acknowledged to anybody: if this cannot be written, only `$disconnect` will be missing.
        with suppress(NotKept):
            values = handshake.connection_id, json.dumps(asdict(handshake))
            self._journal.write(("INSERT OR REPLACE INTO connections (id, handshake) VALUES (?, ?)", values))

    def ended(self, connection_id: str) -> None:
        """Forget a connection, after its `$disconnect`."""
        if not self._stopped:
            with suppress(NotKept):
                self._journal.write(("DELETE FROM connections WHERE id = ?", (connection_id,)))

    def resume(self, gateways: Sequence[WebSocketGateway], note: Note) -> None:
        """Call `$disconnect` for the connections that the last run has not ended, if their stages are there."""
        rows = self._journal.read("SELECT handshake FROM connections ORDER BY rowid")
        left = [_handshake(json.loads(content)) for (content,) in rows]
        if left:
            note(f"$disconnect is called for the connections that were open when the last run ended: {len(left)}.")
        for handshake in left:
            gateway = next((each for each in gateways if each.serves(handshake)), None)
            if gateway:
                gateway.leave(handshake)
            else:
                self.ended(handshake.connection_id)


def _handshake(fields: Mapping[str, Any]) -> Handshake:
    known = {name: value for name, value in fields.items() if name in Handshake.__dataclass_fields__}
    return Handshake(**known | {"headers": [(name, value) for name, value in fields["headers"]]})
