"""The store in dictionaries."""

from __future__ import annotations

from handlers.chat.store.attachments import Attachments
from tests.faults.simulation.messages import SimulatedBranches, SimulatedMessages
from tests.faults.simulation.services import (
    SimulatedChats,
    SimulatedConnections,
    SimulatedServices,
    SimulatedUsers,
)
from tests.faults.simulation.steps import SimulatedSteps
from tests.faults.simulation.tables import Tables
from tests.faults.simulation.turns import SimulatedTurns


class SimulatedStore:
    """A `handlers.chat.store.Store` in dictionaries, for turns. Without `services` nothing waits or fails."""

    def __init__(self, services: SimulatedServices | None = None) -> None:
        self.tables = Tables()
        if services is not None:
            self.tables.chats.time = lambda: services.world.time
        self.users = SimulatedUsers(self.tables, services)
        self.chats = SimulatedChats(self.tables, services)
        self.connections = SimulatedConnections(self.tables, services)
        self.messages = SimulatedMessages(self.tables, services)
        self.turns = SimulatedTurns(self.tables, services)
        self.steps = SimulatedSteps(self.tables, services)
        self.attachments = Attachments("")
        self.branches = SimulatedBranches(self.tables, services)
