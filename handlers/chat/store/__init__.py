"""The store: users, connections, chats, messages and turns, kept in DynamoDB.

Callers see plain values, never PynamoDB's. A write with a condition returns False if the condition does not hold.
A caller that gets False, or a `StoreError`, may still have written, because an answer can be lost on its way back:
`turns.lifecycle` reads back. All reads are consistent, except where a docstring names an index.
"""

from __future__ import annotations

from pynamodb.exceptions import PynamoDBException

from handlers.chat.concurrency import Runtime
from handlers.chat.store.chats import Chats
from handlers.chat.store.connections import Connections
from handlers.chat.store.messages import Messages
from handlers.chat.store.turns import Turns
from handlers.chat.store.users import Users

StoreError = PynamoDBException
"""DynamoDB did not do what it was asked to, after the client's own retries. Every operation may raise it."""


class Store:
    """The four tables, in five parts. Safe from any thread."""

    def __init__(self, runtime: Runtime) -> None:
        self.users = Users()
        self.chats = Chats(runtime)
        self.connections = Connections(runtime)
        self.messages = Messages()
        self.turns = Turns(runtime)
