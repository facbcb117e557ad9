"""Posting to connections, delivering to many, closing, and forgetting those that are gone."""

from datetime import UTC, datetime, timedelta
from math import inf

import pytest

from handlers.chat.concurrency import Runtime
from handlers.chat.connections import OpenConnections, SessionDeadline
from handlers.chat.errors import ConnectionGone, NotOpenYet, PostFailed
from handlers.chat.protocol.frames import ChatUpdated
from handlers.chat.records import Chat, Connection
from tests.support.recording_gateway import ALWAYS, RecordingGateway
from tests.support.recording_queue import RecordingQueue
from tests.support.runtime import FakeRuntime
from tests.support.subscribers import leave_behind

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
DEADLINE = SessionDeadline(RecordingQueue(), "url", seconds=60)
FRAME = ChatUpdated(chat_id="chat", title="Рецепты")


@pytest.fixture
def connections(store):
    for name, user in (("c1=", "alice"), ("c2=", "alice"), ("c3=", "bob"), ("c4=", None)):
        store.connections.add(Connection(name, NOON, user))


def test_one_that_is_not_open_yet_is_closed_by_its_row(store, connections):
    assert not OpenConnections(store, RecordingGateway(gone=["c1="]), Runtime()).close_and_forget("c1=")
    assert store.connections.get("c1=") is None


class TestAGreeting:
    """A handshake that is not done and one that was given up give the same answer: 410."""

    class Time(FakeRuntime):
        """Virtual time. Only pauses and posts take any."""

        def __init__(self, now):
            self.seconds = 0.0
            super().__init__(now, sleep=self.passes, monotonic=lambda: self.seconds)

        def passes(self, seconds):
            self.seconds += seconds

    class Gateway:
        """Answers 410 until a moment. A post takes some time. `before_post` is called with each number of a post."""

        def __init__(self, time, opens_at, post_seconds=0.01, before_post=lambda post: None):
            self.time, self.opens_at, self.post_seconds, self.before_post = time, opens_at, post_seconds, before_post
            self.posts = []
            self.reached = False

        def post(self, connection_id, text):
            self.before_post(len(self.posts) + 1)
            self.posts.append(round(self.time.seconds, 3))
            self.time.passes(self.post_seconds)
            if self.time.seconds < self.opens_at:
                raise ConnectionGone(connection_id)
            self.reached = True

    def greet(self, store, opens_at, age=timedelta(0), **how):
        time = self.Time(NOON + age)
        gateway = self.Gateway(time, opens_at, **how)
        try:
            OpenConnections(store, gateway, time).greet("c1=", b"{}")
        except NotOpenYet:
            return gateway, time.seconds, True
        return gateway, time.seconds, False

    @pytest.mark.parametrize("opens_at", [0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4])
    def test_waits_for_the_connection_to_open(self, store, connections, opens_at):
        gateway, seconds, comes_again = self.greet(store, opens_at)
        assert gateway.reached
        assert not comes_again
        assert seconds <= 2 * opens_at + 0.03

    @pytest.mark.parametrize("post_seconds", [0.001, 0.01, 0.03, 0.1, 0.2, 0.5])
    def test_for_one_that_does_not_open_takes_half_a_second_at_most_and_comes_again(
        self, store, connections, post_seconds
    ):
        gateway, seconds, comes_again = self.greet(store, inf, post_seconds=post_seconds)
        assert comes_again
        assert seconds <= 0.45 + post_seconds
        assert len(gateway.posts) <= 5
        assert store.connections.get("c1=") is not None

    @pytest.mark.parametrize(("gone_before", "posts", "seconds"), [(1, 2, 0.09), (2, 2, 0.09), (3, 3, 0.2)])
    def test_ends_soon_once_the_row_is_gone(self, store, connections, gone_before, posts, seconds):
        def disconnect(post):
            if post == gone_before:
                store.connections.forget("c1=")

        gateway, taken, comes_again = self.greet(store, inf, before_post=disconnect)
        assert not comes_again
        assert len(gateway.posts) == posts
        assert taken == pytest.approx(seconds)

    @pytest.mark.parametrize("seconds", [12, 29])
    def test_comes_again_if_connect_took_as_long_as_it_may(self, store, connections, seconds):
        _, taken, comes_again = self.greet(store, inf, age=timedelta(seconds=seconds))
        assert comes_again
        assert taken <= 0.45

    @pytest.mark.parametrize("seconds", [40, 60, 7200])
    def test_that_comes_again_ends_soon_if_the_connection_never_opened(self, store, connections, seconds):
        gateway, taken, comes_again = self.greet(store, inf, age=timedelta(seconds=seconds))
        assert not comes_again
        assert len(gateway.posts) == 2
        assert taken == pytest.approx(0.09)
        assert store.connections.get("c1=") is not None

    def test_that_comes_again_reaches_a_connection_whose_handshake_took_long(self, store, connections):
        gateway, _, comes_again = self.greet(store, 0, age=timedelta(minutes=1))
        assert (gateway.reached, comes_again) == (True, False)


@pytest.mark.parametrize("gone", [[], ["c1="]])
def test_a_connection_that_is_closed_is_forgotten_be_it_open_or_not(store, connections, gone):
    gateway = RecordingGateway(gone=gone)
    OpenConnections(store, gateway, Runtime()).evict("c1=")
    assert (gateway.closed, gateway.frames) == (["c1="], [])
    assert store.connections.get("c1=") is None


def test_one_that_cannot_be_closed_keeps_its_row(store, connections):
    OpenConnections(store, RecordingGateway(failing={"c1=": ALWAYS}), Runtime()).evict("c1=")
    assert store.connections.get("c1=") is not None


def test_closing_tells_whether_the_connection_was_open(store, connections):
    open_connections = OpenConnections(store, RecordingGateway(gone=["c1="]), Runtime())
    assert [open_connections.close(name) for name in ("c1=", "c2=")] == [False, True]
    assert store.connections.get("c1=") is not None


def test_forgetting_takes_a_connection_out_of_the_chat_that_is_named(store, connections):
    chat = store.chats.add(Chat("alice", "chat"), NOON)
    leave_behind(store, "ghost=", Connection("ghost=", NOON))
    OpenConnections(store, RecordingGateway(), Runtime()).forget("ghost=", chat)
    assert store.chats.get("alice", "chat").subscribers == {}


def test_one_that_expires_is_closed_and_forgotten_unless_it_has_a_user(store, connections):
    gateway = RecordingGateway()
    for name in ("c1=", "c4=", "unknown="):
        OpenConnections(store, gateway, Runtime()).expire(name, 1, DEADLINE)
    assert gateway.closed == ["c4="]
    assert (store.connections.get("c1=").user_id, store.connections.get("c4=")) == ("alice", None)


def test_one_that_cannot_be_closed_does_not_expire(store, connections):
    with pytest.raises(PostFailed):
        OpenConnections(store, RecordingGateway(failing={"c4=": ALWAYS}), Runtime()).expire("c4=", 1, DEADLINE)
    assert store.connections.get("c4=") is not None
