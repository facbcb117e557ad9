"""The store, on moto's DynamoDB."""

from dataclasses import replace
from datetime import timedelta

import boto3
import pytest

from handlers.chat.records import Chat, Connection, Subscription
from tests.support.conversation import announcement_of, answer, ask, claim, seal
from tests.support.store_contract import (
    LATER,
    NOON,
    AcceptContract,
    AnnouncementsContract,
    SealContract,
    SubscriptionContract,
    TokensContract,
    TurnsContract,
)
from tests.support.subscribers import subscribe


@pytest.fixture
def chat(store):
    return store.chats.add(Chat("alice", "chat"), NOON)


class TestConnections:
    def test_a_connection_is_kept_until_it_is_forgotten(self, store):
        connection = Connection("c1=", NOON, "alice")
        store.connections.add(connection)
        assert store.connections.get("c1=") == connection
        store.connections.forget("c1=")
        assert store.connections.get("c1=") is None

    def test_forgetting_twice_is_harmless(self, store):
        store.connections.forget("c1=")
        store.connections.forget("c1=")

    def test_a_row_outlives_the_gateways_two_hours_by_ten_minutes(self, store):
        store.connections.add(Connection("c1=", NOON))
        client = boto3.client("dynamodb")
        item = client.get_item(TableName="ConnectionsTable", Key={"connectionId": {"S": "c1="}})["Item"]
        expiry = NOON + timedelta(hours=2, minutes=10)
        assert item["expiresAt"] == {"N": str(int(expiry.timestamp()))}

    def test_binding_does_not_bring_a_forgotten_connection_back(self, store):
        gone = Connection("c1=", NOON)
        assert store.connections.rebind(gone, replace(gone, user_id="alice", chat_id="chat")) is False
        assert store.connections.get("c1=") is None

    def test_forgetting_a_connection_takes_it_out_of_its_chat(self, store, chat):
        store.connections.add(Connection("c1=", NOON))
        subscribe(store, "c1=", Subscription("j1"))
        store.connections.forget("c1=")
        assert store.chats.get("alice", "chat").subscribers == {}

    def test_a_users_connections_are_found_and_nobody_elses(self, store):
        for name, user in (("c1=", "alice"), ("c2=", "bob"), ("c3=", "alice"), ("c4=", None)):
            store.connections.add(Connection(name, NOON, user))
        assert sorted(store.connections.of_user("alice")) == ["c1=", "c3="]

    @pytest.mark.parametrize("limit", [1, 3, 20, 50])
    def test_the_pages_of_the_segments_hold_every_connection_once(self, store, limit):
        names = {f"c{number}=" for number in range(20)}
        for name in names:
            store.connections.add(Connection(name, NOON))
        rows = store.connections
        found = [
            row.connection_id
            for segment in range(4)
            for row in paged(lambda after, segment=segment: rows.page_of_segment(segment, 4, after, limit), limit)
        ]
        assert (set(found), len(found)) == (names, 20)

    @pytest.mark.parametrize("limit", [1, 3, 10, 50])
    def test_the_pages_of_a_user_hold_each_of_their_connections_once(self, store, limit):
        names = {f"c{number}=" for number in range(10)}
        for name in names:
            store.connections.add(Connection(name, NOON, "alice"))
            store.connections.add(Connection(f"other-{name}", NOON, "bob"))
        found = paged(lambda after: store.connections.page_of_user("alice", after, limit), limit)
        assert (set(found), len(found)) == (names, 10)

    def test_a_page_goes_on_after_a_connection_that_is_gone_by_then(self, store):
        for number in range(10):
            store.connections.add(Connection(f"c{number}=", NOON, "alice"))
        first = store.connections.page_of_segment(0, 1, None, 4)
        store.connections.forget(first.cursor)
        rest = store.connections.page_of_segment(0, 1, first.cursor, 50)
        assert len({row.connection_id for row in (*first.items, *rest.items)}) == 10


def paged(read, limit):
    """Read all pages, each after the cursor of the one before."""
    page = read(None)
    found = [*page.items]
    while page.cursor is not None:
        page = read(page.cursor)
        assert len(page.items) <= limit
        found += page.items
    return found


class TestChats:
    def test_a_chat_is_its_owners_alone(self, store, chat):
        assert store.chats.get("alice", "chat") == chat
        assert store.chats.get("bob", "chat") is None

    def test_adding_a_chat_again_returns_what_is_there(self, store, chat):
        ask(store, "m1", "m2")
        again = store.chats.add(Chat("alice", "chat", "another title"), NOON)
        assert (again.title, again.message_count) == (None, 1)


class TestSubscriptions(SubscriptionContract):
    pass


class TestAccept(AcceptContract):
    pass


class TestTurns(TurnsContract):
    def test_a_chat_that_was_deleted_is_not_brought_back(self, store, chat):
        handover = ask(store, "m1", "m2")
        turn = claim(store, handover)
        unannounced = replace(chat, announcements=frozenset({announcement_of("m2")}))
        boto3.client("dynamodb").delete_item(
            TableName="ChatsTable", Key={"userId": {"S": "alice"}, "chatId": {"S": "chat"}}
        )
        assert store.turns.claim("alice", "chat", turn, "w2", LATER) is None
        assert store.turns.extend("alice", "chat", turn, LATER) is None
        assert store.turns.take_over("alice", "chat", turn, LATER) is False
        assert store.turns.cancel("alice", "chat", "m2") is None
        assert seal(store, handover, turn=turn) is False
        assert store.turns.take_over_announcement(unannounced, announcement_of("m2"), announcement_of("m2")) is False
        store.turns.announced("alice", "chat", announcement_of("m2"))
        assert store.chats.get("alice", "chat") is None
        assert store.messages.get("chat", "m2") is None


class TestTokens(TokensContract):
    pass


class TestAnnouncements(AnnouncementsContract):
    pass


class TestSeal(SealContract):
    pass


class TestMessages:
    def test_messages_come_newest_first_from_any_point(self, store, chat):
        for number in range(0, 44, 2):
            answer(store, ask(store, f"m{number:02}", f"m{number + 1:02}"))
        newest_first = [message.message_id for message in store.messages.newest_first("chat")]
        assert newest_first == [f"m{number:02}" for number in reversed(range(44))]
        assert [message.message_id for message in store.messages.newest_first("chat", before="m02")] == ["m01", "m00"]

    def test_text_comes_back_exactly(self, store, chat):
        text = "Жук\n\t👩‍👧 \u202e <b>&amp;</b> \\ \" ' {}"
        ask(store, "m1", "m2", text)
        assert store.messages.get("chat", "m1").content == text


def test_attributes_of_a_newer_version_are_kept_and_harmless(store, chat):
    handover = ask(store, "m1", "m2")
    boto3.client("dynamodb").update_item(
        TableName="ChatsTable",
        Key={"userId": {"S": "alice"}, "chatId": {"S": "chat"}},
        UpdateExpression="SET colour = :new, turn.mood = :new",
        ExpressionAttributeValues={":new": {"S": "new"}},
    )
    turn = claim(store, handover)
    assert store.turns.extend("alice", "chat", turn, LATER)
    item = boto3.client("dynamodb").get_item(
        TableName="ChatsTable", Key={"userId": {"S": "alice"}, "chatId": {"S": "chat"}}
    )["Item"]
    assert (item["colour"], item["turn"]["M"]["mood"]) == ({"S": "new"}, {"S": "new"})
