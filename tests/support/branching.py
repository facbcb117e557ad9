"""A chat whose messages are edited, made anew and selected by two devices, beside a plain tree that says what it is."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field

from handlers.chat.protocol import frames
from handlers.chat.protocol.sizes import chars_of
from handlers.chat.records import NOTHING, Chat, Connection, FinishReason, Message, Role
from handlers.chat.settings import Settings
from handlers.chat.turns import branches, lifecycle
from handlers.chat.turns.actions import Begin, FanOut, Generate, Post
from handlers.chat.turns.commands import Commands
from tests.faults.simulation.two_frames import NamedTokens
from tests.support.conversation import NOON
from tests.support.runtime import FakeRuntime
from tests.support.stores import InterruptedStore
from tests.support.unlimited import NO_FRAME_LIMIT, UNLIMITED

SETTINGS = Settings.of({"JWT_SECRET": "x" * 32, **UNLIMITED})


@dataclass
class Tree:
    """The messages of a chat as a tree. Each message knows the end of the path through it that was active last."""

    parents: dict[str, str | None] = field(default_factory=dict)
    roles: dict[str, Role] = field(default_factory=dict)
    ends: dict[str, str] = field(default_factory=dict)
    leaf: str | None = None

    def add(self, message_id, role, parent):
        assert message_id not in self.parents
        self.parents[message_id], self.roles[message_id] = parent, role
        self.show(message_id)

    def show(self, leaf):
        self.leaf = leaf
        for each in self.path():
            self.ends[each] = leaf

    def path(self):
        """Return the active path, the oldest message first."""
        found, at = [], self.leaf
        while at is not None:
            found.append(at)
            at = self.parents[at]
        return found[::-1]

    def siblings(self, message_id):
        return sorted(each for each in self.parents if self.parents[each] == self.parents[message_id])

    def shown_sibling(self, message_id):
        """Return the sibling of a message, or itself, that is on the active path."""
        if message_id not in self.parents or len(self.siblings(message_id)) == 1:
            return None
        return next((each for each in self.siblings(message_id) if each in self.path()), None)


@dataclass(frozen=True)
class Operation:
    """A frame of a device. `about` is the message that it names."""

    kind: str
    about: str | None = None

    def data(self, tag):
        match self.kind:
            case "message":
                return {"message": f"text of {tag}", "clientMessageId": tag}
            case "edit":
                return {"messageId": self.about, "message": f"text of {tag}", "clientMessageId": tag}
            case "select":
                return {"messageId": self.about}
        return {}


class BranchedChat:
    """Alice's chat with two devices in it. `tree` is what it should be, `running` the handover of its turn."""

    def __init__(self, store):
        self.store, self.tree, self.running = store, Tree(), None
        self._ids = (f"m{number:04}" for number in itertools.count(1))
        self._tags = (f"tag-{number}" for number in itertools.count(1))
        self.told = {"c1=": [], "c2=": []}
        store.chats.add(Chat("alice", "chat"), NOON)
        for name in self.told:
            store.connections.add(Connection(name, NOON))
            self.frames(store, name, "join_chat", token="alice", chatId="chat")

    @property
    def chat(self):
        return self.store.chats.get("alice", "chat")

    def frames(self, store, name, kind, **data):
        """Return the frames that a device gets for its own, and note what the others and the worker get."""
        answers = []

        def perform(action):
            match action:
                case Post(frame):
                    answers.append(frame)
                case FanOut(told, connections):
                    for each in connections:
                        self.told[each] += told
                case Begin(acknowledgement, others, handover):
                    answers.append(acknowledgement.frame)
                    for each in others:
                        self.told[each].append(acknowledgement.frame)
                    self.running = handover
                case Generate(handover):
                    self.running = handover

        # Subscriptions have ids too, of their own here: those of the messages are m0001, m0002 and so on.
        runtime = FakeRuntime(NOON, lambda: "j" if kind == "join_chat" else next(self._ids), lambda _: None)
        commands = Commands(store, NamedTokens(), SETTINGS, runtime, NO_FRAME_LIMIT)
        commands.answer(json.dumps({"type": kind, "data": data}), name, perform, reference="ref")
        return answers

    def expected(self, operation):
        """Return the code with which an operation should be refused, None if it should be done."""
        if self.running is not None:
            return "busy"
        tree, about = self.tree, operation.about
        match operation.kind:
            case "edit" if about not in tree.path() or tree.roles[about] is not Role.USER:
                return "nothing_to_edit"
            case "select" if tree.shown_sibling(about) is None:
                return "nothing_to_select"
            case "regenerate" if tree.leaf is None:
                return "nothing_to_regenerate"
        return None

    def does(self, name, operation):
        """Let a device do something that is done or refused as the tree says."""
        expected = self.expected(operation)
        assert self.apply(name, operation, self.store) == expected

    def apply(self, name, operation, store):
        """Let a device do something, and return the code of the refusal, None if it was done."""
        other = self.told["c2=" if name == "c1=" else "c1="]
        heard = len(other)
        answers = self.frames(store, name, operation.kind, **operation.data(next(self._tags)))
        if answers and isinstance(answers[-1], frames.Error):
            return answers[-1].code.value
        self._follow(operation, answers)
        assert other[heard:] == answers  # the other device hears the same
        return None

    def _follow(self, operation, answers):
        """Do the same to the tree, which must allow it."""
        tree, about = self.tree, operation.about
        match operation.kind:
            case "message":
                tree.add(answers[0].message_id, Role.USER, tree.leaf)
            case "edit":
                assert about in tree.path()
                assert answers[0].replaces == about
                tree.add(answers[0].message_id, Role.USER, tree.parents[about])
            case "select":
                assert tree.shown_sibling(about) is not None
                if tree.shown_sibling(about) != about:
                    tree.show(tree.ends[about])
            case "regenerate":
                assert self.running.replaces == tree.leaf

    def races(self, operation, other, at, *, finishes):
        """Let one device begin something, and the other do something else before the call `at` of the first."""
        before = _state(self.chat)

        def interrupt():
            if _state(self.chat) == before:  # or else the first one has done it already
                self.does("c2=", other)
                if finishes and self.running:
                    self.finish()

        code = self.apply("c1=", operation, InterruptedStore(self.store, at, interrupt))
        assert code in (None, "busy", "nothing_to_edit", "nothing_to_select", "nothing_to_regenerate")

    def finish(self, reason=FinishReason.STOP):
        """Seal the reply that is being made."""
        handover = self.running
        self.finish_unseen(reason)
        leaf = self.tree.leaf
        self.tree.add(handover.message_id, Role.ASSISTANT, self.tree.parents[leaf] if handover.replaces else leaf)

    def finish_unseen(self, reason=FinishReason.STOP):
        """Seal the reply that is being made, and leave the tree as it is."""
        handover, self.running = self.running, None
        chat = lifecycle.claim(self.store, handover, "worker", NOON)
        text = f"reply {handover.message_id}"
        reply = Message("chat", handover.message_id, Role.ASSISTANT, text, NOON, finish_reason=reason)
        announcement = lifecycle.seal(self.store, chat, chat.turn, reply, None, NOON)
        self.store.turns.announced("alice", "chat", announcement)

    def pages(self, name="c1=", limit=2):
        """Return the views of the active path as a device reads it, page by page, the oldest message first."""
        [_, page, *_] = self.frames(self.store, name, "join_chat", token="alice", chatId="chat")
        shown = list(page.messages)
        while page.has_more:
            [page] = self.frames(self.store, name, "load_history", before=shown[0].message_id, limit=limit)
            assert page.messages
            shown = [*page.messages, *shown]
        return shown

    def check(self):
        """Check that the chat is the tree, whichever way it is read."""
        tree, chat, store = self.tree, self.chat, self.store
        path = tree.path()
        shown = {each.message_id: each.siblings for each in self.pages()}
        found = {each: tree.siblings(each) for each in path}
        assert shown == {each: tuple(siblings) if len(siblings) > 1 else None for each, siblings in found.items()}
        newest = list(store.messages.newest_first("chat", leaf=chat.leaf, most=1))
        assert [each.message_id for each in newest] == path[::-1]
        assert [each.chars for each in chat.sizes] == [chars_of(each) for each in newest][: len(chat.sizes)]
        for seen in tree.parents:
            later = branches.after(store, chat, seen, 2)
            assert [each.message_id for each in later] == [each for each in path if each > seen]
        self._check_what_is_kept()
        if (handover := self.running) is not None:
            read = store.messages.newest_first(
                "chat",
                handover.replaces or handover.message_id,
                leaf=handover.parent,
                first=len(handover.chars) or None,
            )
            asked = path[:-1] if handover.replaces else path
            assert [each.message_id for each in read] == asked[::-1]

    def _check_what_is_kept(self):
        """Check that the messages of all branches are there, and say where they belong."""
        before, parents = None, {}
        for message in self.store.messages.oldest_first("chat"):
            parent = before if message.after is None else message.after
            parents[message.message_id] = None if parent == NOTHING else parent
            before = message.message_id
        assert parents == self.tree.parents
        assert self.chat.message_count == len(parents)


def _state(chat):
    return chat.last_message_id, chat.branches, chat.turn
