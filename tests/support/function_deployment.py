"""The functions that clients reach, called as AWS calls them."""

import json
import os

from parley.dev_tokens import token

from handlers import connect, default
from handlers.chat.records import Connection
from tests.support.http_api import Invocations, request, services
from tests.support.lambda_context import LambdaContext
from tests.support.recording_gateway import RecordingGateway
from tests.support.runtime import NOON
from tests.support.settings_rules import SECRET
from tests.support.websocket_events import CONNECTION_ID, connect_event, message_event
from tests.support.wiring import wiring


class FunctionDeployment:
    """The functions that clients reach, with one environment, and a connection from before the setting was wrong."""

    def __init__(self, store, user="alice"):
        self.gateway, self.functions = RecordingGateway(), Invocations()
        self.store = store
        self.wired = wiring(gateway=self.gateway, functions=self.functions)
        self.user = user
        self.chat_id = "chat"
        store.connections.add(Connection(CONNECTION_ID, NOON, user))

    def connects(self, **query):
        event = connect_event(**query)
        event["requestContext"]["connectionId"] = "new="
        return connect.handle(event, self.wired)["statusCode"]

    def sends(self, kind, **data):
        """Send a frame, and return the code of the error that is the answer, or None."""
        before = len(self.gateway.frames)
        body = json.dumps({"type": kind, "data": data, "requestId": kind})
        assert default.handle(message_event(body), LambdaContext(), self.wired) == {"statusCode": 200}
        answers = [frame for _, frame in self.gateway.frames[before:] if frame.get("requestId") == kind]
        return next((frame["data"]["code"] for frame in answers if frame["type"] == "error"), None)

    def answers(self):
        """Return the answer of each way in to a user with a good token."""
        with services(functions=self.functions, authenticator=self.wired.authenticator):
            return {
                "connect": self.connects(token=token(self.user, os.environ.get("JWT_SECRET") or SECRET)),
                "join_chat": self.sends("join_chat"),
                "create_chat": self.sends("create_chat"),
                "message": self.sends("message", message="Hi"),
                "ping": self.sends("ping"),
                "/me": request("GET", "/me", self.user).status,
            }
