"""The store: users, connections, chats, messages with branches and feedback, turns and their steps, kept in DynamoDB.

Attachments are kept in S3.

Callers see plain values, never PynamoDB's. A write with a condition returns False if the condition does not hold.
A caller that gets False, or a `StoreError`, may still have written, because an answer can be lost on its way back:
`turns.lifecycle` reads back. All reads are consistent, except where a docstring names an index.
"""

from __future__ import annotations

from pynamodb.exceptions import PynamoDBException

from handlers.chat.concurrency import Runtime
from handlers.chat.store import dynamodb, feedback
from handlers.chat.store.attachments import Attachments
from handlers.chat.store.branches import Branches
from handlers.chat.store.chats import Chats
from handlers.chat.store.connections import Connections
from handlers.chat.store.messages import Messages, next_page
from handlers.chat.store.steps import Steps
from handlers.chat.store.turns import Turns
from handlers.chat.store.users import Users

__all__ = ["Store", "StoreError", "next_page"]

StoreError = PynamoDBException
"""DynamoDB did not do what it was asked to, after retries of every kind. Every operation may raise it."""


class Store:
    """The four tables, in eight parts, and the bucket of attachments. Safe from any thread.

    All stores of a process share one connection, which pauses as the newest store's `runtime` says.
    """

    def __init__(self, runtime: Runtime) -> None:
        dynamodb.CONNECTION.runtime = runtime
        dynamodb.CONNECTION.open()
        self.users = Users()
        self.chats = Chats()
        self.connections = Connections()
        self.messages = Messages()
        self.turns = Turns()
        self.steps = Steps()
        self.attachments = Attachments()
        self.branches = Branches()
        self.feedback = feedback.Feedbacks()
