"""A small server that speaks the chat's wire protocol and can misbehave."""

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

from tests.support import contract

GREETING = {
    "message": "WebSocket connection established",
    "protocol": "1.2",
    "connectionId": "c=",
    "serverTime": "2026-01-01T00:00:00.000Z",
    "reconnectBefore": "2026-01-01T01:55:00.000Z",
    "limits": {"messageChars": 10_000, "idleSeconds": 600},
}
"""The data of `connected`, without the assistants."""


class ChatServer:
    """One user's chats. It replies `You said: …` in pieces of four; the attributes make it misbehave.

    `chats` is the answer of the HTTP API to who asks for the list, `close_codes` are those of ended connections.
    `assistants` are those of the greeting, None for a server of an earlier version. Only frames of this version are
    checked against the contract, so a test that makes others says `is_current = False`.
    `asks` are ids of calls that each reply waits with until the user has answered for them.
    `fails` and `closes` hold the message, or the close code, with which the gateway answers one frame of a type.
    """

    def __init__(self):
        self.received = []
        self.connections = 0
        self.close_codes = []
        self.asked_for_chats = []
        self.chats = HTTPStatus.OK, json.dumps({"chats": [], "cursor": None})
        self.messages = []
        self.named = "default"
        self.greets = True
        self.assistants = [{"id": "default", "title": "Assistant", "starters": []}]
        self.is_current = True
        self.answers_pings = True
        self.refuses = {}
        self.refuses_once = {}
        self.refuses_after_a_cut = {}
        self.fails = {}
        self.closes = {}
        self.cuts_reply_at = None
        self.pauses_reply_at = None
        self.cost = None
        self.asks = ()
        self.cuts_before_acknowledging = False
        self.goes_on = asyncio.Event()
        self.goes_on.set()

    async def __call__(self, connection):
        self.connections += 1
        self.connection = connection
        with suppress(ConnectionClosed):
            if self.greets:
                listed = {} if self.assistants is None else {"assistants": self.assistants}
                await self.send("connected", **GREETING | listed)
            async for raw in connection:
                frame = json.loads(raw)
                self.received.append((frame["type"], frame["data"]))
                await self.take(frame["type"], frame["data"], frame.get("requestId"))
        self.close_codes.append(connection.close_code)

    def answer_http(self, connection, request):
        """Answer a request of the HTTP API: the list of chats. Any other request is a handshake."""
        if request.path != "/chats":
            return None
        self.asked_for_chats.append(request.headers.get("authorization"))
        return connection.respond(*self.chats)

    async def take(self, kind, data, request_id):
        if kind in self.closes:
            await self.connection.close(self.closes.pop(kind))
        elif kind in self.fails:
            gateway_error = {"message": self.fails.pop(kind), "connectionId": "c=", "requestId": "gateway's own"}
            await self.connection.send(json.dumps(gateway_error))
        elif kind in self.refuses or kind in self.refuses_once:
            code = self.refuses.get(kind) or self.refuses_once.pop(kind)
            await self.send("error", request_id, message=f"No {kind}", code=code)
        else:
            await getattr(self, f"on_{kind}")(data, request_id)

    async def send(self, kind, request_id=None, /, **data):
        frame = {"type": kind, "data": data} | ({"requestId": request_id} if request_id else {})
        if self.is_current and self.assistants is not None:
            contract.received(frame)
        await self.connection.send(json.dumps(frame))

    def cut(self):
        self.refuses_once |= self.refuses_after_a_cut
        self.connection.transport.abort()

    def sent(self, kind):
        """Return the data of every frame of this kind that the client has sent."""
        return [data for received, data in self.received if received == kind]

    async def on_ping(self, data, request_id):
        if self.answers_pings:
            await self.send("pong", request_id, serverTime="2026-01-01T00:00:00.000Z")

    async def on_join_chat(self, data, request_id):
        await self.send("authenticated", request_id, userId="alice")
        if "chatId" in data:
            page = {"messages": self.messages, "hasMore": False}
            await self.send("chat_joined", request_id, chatId=data["chatId"], title="Talk", **page, **self.assistant())

    async def on_create_chat(self, data, request_id):
        self.named = data.get("assistant", "default")
        await self.send("chat_created", request_id, chatId="c1", title="New chat", **self.assistant())

    def assistant(self):
        """Return the field with the assistant of the chat, which servers of earlier versions do not have."""
        return {} if self.assistants is None else {"assistant": self.named}

    async def on_load_history(self, data, request_id):
        page = [stored("u0", "user", "Before")]
        await self.send("history", request_id, chatId="c1", messages=page, hasMore=False)

    async def on_message(self, data, request_id):
        if self.cuts_before_acknowledging:
            self.cuts_before_acknowledging = False
            self.cut()
            return
        user = stored(f"u{len(self.messages)}", "user", data["message"])
        self.messages.append(user)
        client_message_id = data["clientMessageId"]
        await self.send("user_message", request_id, chatId="c1", clientMessageId=client_message_id, **user)
        text = f"You said: {data['message']}"
        self.replying = asyncio.create_task(self.reply(f"r{len(self.messages)}", text))

    async def on_cancel(self, data, request_id):
        if "messageId" in data:
            self.replying.cancel()
            await self.complete(data["messageId"], "You ", "cancelled")

    async def on_approve(self, data, request_id):
        await self.send("call_answered", request_id, messageId=self.asking, **data)
        self.unanswered.discard(data["callId"])
        if not self.unanswered:
            self.answered.set()

    async def ask(self, message_id):
        """Ask the user, and wait for the answers."""
        self.asking, self.answered, self.unanswered = message_id, asyncio.Event(), set(self.asks)
        common = {"messageId": message_id, "attempt": 1, "offset": 0}
        for index, call_id in enumerate(self.asks):
            call = {"kind": "tool_call", "callId": call_id, "name": "pay", "arguments": "{}", "state": "waiting"}
            await self.send("assistant_message_part", index=index, part=call, **common)
        await self.answered.wait()

    async def on_regenerate(self, data, request_id):
        replaced = self.messages.pop()
        text = f"Again: {replaced['content']}"
        self.replying = asyncio.create_task(self.reply("anew", text, replaces=replaced["messageId"]))

    async def reply(self, message_id, text, **more):
        await self.goes_on.wait()
        whole = stored(message_id, "assistant", text)
        common = {"messageId": message_id, "attempt": 1}
        await self.send("assistant_message_start", chatId="c1", message="…", offset=0, content="", **common, **more)
        if self.asks:
            await self.ask(message_id)
        for offset in range(0, len(text), 4):
            if offset == self.pauses_reply_at:
                await asyncio.Future()
            if offset == self.cuts_reply_at:
                self.messages.append(whole)
                self.cut()
                return
            await self.send("assistant_message_token", token=text[offset : offset + 4], offset=offset, **common)
        await self.complete(message_id, text, "stop")

    async def complete(self, message_id, text, reason):
        whole = stored(message_id, "assistant", text)
        self.messages.append(whole)
        end = {"chatId": "c1", "attempt": 1, "length": len(text), "finishReason": reason}
        cost = {"cost": self.cost} if self.cost else {}
        await self.send("assistant_message_complete", **whole, **end, **cost)


def stored(message_id, role, content):
    timestamp = "2026-01-01T00:00:00.000Z"
    return {"messageId": message_id, "role": role, "content": content, "timestamp": timestamp}


@asynccontextmanager
async def listening(server):
    async with serve(server, "127.0.0.1", 0, ping_interval=None, process_request=server.answer_http) as running:
        yield f"ws://127.0.0.1:{running.sockets[0].getsockname()[1]}/ws/chat"
