"""Deliveries: to a connection, a user, everyone; in parts, each of which may fail and be tried again."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from pynamodb.exceptions import DeleteError, GetError

from handlers.chat import deliverer
from handlers.chat.deliverer import MAX_PARTS, PACE, SEGMENTS
from handlers.chat.delivery import delivery
from handlers.chat.delivery.delivery import Delivery
from handlers.chat.errors import NotOpenYet
from handlers.chat.protocol.frames import MAX_FRAME_BYTES, ChatUpdated, Notice
from handlers.chat.records import Connection
from handlers.chat.store.pages import Page
from tests.support import contract
from tests.support.deliveries import DyingGateway, Lambda
from tests.support.recording_gateway import ALWAYS, RecordingGateway

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
FRAME = ChatUpdated(chat_id="chat", title="Рецепты")
NOTICE = Notice(message="Down at noon")


@pytest.fixture
def connections(store):
    for name, user in (("c1=", "alice"), ("c2=", "alice"), ("c3=", "bob"), ("c4=", None)):
        store.connections.add(Connection(name, NOON, user))


def run(to, store, gateway):
    Lambda(store, gateway).run(to)


def receivers(gateway):
    return sorted(connection_id for connection_id, _ in gateway.frames)


class TestReceivers:
    def test_a_user_gets_a_frame_on_all_their_connections(self, store, connections):
        run(delivery.to_user("alice", FRAME), store, gateway := RecordingGateway())
        assert receivers(gateway) == ["c1=", "c2="]
        assert gateway.frames[0][1] == {"type": "chat_updated", "data": {"chatId": "chat", "title": "Рецепты"}}

    def test_everyone_with_a_user_gets_a_broadcast_once(self, store, connections):
        run(delivery.to_everyone(FRAME), store, gateway := RecordingGateway())
        assert receivers(gateway) == ["c1=", "c2=", "c3="]

    @pytest.mark.parametrize("to", [delivery.to_user("alice", FRAME), delivery.to_everyone(FRAME)], ids=["user", "all"])
    @pytest.mark.parametrize(("seconds", "heard"), [(-1, False), (0, False), (1, True)])
    def test_a_connection_is_told_nothing_once_its_session_has_ended(self, store, to, seconds, heard):
        store.connections.add(Connection("c1=", NOON, "alice", until=NOON + timedelta(seconds=seconds)))
        run(to, store, gateway := RecordingGateway())
        assert receivers(gateway) == (["c1="] if heard else [])

    def test_a_connection_that_has_another_user_by_now_is_not_told_what_is_for_the_first(
        self, store, connections, monkeypatch
    ):
        late = Page(("c1=", "c3=", "gone="), None)
        monkeypatch.setattr(type(store.connections), "page_of_user", lambda *_: late)
        run(delivery.to_user("alice", FRAME), store, gateway := RecordingGateway())
        assert receivers(gateway) == ["c1="]

    def test_a_connection_that_is_gone_is_forgotten_and_one_that_fails_is_kept(self, store, connections):
        run(delivery.to_everyone(FRAME), store, gateway := RecordingGateway(gone={"c1="}, failing={"c2=": ALWAYS}))
        assert receivers(gateway) == ["c3="]
        assert store.connections.get("c1=") is None
        assert store.connections.get("c2=") is not None

    def test_a_row_that_cannot_be_deleted_keeps_nobody_from_hearing(self, store, connections, monkeypatch):
        def fails(self, connection_id):
            raise DeleteError

        monkeypatch.setattr(type(store.connections), "forget", fails)
        run(delivery.to_everyone(FRAME), store, gateway := RecordingGateway(gone={"c1="}))
        assert receivers(gateway) == ["c2=", "c3="]

    def test_a_greeting_that_never_arrives_does_not_cost_the_connection(self, store, connections):
        with pytest.raises(NotOpenYet):
            run(delivery.to_connection("c1=", FRAME), store, RecordingGateway(gone={"c1="}))
        assert store.connections.get("c1=") is not None


class TestNoticeIds:
    def ids(self, gateway):
        return {frame["data"].get("noticeId") for _, frame in gateway.frames}

    @pytest.mark.parametrize("to", [delivery.to_user("alice", NOTICE), delivery.to_everyone(NOTICE)])
    def test_a_notice_has_one_id_in_all_its_parts(self, store, connections, monkeypatch, to):
        monkeypatch.setattr(deliverer, "PAGE_CONNECTIONS", 1)
        run(to, store, gateway := RecordingGateway())
        assert self.ids(gateway) == {"id-1"}

    def test_a_notice_keeps_the_id_that_it_has(self, store, connections):
        run(delivery.to_everyone(Notice(message="x", notice_id="mine")), store, gateway := RecordingGateway())
        assert self.ids(gateway) == {"mine"}

    @pytest.mark.parametrize(
        "frame",
        [
            {"type": "note", "data": {"text": "x"}},
            {"type": "notice", "data": "no object"},
            {"type": "notice"},
            {"type": "notice", "data": {"message": "x" * (MAX_FRAME_BYTES - 50)}},
        ],
        ids=["another type", "odd data", "no data", "no room"],
    )
    def test_other_frames_are_sent_as_they_are(self, store, connections, frame):
        run(Delivery(contract.own(frame)), store, gateway := RecordingGateway())
        assert [sent for _, sent in gateway.frames] == [frame] * 3


class TestParts:
    """Pages of receivers, each served by an invocation that hands the rest on."""

    PAGE = 5

    @pytest.fixture(autouse=True)
    def small_pages(self, monkeypatch):
        monkeypatch.setattr(deliverer, "PAGE_CONNECTIONS", self.PAGE)

    @pytest.fixture
    def names(self, store):
        names = [f"c{number}=" for number in range(60)]
        for name in names:
            store.connections.add(Connection(name, NOON, "alice"))
        return sorted(names)

    @pytest.fixture(params=["user", "all"])
    def to(self, request):
        return delivery.to_user("alice", FRAME) if request.param == "user" else delivery.to_everyone(FRAME)

    def test_a_broadcast_is_a_star_of_chains(self, store, names):
        invocations = Lambda(store, RecordingGateway())
        invocations.run(delivery.to_everyone(FRAME))
        chains = {
            segment: [each.get("part", 0) for each in invocations.payloads if each.get("segment") == segment]
            for segment in range(SEGMENTS)
        }
        assert sum(map(len, chains.values())) == len(invocations.payloads) - 1
        assert all(chain == list(range(len(chain))) for chain in chains.values())

    def test_all_hear_it_once(self, store, names, to):
        run(to, store, gateway := RecordingGateway())
        assert receivers(gateway) == names

    @pytest.mark.parametrize("post", [1, 4, 5, 6, 23, 60])
    def test_if_an_invocation_dies_all_hear_it_and_a_page_at_most_twice(self, store, names, to, post):
        invocations = Lambda(store, gateway := DyingGateway(post, posts=1))
        invocations.run(to)
        heard = Counter(receivers(gateway))
        assert sorted(heard) == names
        assert invocations.failures == 1
        assert sum(heard.values()) - len(names) < self.PAGE

    def test_the_dead_letter_of_one_that_dies_twice_leads_on_from_where_it_died(self, store, names, to):
        invocations = Lambda(store, gateway := DyingGateway(23, posts=2))
        invocations.run(to)
        (letter,) = invocations.dead_letters
        assert sorted(set(receivers(gateway))) != names
        invocations.run(Delivery.of(letter))
        heard = Counter(receivers(gateway))
        assert sorted(heard) == names
        assert sum(heard.values()) - len(names) < 2 * self.PAGE

    def test_without_time_each_invocation_serves_one_and_hands_the_rest_on(self, store, names, to):
        invocations = Lambda(store, gateway := RecordingGateway(), seconds=1)
        invocations.run(to)
        assert receivers(gateway) == names
        assert len(invocations.payloads) >= len(names)

    def test_a_row_that_cannot_be_read_is_tried_again(self, store, names, monkeypatch):
        get, failing = type(store.connections).get, ["c7="]

        def fails_once(self, connection_id):
            if connection_id in failing:
                failing.remove(connection_id)
                raise GetError
            return get(self, connection_id)

        monkeypatch.setattr(type(store.connections), "get", fails_once)
        run(delivery.to_user("alice", FRAME), store, gateway := RecordingGateway())
        assert sorted(set(receivers(gateway))) == names

    def test_a_chain_that_does_not_end_is_ended(self, store, names, to):
        run(Delivery(to.frame, user_id="alice", part=MAX_PARTS - 1), store, gateway := RecordingGateway())
        assert len(gateway.frames) == self.PAGE


def test_all_chains_together_take_a_tenth_of_the_accounts_quota():
    assert SEGMENTS * PACE.per_second <= 10_000 / 10
