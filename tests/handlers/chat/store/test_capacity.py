"""Read and write units on DynamoDB Local: the meter itself, and each part of a chat."""

from datetime import UTC, datetime, timedelta

import boto3
import pytest
from parley.dynamodb.capacity import charged, size
from pynamodb.transactions import TransactWrite

from handlers.chat.assistants import Assistant
from handlers.chat.records import CallState, Chat, Connection, Result
from handlers.chat.store.dynamodb import CONNECTION
from handlers.chat.store.tables import ChatItem, MessageItem
from handlers.chat.turns import branches
from handlers.chat.turns.steps import load_named, load_steps, store_named, store_result, store_step
from infra.capacity.model import TURN_MESSAGE_UNITS, TURN_WRITE_UNITS
from tests.support import dynamodb
from tests.support.assistants import assistants
from tests.support.capacity import READS, Charge, metered
from tests.support.command_client import CommandClient
from tests.support.conversation import answer, ask, claim
from tests.support.reply_worker import STOP
from tests.support.runtime import FakeRuntime
from tests.support.steps_contract import DONE, a_named_step, a_step
from tests.support.subscribers import bind
from tests.support.tool_worker import Shop, SteppedModel, calls
from tests.support.turn import a_turn, begin
from tests.support.unlimited import UNLIMITED

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=1)
TEA = assistants(tea=Assistant(instructions="Be brief."))
CHATS = next(table for table in dynamodb.TABLES if table.name == "ChatsTable")
KEY = {"userId": {"S": "alice"}, "chatId": {"S": "chat"}}


class TestAChat:
    def test_adding_one_is_a_write_of_the_item_and_one_of_its_index(self, store, capacity):
        store.chats.add(Chat("alice", "chat"), NOON)
        assert capacity.charges == [
            Charge("PutItem", "ChatsTable", 1),
            Charge("PutItem", "ChatsTable/byUpdatedAt", 1),
        ]
        assert (capacity.read_units, capacity.write_units) == (0, 2)

    def test_reading_one_is_a_read(self, store, capacity):
        store.chats.add(Chat("alice", "chat"), NOON)
        capacity.clear()
        store.chats.get("alice", "chat")
        assert (capacity.reads, capacity.writes) == ({"GetItem": 1}, {})

    def test_adding_one_that_is_there_is_refused_and_read(self, store, capacity):
        store.chats.add(Chat("alice", "chat"), NOON)
        capacity.clear()
        store.chats.add(Chat("alice", "chat"), NOON)
        assert (capacity.refused, capacity.reads, capacity.writes) == (["PutItem"], {"GetItem": 1}, {})


def message(name, content="Hi"):
    return MessageItem("chat", name, role="user", content=content, timestamp=NOON)


class TestTheMeter:
    def test_reading_what_may_be_old_costs_half(self, store, capacity):
        store.users.get("alice")
        assert capacity.read_units == 0.5

    def test_a_query_of_an_index_is_charged_there(self, store, capacity):
        store.connections.add(Connection("c1=", NOON, "alice"))
        capacity.clear()
        list(store.connections.of_user("alice"))
        assert capacity.charges == [
            Charge("Query", "ConnectionsTable", 0),
            Charge("Query", "ConnectionsTable/byUser", 0.5),
        ]

    def test_a_transaction_costs_twice_for_tables_and_once_for_indexes(self, store, capacity):
        store.chats.add(Chat("alice", "chat"), NOON)
        capacity.clear()
        with TransactWrite(connection=CONNECTION) as write:
            write.save(message("m1"))
            write.update(ChatItem("alice", "chat"), [ChatItem.updated_at.set(LATER)])
        assert capacity.charges == [
            Charge("TransactWriteItems", "MessagesTable", 2),
            Charge("TransactWriteItems", "ChatsTable", 2),
            Charge("TransactWriteItems", "ChatsTable/byUpdatedAt", 2),
        ]

    def test_each_item_of_a_transaction_is_rounded_by_itself(self, store, capacity):
        with TransactWrite(connection=CONNECTION) as write:
            for name, content in (("m1", "Hi"), ("m2", "Hi"), ("m3", "x" * 1_500)):
                write.save(message(name, content))
        assert capacity.writes == {"TransactWriteItems": 2 + 2 + 4}

    def test_a_deletion_is_charged_for_what_was_there(self, store, capacity):
        message("m1", "x" * 1_500).save()
        capacity.clear()
        with TransactWrite(connection=CONNECTION) as write:
            write.delete(message("m1"))
            write.condition_check(MessageItem, "chat", "m2", condition=MessageItem.message_id.does_not_exist())
        assert sorted(charge.units for charge in capacity.charges) == [2, 4]

    def test_an_operation_of_unknown_cost_is_refused(self, store, capacity):
        with pytest.raises(AssertionError, match="BatchGetItem is not metered yet"):
            list(MessageItem.batch_get([("chat", "m1")]))

    def test_it_ends(self, store, capacity):
        with metered(CONNECTION.client, boto3.client("dynamodb")) as other:
            store.chats.get("alice", "chat")
        store.chats.get("alice", "chat")
        assert (other.read_units, capacity.read_units) == (1, 2)


class TestTheRules:
    """Outside transactions DynamoDB Local's figures are right, so they check the rules."""

    @pytest.mark.parametrize(
        "change",
        [
            {},
            {"title": {"S": "t"}},
            {"updatedAt": {"S": "later"}},
            {"updatedAt": {"S": "later"}, "title": {"S": "ю" * 600}},
            {"messageCount": {"N": "12"}},
            {"updatedAt": None},
            {"big": {"S": "x" * 3_000}},
            {"big": {"S": "x" * 1_500}, "title": {"S": "x" * 2_500}},
        ],
        ids=str,
    )
    def test_they_say_what_dynamodb_local_says_of_single_writes(self, store, capacity, change):
        client = boto3.client("dynamodb")
        old = KEY | {"updatedAt": {"S": "now"}, "messageCount": {"N": "1"}, "big": {"S": "x" * 2_000}}
        new = {name: value for name, value in (old | change).items() if value is not None}
        with metered(client, client) as single:
            for before, after in (({}, old), (old, new)):
                client.put_item(TableName="ChatsTable", Item=after)
                assert charges_of(single) == charged(CHATS, before, after, transaction=False)
            client.delete_item(TableName="ChatsTable", Key=KEY)
            assert charges_of(single) == charged(CHATS, new, {}, transaction=False)

    @pytest.mark.parametrize(
        ("value", "bytes_of_it"),
        [
            ({"S": "юла"}, 6),
            ({"N": "-120.50"}, 3),
            ({"BOOL": True}, 1),
            ({"NULL": True}, 1),
            ({"B": b"abc"}, 3),
            ({"B": "YWJj"}, 3),
            ({"SS": ["a", "bc"]}, 3),
            ({"L": [{"S": "a"}, {"S": "b"}]}, 7),
            ({"M": {"ab": {"S": "c"}}}, 7),
        ],
    )
    def test_names_and_values_count(self, value, bytes_of_it):
        assert size({"name": value}) == len("name") + bytes_of_it


def charges_of(capacity):
    """Return the units charged since the last call."""
    units = {charge.what: charge.units for charge in capacity.charges}
    capacity.clear()
    return units


class TestATurn:
    """A message from a device, the worker's whole work, and the end, in a chat that a second device sees too."""

    def test_it_costs_the_same_at_the_beginning_and_after_two_hundred(self, store, capacity):
        begin(store)
        costs = [a_turn(store, capacity, number) for number in range(200)]
        # The first turn gives the chat its title, which is in the index of chats too.
        first, *writes = [write for _, write in costs]
        assert (first, set(writes)) == (16, {15})
        # A prompt has a hundred messages at most, so what is read for it stops growing.
        reads = [read for read, _ in costs]
        assert max(reads) <= 10
        assert reads[-1] == reads[-50]

    def test_it_costs_the_same_in_a_chat_with_an_assistant(self, store, capacity):
        begin(store, assistant="tea")
        writes = [a_turn(store, capacity, number, assistants=TEA)[1] for number in range(3)]
        assert writes == [16, 15, 15]

    @pytest.mark.parametrize(("kilobytes", "more"), [(1, 2), (2, 4), (7, 14)])
    def test_each_further_kilobyte_of_the_reply_costs_two_writes(self, store, capacity, kilobytes, more):
        """Fifteen units are for a reply that fits into a kilobyte with its ids: a transaction writes each one twice."""
        begin(store)
        _, short = [a_turn(store, capacity, number) for number in range(2)][-1]
        _, long = a_turn(store, capacity, 2, reply="Once upon a time" + "x" * 1024 * kilobytes)
        assert long - short == more

    def test_each_renewal_of_the_lease_costs_one_write(self, store, capacity):
        begin(store)
        handover = ask(store, "m1", "m2", "Hi")
        turn = claim(store, handover, now=NOON)
        capacity.clear()
        assert store.turns.extend("alice", "chat", turn, NOON + timedelta(seconds=20))
        assert (capacity.read_units, capacity.write_units) == (0, 1)

    def test_an_edit_costs_four_more_than_a_message_and_a_selection_four(self, store, capacity):
        begin(store)
        for number in range(2):
            a_turn(store, capacity, number)
        client = CommandClient(store, "c3=")
        client.now = datetime.now(UTC)
        client.joins("alice", "chat")
        [edited, *_] = store.messages.oldest_first("chat")
        units = []
        for frame, more in (("message", {}), ("edit", {"messageId": edited.message_id})):
            capacity.clear()
            client.now += timedelta(seconds=1)  # a later message moves the chat up in its index
            [begun] = client.sends(frame, message="Hi", clientMessageId=frame, **more)
            units.append(capacity.write_units)
            answer(store, begun.handover)
        assert units[1] - units[0] == 4  # the fork, and the beginning of the branch
        capacity.clear()
        client.sends("select", messageId=edited.message_id)
        assert capacity.write_units == 4

    def test_a_regenerated_reply_costs_thirteen_and_moves_the_chat_up_in_its_index_once(self, store, capacity):
        begin(store)
        for number in range(2):
            a_turn(store, capacity, number)
        chat = store.chats.get("alice", "chat")
        capacity.clear()
        handover = branches.regenerate(store, chat, FakeRuntime(lambda: datetime.now(UTC)))
        answer(store, handover)
        of_index = [each for each in capacity.charges if each.what == "ChatsTable/byUpdatedAt"]
        assert [each.operation for each in of_index] == ["UpdateItem"]
        assert capacity.write_units == 3 + 1 + 8 + 1

    def test_the_model_of_a_deployment_counts_with_the_same_units(self, store, capacity):
        begin(store)
        _, writes = [a_turn(store, capacity, number, {}) for number in range(2)][-1]
        of_messages = sum(
            each.units for each in capacity.charges if each.what == "MessagesTable" and each.operation not in READS
        )
        assert (writes, of_messages) == (TURN_WRITE_UNITS, TURN_MESSAGE_UNITS)


class TestSteps:
    """The units that a step of a turn with tools adds. See docs/limits.md."""

    def test_a_step_with_two_calls_costs_eight_and_each_result_one_for_a_kilobyte(self, store, capacity):
        begin(store)
        handover = ask(store, "m1", "m2", "Hi")
        chat, turn = store.chats.get("alice", "chat"), claim(store, handover, now=NOON)
        capacity.clear()
        then = store_step(store, chat, turn, a_step(text="I look."), NOON)
        assert capacity.writes == {"TransactWriteItems": 2 * (1 + 1 + 2)}
        for place in range(2):
            store_result(store, chat, then, 1, place, Result(CallState.DONE, "x" * 500))
        store_result(store, chat, then, 1, 1, DONE)
        assert capacity.writes == {"TransactWriteItems": 8, "UpdateItem": 1 + 1}
        assert capacity.read_units == 1

    def test_reading_the_steps_of_a_turn_that_is_taken_over_is_one_query(self, store, capacity):
        begin(store)
        handover = ask(store, "m1", "m2", "Hi")
        chat, turn = store.chats.get("alice", "chat"), claim(store, handover, now=NOON)
        assert load_steps(store, chat, turn) == ()
        then = store_step(store, chat, turn, a_step(), NOON)
        capacity.clear()
        assert load_steps(store, chat, then)
        assert capacity.reads == {"Query": 1}

    def test_a_named_step_costs_four_and_two_more_for_each_further_kilobyte(self, store, capacity):
        begin(store)
        handover = ask(store, "m1", "m2", "Hi")
        chat, turn = store.chats.get("alice", "chat"), claim(store, handover, now=NOON)
        assert load_named(store, chat, turn) == ()
        capacity.clear()
        assert store_named(store, chat, turn, a_named_step(result='"sun"'), 1, NOON)
        assert (capacity.reads, capacity.writes) == ({}, {"TransactWriteItems": 4})
        assert store_named(store, chat, turn, a_named_step(number=2, result="1" * 3_000), 2, NOON)
        assert capacity.writes == {"TransactWriteItems": 4 + 8}
        then = store.chats.get("alice", "chat").turn
        capacity.clear()
        assert len(load_named(store, chat, then)) == 2
        assert capacity.reads == {"Query": 1}


class TestATurnWithCalls:
    """A whole turn whose model makes calls, against one without. See docs/limits.md."""

    def cost(self, store, capacity, *scripts, approved=()):
        """Units of the second turn: the first one gives the chat its title."""
        begin(store)
        a_turn(store, capacity, 0)
        shop = assistants(default=Assistant(tools=Shop().tools))
        read, write = a_turn(
            store, capacity, 1, assistants=shop, model=SteppedModel(*scripts, ("Done.", STOP)), approved=approved
        )
        return read, write

    def test_two_calls_of_one_step_cost_a_step_of_eight_and_two_results(self, store, capacity):
        _, write = self.cost(store, capacity, ("I look.", calls("look", "look")))
        assert write == 15 + 8 + 2

    def test_two_calls_of_two_steps_cost_six_and_a_result_each(self, store, capacity):
        _, write = self.cost(store, capacity, (calls("look"),), (calls("look"),))
        assert write == 15 + 2 * (6 + 1)

    def test_the_parts_of_the_reply_are_charged_as_its_text(self, store, capacity):
        long = ("look", '{"what": "' + "x" * 1100 + '"}')
        _, write = self.cost(store, capacity, (calls(("look", "{}"), long),))
        # The item of the second call has a KB more: in a transaction, and when its result comes. So has the reply.
        assert write == 15 + (8 + 2) + (1 + 2) + 2

    def test_an_approval_costs_seven(self, store, capacity):
        _, write = self.cost(store, capacity, ("I look.", calls("pay")), approved=["01-00"])
        # One to wait, four for the answer, one to go on, one to claim.
        assert write == 15 + (6 + 1) + 1 + 4 + 1 + 1

    def test_each_further_approval_of_a_step_costs_four_and_the_result(self, store, capacity):
        _, write = self.cost(store, capacity, ("I look.", calls("pay", "pay")), approved=["01-00", "01-01"])
        assert write == 15 + (8 + 2) + 1 + 2 * 4 + 1 + 1


class TestLimits:
    """The units that limits add to a turn. A refusal costs no write: see `test_quotas`."""

    def cost(self, store, capacity, **limits):
        """Read and write units of the later of two turns."""
        return [a_turn(store, capacity, number, UNLIMITED | limits) for number in range(2)][-1]

    @pytest.fixture
    def unlimited(self, store, capacity):
        begin(store)
        return [a_turn(store, capacity, number) for number in range(2, 4)][-1]

    def test_the_default_ones_cost_two_writes_and_two_reads(self, store, capacity, unlimited):
        read, write = self.cost(store, capacity, MESSAGES_PER_MINUTE="20", CONCURRENT_REPLIES="3")
        assert (read - unlimited[0], write - unlimited[1]) == (2, 2)

    def test_a_daily_one_costs_no_more_than_those(self, store, capacity, unlimited):
        read, write = self.cost(store, capacity, MESSAGES_PER_MINUTE="20", MESSAGES_PER_DAY="100")
        assert (read - unlimited[0], write - unlimited[1]) == (2, 2)

    def test_a_budget_of_tokens_costs_a_reservation_and_a_settlement(self, store, capacity, unlimited):
        read, write = self.cost(store, capacity, TOKENS_PER_DAY="1000")
        assert (read - unlimited[0], write - unlimited[1]) == (3, 4)

    def test_counting_twenty_connections_costs_half_a_read(self, store, capacity):
        for number in range(20):
            store.connections.add(Connection(f"connection-{number}=", datetime.now(UTC), "alice"))
        capacity.clear()
        store.connections.open_of_user("alice", NOON)
        assert (capacity.read_units, capacity.write_units) == (0.5, 0)

    def test_binding_a_connection_costs_what_it_did_and_no_more_for_its_age_in_the_index(self, store, capacity):
        store.connections.add(Connection("c1=", datetime.now(UTC)))
        capacity.clear()
        bind(store, "c1=", "alice", None)
        bind(store, "c1=", "alice", "chat")
        assert capacity.writes == {"UpdateItem": 2 + 1}

    def test_going_to_another_chat_costs_two_writes_of_a_transaction(self, store, capacity):
        begin(store)
        store.chats.add(Chat("alice", "other"), NOON)
        capacity.clear()
        bind(store, "c1=", "alice", "other")
        assert capacity.writes == {"TransactWriteItems": 2 + 2}
