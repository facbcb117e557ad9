"""Five hundred turns through real processes with random faults, from a seed."""

from __future__ import annotations

import os
import random
import time
from concurrent.futures import ThreadPoolExecutor

from tests.faults.users import ChatUser, plan
from tests.support.waiting import HANGS

SEED = int(os.environ.get("PARLEY_SEED", "0")) or random.SystemRandom().randrange(1, 10**9)
USER_COUNT, TURNS = 20, 25

FAULTS = [
    {"point": "post", "do": "429", "chance": 0.03},
    {"point": "post", "do": "500", "chance": 0.01},
    {"point": "post", "do": "500", "chance": 0.005, "after": True},
    {"point": "store", "do": "throttle", "chance": 0.01},
    {"point": "store", "do": "500", "chance": 0.005},
    {"point": "store", "do": "500", "chance": 0.01, "after": True},
    {"point": "store", "do": "conflict", "match": ["TransactWriteItems"], "chance": 0.02},
    {"point": "store", "do": "conflict", "match": ["UpdateItem"], "chance": 0.02},
    {"point": "invoke", "do": "twice", "match": ["GenerateFunction"], "chance": 0.05},
    {"point": "invoke", "do": "500", "match": ["GenerateFunction"], "chance": 0.02},
    {"point": "invoke", "do": "lose", "match": ["GenerateFunction"], "chance": 0.004},
    {"point": "message", "do": "twice", "chance": 0.02},
    {"point": "model", "do": "503", "chance": 0.02},
    {"point": "model", "do": "cut", "chance": 0.02},
    {"point": "store", "do": "kill", "match": ["GenerateFunction"], "chance": 0.002},
    {"point": "store", "do": "kill", "match": ["GenerateFunction"], "chance": 0.002, "after": True},
    {"point": "post", "do": "kill", "match": ["assistant_message_token"], "chance": 0.001},
]


def said_until_acknowledged(user: ChatUser, text: str) -> None:
    """Send a message with one client id until it is acknowledged, as a client does."""
    end = time.monotonic() + HANGS
    while time.monotonic() < end:
        before = len(user.frames)
        user.send("message", message=text, clientMessageId=text)
        try:
            user.wait("user_message", 4, before, clientMessageId=text)
        except AssertionError:
            continue
        return
    raise AssertionError(f"{text} was never acknowledged")


def talk(user: ChatUser, chooser: random.Random) -> int:
    for number in range(TURNS):
        said_until_acknowledged(user, f"q{number}")
        if chooser.random() < 0.1:
            user.send("cancel")
        user.until(lambda number=number: sum(bool(each.completes) for each in user.readings.values()) > number)
    return TURNS


def test_five_hundred_turns_keep_the_promises(emulator):
    print(f"PARLEY_SEED={SEED}")
    users = [ChatUser(emulator) for _ in range(USER_COUNT)]
    plan(emulator, "PUT", seed=SEED, faults=[{"times": None, **fault} for fault in FAULTS])
    try:
        with ThreadPoolExecutor(USER_COUNT) as pool:
            turns = sum(pool.map(talk, users, [random.Random(f"{SEED} {number}") for number in range(USER_COUNT)]))
    finally:
        hits = sum(fault["hits"] for fault in plan(emulator, "GET")["faults"])
        plan(emulator, "PUT", faults=[])
    assert hits > 100
    assert turns == USER_COUNT * TURNS
    for user in users:
        stored = user.stored()
        assert [message["role"] for message in stored] == ["user", "assistant"] * TURNS
        assert [message["content"] for message in stored[::2]] == [f"q{number}" for number in range(TURNS)]
        assert int(user.chat()["messageCount"]["N"]) == 2 * TURNS
        contents = {message["messageId"]: message["content"] for message in stored}
        for message_id, reading in user.readings.items():
            assert {complete["content"] for complete in reading.completes} == {contents[message_id]}
            assert contents[message_id].startswith(reading.text)
        user.leave()
