"""What is kept, on moto's DynamoDB."""

from datetime import UTC, datetime, timedelta

import boto3
import pytest

from handlers.chat.errors import ChatMissing
from handlers.chat.frames import FinishReason, Role, Usage
from handlers.chat.store import Chat, Connection, Message

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def question(name="m1", content="Hi", chat_id="chat"):
    return Message(chat_id, name, Role.USER, content, NOON)


def answer(name="m2", content="Hello"):
    usage = Usage(prompt_tokens=3, completion_tokens=1)
    return Message("chat", name, Role.ASSISTANT, content, NOON, finish_reason=FinishReason.STOP, usage=usage)


@pytest.fixture
def chat(store):
    return store.add_chat(Chat("alice", "chat"), NOON)


class TestConnections:
    def test_a_connection_is_kept_until_it_is_forgotten(self, store):
        connection = Connection("c1=", NOON, "alice")
        store.add_connection(connection)
        assert store.connection("c1=") == connection
        store.forget_connection("c1=")
        assert store.connection("c1=") is None

    def test_forgetting_twice_is_harmless(self, store):
        store.forget_connection("c1=")
        store.forget_connection("c1=")

    def test_a_row_outlives_the_gateways_two_hours_by_ten_minutes(self, store):
        store.add_connection(Connection("c1=", NOON))
        client = boto3.client("dynamodb")
        item = client.get_item(TableName="ConnectionsTable", Key={"connectionId": {"S": "c1="}})["Item"]
        expiry = NOON + timedelta(hours=2, minutes=10)
        assert item["expiresAt"] == {"N": str(int(expiry.timestamp()))}

    def test_binding_does_not_bring_a_forgotten_connection_back(self, store):
        assert store.bind_connection("c1=", "alice", "chat") is False
        assert store.connection("c1=") is None

    def test_forgetting_a_connection_takes_it_out_of_its_chat(self, store, chat):
        store.add_connection(Connection("c1=", NOON))
        store.subscribe("alice", "chat", "c1=")
        store.bind_connection("c1=", "alice", "chat")
        store.forget_connection("c1=")
        assert store.chat("alice", "chat").subscribers == frozenset()

    def test_a_users_connections_are_found_and_nobody_elses(self, store):
        for name, user in (("c1=", "alice"), ("c2=", "bob"), ("c3=", "alice"), ("c4=", None)):
            store.add_connection(Connection(name, NOON, user))
        assert sorted(store.connections_of("alice")) == ["c1=", "c3="]

    def test_the_segments_hold_every_connection_once(self, store):
        names = {f"c{number}=" for number in range(20)}
        for name in names:
            store.add_connection(Connection(name, NOON))
        found = [name for segment in range(4) for name in store.connections_in(segment, 4)]
        assert (set(found), len(found)) == (names, 20)


class TestChats:
    def test_a_chat_is_its_owners_alone(self, store, chat):
        assert store.chat("alice", "chat") == chat
        assert store.chat("bob", "chat") is None

    def test_adding_a_chat_again_returns_what_is_there(self, store, chat):
        store.accept("alice", question())
        again = store.add_chat(Chat("alice", "chat", "another title"), NOON)
        assert (again.title, again.message_count) == (None, 1)

    def test_subscribing_to_a_deleted_chat_does_not_bring_it_back(self, store):
        assert store.subscribe("alice", "chat", "c1=") is False
        assert store.unsubscribe("alice", "chat", "c1=") is False
        assert store.chat("alice", "chat") is None


class TestMessages:
    def test_messages_come_newest_first_from_any_point(self, store, chat):
        for number in range(45):
            store.accept("alice", question(f"m{number:02}"))
        newest_first = [message.message_id for message in store.messages("chat")]
        assert newest_first == [f"m{number:02}" for number in reversed(range(45))]
        assert [message.message_id for message in store.messages("chat", before="m02")] == ["m01", "m00"]

    def test_an_accepted_message_is_counted(self, store, chat):
        store.accept("alice", question())
        assert store.chat("alice", "chat").message_count == 1
        assert store.message("chat", "m1") == question()

    def test_nothing_is_stored_in_a_chat_that_is_not_there(self, store):
        with pytest.raises(ChatMissing):
            store.accept("alice", question())
        assert store.message("chat", "m1") is None
        assert store.chat("alice", "chat") is None

    def test_nothing_is_stored_in_another_users_chat(self, store, chat):
        with pytest.raises(ChatMissing):
            store.accept("bob", question())
        assert list(store.messages("chat")) == []

    def test_a_sealed_reply_is_kept_with_its_end_and_gives_the_chat_its_title(self, store, chat):
        assert store.seal("alice", answer(), "Hi") == answer()
        assert store.message("chat", "m2") == answer()
        assert store.chat("alice", "chat").title == "Hi"

    def test_a_title_that_somebody_gave_stays(self, store):
        store.add_chat(Chat("alice", "chat", "Mine"), NOON)
        store.seal("alice", answer(), "Hi")
        assert store.chat("alice", "chat").title == "Mine"

    def test_a_reply_is_sealed_once_and_the_first_one_wins(self, store, chat):
        store.seal("alice", answer(content="first"), None)
        assert store.seal("alice", answer(content="second"), None).content == "first"
        assert store.message("chat", "m2").content == "first"
        assert store.chat("alice", "chat").message_count == 1

    def test_an_empty_reply_is_stored_as_such(self, store, chat):
        assert store.seal("alice", answer(content=""), None).content == ""
        assert store.message("chat", "m2").content == ""

    def test_text_comes_back_exactly(self, store, chat):
        text = "Жук\n\t👩‍👧 \u202e <b>&amp;</b> \\ \" ' {}"
        store.accept("alice", question(content=text))
        assert store.message("chat", "m1").content == text
