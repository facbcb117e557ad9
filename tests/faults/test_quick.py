"""Short faults through real processes: users notice nothing, or get an apology."""

from __future__ import annotations

import json
import time
import urllib.request

import pytest
from parley.llm.answers import PromptMessage, answer
from websockets.exceptions import InvalidStatus

from tests.faults.users import APOLOGY, ENDLESS, USERS, ChatUser, Race, check, plan
from tests.support.devices import Device, Emulator
from tests.support.waiting import HANGS, until


@pytest.fixture
def user(emulator):
    user = ChatUser(emulator)
    yield user
    user.leave()


def model_report(emulator):
    with urllib.request.urlopen(f"{emulator.url}/_parley/model", timeout=HANGS) as answer:
        return json.loads(answer.read())


def events(emulator, after=0):
    url = f"{emulator.url}/_parley/trace?after={after}"
    with urllib.request.urlopen(url, timeout=HANGS) as answer:
        return json.loads(answer.read())


class TestEvents:
    """Rows 1, 2, 3, 4 and 26 of what breaks."""

    def test_a_disconnect_that_never_comes_is_made_good_by_the_next_post(self, emulator, user):
        other = ChatUser(emulator, user.user_id, user.chat_id)
        other.fault("disconnect", "lose", other.connection_id)
        other.leave()
        user.ask()
        until(lambda: other.connection_id not in user.chat()["subscribers"]["M"])
        check(user)

    def test_a_disconnect_that_comes_twice_does_no_harm(self, emulator, user):
        other = ChatUser(emulator, user.user_id, user.chat_id)
        other.fault("disconnect", "twice", other.connection_id)
        other.leave()
        until(lambda: other.connection_id not in user.chat()["subscribers"]["M"])
        user.ask()
        check(user)

    def test_a_connect_that_cannot_be_kept_is_refused(self, emulator, user):
        user.fault("store", "500", "ConnectFunction", "PutItem", times=4)
        with pytest.raises(InvalidStatus) as refused:
            Device(emulator.websocket_url)
        assert refused.value.response.status_code == 502

    def test_a_greeting_that_finds_nobody_is_sent_again(self, emulator, user):
        user.fault("post", "410", '"connected"', times=2)
        assert Device(emulator.websocket_url).receive("connected")

    def test_a_message_that_overtakes_the_join_is_refused_and_not_stored(self, emulator, user):
        late = Device(emulator.websocket_url)
        connection_id = late.connection_id()
        user.fault("message", "delay", connection_id, "join_chat", seconds=0.5)
        late.send("join_chat", chatId=user.chat_id)
        late.send("message", message="Too early")
        assert late.refusal() == "not_authenticated"
        assert user.stored() == []


class TestInvocations:
    """Rows 5 and 7."""

    def test_one_that_runs_twice_at_once_makes_one_reply(self, emulator, user):
        user.fault("invoke", "twice")
        user.ask()
        check(user)

    def test_one_that_comes_again_when_all_is_over_asks_and_says_nothing(self, emulator, user):
        reading = user.ask()
        check(user)
        requests, frames = model_report(emulator)["requests"], len(user.frames)
        payload = {"user_id": user.user_id, "chat_id": user.chat_id, "message_id": reading.completes[0]["messageId"]}
        lambda_ = emulator.client("lambda")
        for _ in range(20):
            answer = lambda_.invoke(FunctionName="GenerateFunction", Payload=json.dumps(payload).encode())
            assert "FunctionError" not in answer
        assert model_report(emulator)["requests"] == requests
        # The device pings meanwhile, as long as the invocations take.
        since = [frame["type"] for frame in user.frames[frames:] if frame["type"] != "pong"]
        assert since in ([], ["chat_updated"])

    @pytest.mark.parametrize("do", ["429", "500"])
    def test_one_that_is_not_taken_is_tried_again(self, emulator, user, do):
        user.fault("invoke", do, times=2)
        user.ask()
        check(user)


class TestStore:
    """Rows 11, 12, 13 and 14."""

    @pytest.mark.parametrize("function", ["DefaultFunction", "GenerateFunction"])
    def test_a_commit_whose_answer_is_lost_is_recognised(self, emulator, user, function):
        user.fault("store", "500", user.chat_id, function, "TransactWriteItems", after=True)
        user.ask(clientMessageId="mine")
        check(user)
        assert len(user.stored()) == 2

    def test_a_claim_whose_answer_is_lost_is_recognised(self, emulator, user):
        user.fault("store", "500", user.chat_id, "GenerateFunction", "UpdateItem", "worker", after=True)
        assert user.ask().completes[0]["attempt"] == 1
        check(user)

    def test_a_cancellation_whose_answer_is_lost_counts(self, emulator, user):
        user.fault("store", "500", user.chat_id, "UpdateItem", "cancelled", after=True)
        user.say(ENDLESS)
        user.wait("assistant_message_token")
        user.send("cancel")
        assert user.reply().completes[0]["finishReason"] == "cancelled"

    @pytest.mark.parametrize("do", ["throttle", "500"])
    def test_errors_that_pass_are_sat_out(self, emulator, user, do):
        user.fault("store", do, times=3, chance=0.9)
        user.ask()
        check(user)

    @pytest.mark.parametrize("operation", ["TransactWriteItems", "UpdateItem"])
    def test_conflicts_are_tried_again(self, emulator, user, operation):
        user.fault("store", "conflict", user.chat_id, operation, times=2)
        before = events(emulator)[-1]["number"]
        user.ask()
        check(user)
        ends = [event for event in events(emulator, before) if event["kind"] == "end"]
        assert [end for end in ends if end["error"]] == [], "Lambda tried again what the store should have"

    def test_a_message_that_cannot_be_stored_is_refused_and_can_be_sent_again(self, emulator, user):
        user.fault("store", "500", user.chat_id, "TransactWriteItems", times=4)
        user.send("message", message="Hello", clientMessageId="mine")
        refusal = user.wait("error")["data"]
        assert (refusal["code"], refusal["clientMessageId"]) == ("internal", "mine")
        assert refusal["retryAfter"] >= 1
        user.ask(clientMessageId="mine")
        check(user)
        assert len(user.stored()) == 2

    def test_two_devices_at_once_one_wins_and_both_see_it(self, emulator, user):
        other = ChatUser(emulator, user.user_id, user.chat_id)
        for number in range(20):
            race = Race(number, (user, other))
            race.start()
            race.check()
        for device in (user, other):
            check(device, 20)
        other.leave()

    def test_a_device_that_is_late_finds_the_chat_busy_too(self, emulator, user):
        other = ChatUser(emulator, user.user_id, user.chat_id)
        race = Race(0, (user, other))
        other.fault("message", "delay", other.connection_id, race.name_of(other), seconds=3)
        race.start()
        assert race.check() is user
        other.leave()


class TestPosts:
    """Rows 16 to 19."""

    def test_a_device_that_goes_in_the_middle_harms_nobody(self, emulator, user):
        other = ChatUser(emulator, user.user_id, user.chat_id)
        other.fault("post", "410", other.connection_id, "assistant_message_token", nth=3, times=None)
        user.ask("/long 100")
        check(user)
        until(lambda: other.connection_id not in user.chat()["subscribers"]["M"])
        other.leave()

    def test_a_slow_acknowledgement_comes_before_the_reply_that_is_made_meanwhile(self, emulator, user):
        for _ in range(2):
            user.fault("post", "delay", user.connection_id, '"user_message"', seconds=1.5)
            asked, after = model_report(emulator)["requests"], len(user.frames)
            user.send("message", message="Hello")
            until(lambda asked=asked: model_report(emulator)["requests"] > asked, seconds=30)
            user.reply(after=after)
            beginnings = ("user_message", "assistant_message_start")
            kinds = [frame["type"] for frame in user.frames[after:] if frame["type"] in beginnings]
            assert kinds == list(beginnings)
        check(user)

    def test_throttled_posts_come_later_and_whole(self, emulator, user):
        user.fault("post", "429", user.connection_id, "assistant_message", chance=0.3, times=None)
        reading = user.ask("/long 200")
        assert reading.text == reading.completes[0]["content"]
        check(user)

    def test_five_seconds_without_a_post_lose_nothing(self, emulator, user):
        user.say("/long 100")
        user.wait("assistant_message_token")
        user.fault("post", "429", user.connection_id, times=6)
        reading = user.reply()
        assert reading.text == reading.completes[0]["content"]
        check(user)

    @pytest.mark.parametrize("after", [False, True], ids=["lost", "delivered"])
    @pytest.mark.parametrize("do", ["500", "hang"])
    def test_posts_that_fail_are_tried_again_and_cut_by_their_offset(self, emulator, user, do, after):
        user.fault("post", do, user.connection_id, "assistant_message_token", nth=2, times=2, after=after, seconds=5.5)
        reading = user.ask("/long 50")
        assert reading.text == reading.completes[0]["content"]
        check(user)

    def test_a_slow_device_delays_nobody(self, emulator, user):
        slow = ChatUser(emulator, user.user_id, user.chat_id)
        slow.fault("post", "delay", slow.connection_id, seconds=2, times=None)
        reading = user.ask("/long 100")
        assert reading.text == reading.completes[0]["content"]
        assert slow.reply().text == reading.text
        assert slow.ended_at() > user.ended_at() + 1
        slow.leave()

    def test_a_device_that_hangs_at_the_question_does_not_hold_up_the_answer(self, emulator, user):
        other = ChatUser(emulator, user.user_id, user.chat_id)
        other.fault("post", "hang", other.connection_id, "user_message", seconds=6, times=None)
        user.ask()
        [fault] = [each for each in plan(emulator, "GET")["faults"] if other.connection_id in each["match"]]
        assert fault["hits"] < 4, "each of the four tries takes five seconds"
        other.leave()


class TestModel:
    """Rows 20 to 24."""

    @pytest.mark.parametrize("status", ["429", "503"])
    def test_an_error_that_passes_is_sat_out(self, emulator, user, status):
        user.fault("model", status, "please")
        assert user.ask("please").completes[0]["finishReason"] == "stop"

    @pytest.mark.parametrize("do", ["500", "401", "stall", "html", "empty", "blank"])
    def test_one_that_says_nothing_ends_in_the_apology(self, emulator, user, do):
        user.fault("model", do, f"please {do}!", times=None)
        complete = user.ask(f"please {do}!").completes[0]
        assert (complete["content"], complete["finishReason"]) == (APOLOGY, "error")
        check(user)

    @pytest.mark.parametrize(
        "do", ["stall-mid", "cut", "close", "error-event", "unknown-event", "broken-json", "abort"]
    )
    def test_one_that_breaks_off_ends_in_what_it_said_and_the_apology(self, emulator, user, do):
        user.fault("model", do, f"please {do}!")
        reading = user.ask(f"please {do}!")
        complete = reading.completes[0]
        said, apology = complete["content"].rsplit("\n\n", 1)
        assert said
        assert (apology, complete["finishReason"]) == (APOLOGY, "error")
        assert reading.text == complete["content"]
        check(user)

    @pytest.mark.parametrize(("do", "reason"), [("filter", "content_filter"), ("length", "length")])
    def test_its_own_reasons_to_end_are_passed_on(self, emulator, user, do, reason):
        user.fault("model", do, f"please {do}!")
        assert user.ask(f"please {do}!").completes[0]["finishReason"] == reason

    @pytest.mark.parametrize("do", ["odd", "no-usage-option", "surrogate"])
    def test_odd_servers_are_understood(self, emulator, user, do):
        user.fault("model", do, f"please {do}!")
        reading = user.ask(f"please {do}!")
        assert reading.completes[0]["finishReason"] == "stop"
        if do == "surrogate":
            assert reading.completes[0]["content"] == "🙂!"

    @pytest.mark.parametrize(
        "do",
        [
            *("content-parts", "delta-text", "odd-events", "odd-end"),
            *("sse", "whole", "refusal", "early-stop", "controls"),
        ],
    )
    def test_whatever_a_stream_does_the_answer_is_whole_and_asked_for_once(self, emulator, user, do):
        before = model_report(emulator)["requests"]
        user.fault("model", do, f"please {do}!")
        complete = user.ask(f"please {do}!").completes[0]
        assert (complete["content"], complete["finishReason"]) == (
            answer([PromptMessage("user", f"please {do}!")]),
            "stop",
        )
        assert model_report(emulator)["requests"] == before + 1
        check(user)

    def test_two_megabytes_are_cut_to_what_an_item_holds(self, emulator, user):
        user.fault("model", "huge", "please huge!")
        reading = user.ask("please huge!")
        complete = reading.completes[0]
        assert (complete["content"], complete["finishReason"]) == (None, "length")
        assert complete["length"] == len(reading.text) == len(user.stored()[1]["content"]) == 350_000

    def test_a_cancelled_reply_closes_the_models_stream(self, emulator, user):
        user.say(ENDLESS)
        user.wait("assistant_message_token")
        before = model_report(emulator)["abandoned"]
        user.send("cancel")
        user.reply()
        # The machine of a test may be slow; the time that the code takes is asserted in the simulation.
        until(lambda: model_report(emulator)["abandoned"] == before + 1)
        check(user)

    def test_a_cancelled_reply_that_has_not_begun_closes_it_too(self, emulator, user):
        user.fault("model", "stall", "please wait", times=None)
        complete = {"finishReason": "error"}
        while complete["finishReason"] == "error":  # the model counted as silent before the cancellation came
            before, frames = model_report(emulator), len(user.frames)
            user.say("please wait")
            until(lambda before=before: model_report(emulator)["requests"] > before["requests"])
            user.send("cancel")
            complete = user.wait("assistant_message_complete", after=frames)["data"]
        assert (complete["content"], complete["finishReason"]) == ("", "cancelled")
        until(lambda: model_report(emulator)["abandoned"] > before["abandoned"])


def test_a_chat_that_is_deleted_in_the_middle_stays_deleted(emulator, user):
    user.say(ENDLESS)
    user.wait("assistant_message_token")
    before = model_report(emulator)["abandoned"]
    key = {"userId": {"S": user.user_id}, "chatId": {"S": user.chat_id}}
    emulator.client("dynamodb").delete_item(TableName="ChatsTable", Key=key)
    until(lambda: model_report(emulator)["abandoned"] == before + 1)
    time.sleep(0.5)
    assert user.chat() == {}
    assert [message["role"] for message in user.stored()] == ["user"]
    assert not any(frame["type"] == "assistant_message_complete" for frame in user.frames)


def test_with_one_environment_for_each_function_everybody_waits_and_nobody_is_refused():
    emulator = Emulator(PARLEY_ENVIRONMENTS="1", PARLEY_USERS=",".join(f"user{number}" for number in range(USERS)))
    try:
        users = [ChatUser(emulator) for _ in range(4)]
        for user in users:
            user.say("/long 20")
        for user in users:
            assert user.reply(60).completes[0]["finishReason"] == "stop"
            check(user)
            user.leave()
    finally:
        emulator.stop()
