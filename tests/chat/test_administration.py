"""Administrators and the HTTP API, on a running emulator."""

from __future__ import annotations

import json
import urllib.request
from urllib.error import HTTPError

import pytest
from parley.dev_tokens import token

from tests.support import commands
from tests.support.devices import ROOT, SECRET, free_port
from tests.support.waiting import HANGS, until


def parley(*arguments, port):
    return commands.run(*arguments, folder=ROOT, variables=commands.environment(port))


def process(*arguments, port):
    return commands.process(*arguments, folder=ROOT, variables=commands.environment(port))


def call(emulator, method, path, user, body=None):
    headers = {"authorization": f"Bearer {token(user, SECRET)}", "content-type": "application/json"}
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{emulator.url}{path}", content, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=HANGS) as answer:
            return answer.status, json.loads(answer.read() or "null")
    except HTTPError as error:
        return error.code, json.loads(error.read())


def test_the_command_line_adds_reaches_disables_and_enables_users(emulator, device):
    added = process("users", "add", "carol", "--name", "Carol", "--role", "admin", port=emulator.port)
    assert (added.stdout, added.stderr) == ("Added carol.\n", "")
    assert call(emulator, "GET", "/me", "carol") == (200, {"userId": "carol", "name": "Carol", "roles": ["admin"]})
    carol, alice = device(), device()
    carol.join("carol")
    alice.join("alice")

    assert process("send", "carol", "Чай готов", port=emulator.port).stdout == "On its way to carol; connections: 1.\n"
    assert carol.receive("notice")["data"]["message"] == "Чай готов"
    process("broadcast", "Всем чаю", port=emulator.port)
    for each in (carol, alice):
        assert each.receive("notice")["data"]["message"] == "Всем чаю"

    assert process("users", "disable", "carol", port=emulator.port).stdout == "Disabled carol; connections closed: 1.\n"
    assert carol.closing_code() == 1000
    assert call(emulator, "GET", "/me", "carol")[0] == 401
    listed = process("users", "list", port=emulator.port).stdout.splitlines()
    assert "carol\tCarol\tadmin\tdisabled" in listed
    process("users", "enable", "carol", port=emulator.port)
    assert call(emulator, "GET", "/me", "carol")[0] == 200


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("users", "add", "alice"), "There is a user alice already. See parley users list."),
        (("users", "disable", "nobody"), "There is no user nobody. parley users add nobody creates one."),
        (("send", "nobody", "x"), "There is no user nobody. parley users add nobody creates one."),
    ],
)
def test_a_refusal_says_what_to_do_next(emulator, arguments, said):
    refused = parley(*arguments, port=emulator.port)
    assert (refused.returncode, refused.stderr) == (1, f"parley: {said}\n")


def test_without_an_emulator_the_next_step_is_named():
    refused = parley("users", "list", port=free_port())
    assert refused.returncode == 1
    assert refused.stderr.startswith("parley: No answer from the emulator on port ")
    assert "parley up" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_deleting_a_chat_ends_its_reply_and_reaches_every_device(emulator, device):
    there, elsewhere = device(), device()
    there.join("alice")
    elsewhere.join("alice")
    chat_id = there.create_chat()
    there.send("message", message="/long 100000")
    there.receive("user_message")
    there.receive("assistant_message_start")
    assert call(emulator, "DELETE", f"/chats/{chat_id}", "alice") == (204, None)
    assert elsewhere.receive("chat_deleted")["data"] == {"chatId": chat_id}
    while there.receive_any()["type"] != "chat_deleted":
        pass
    assert call(emulator, "GET", f"/chats/{chat_id}", "alice")[1]["code"] == "chat_not_found"
    messages = emulator.client("dynamodb")
    table = {"TableName": "MessagesTable", "KeyConditionExpression": "chatId = :chat"}
    for partition in (chat_id, f"{chat_id}#sent"):
        values = {":chat": {"S": partition}}
        until(lambda values=values: not messages.query(**table, ExpressionAttributeValues=values)["Items"])
    there.send("load_history", before="zzz")
    while (answer := there.receive_any())["type"] != "error":
        # What was on its way when the chat was deleted, and the news of that from both functions that delete it.
        assert answer["type"] in ("assistant_message_token", "chat_deleted")
    assert answer["data"]["code"] == "chat_not_found"


def test_a_new_title_reaches_every_device(emulator, device):
    there, elsewhere = device(), device()
    there.join("alice")
    elsewhere.join("alice")
    chat_id = there.create_chat()
    assert call(emulator, "PATCH", f"/chats/{chat_id}", "alice", {"title": "Чай"})[0] == 200
    for each in (there, elsewhere):
        assert each.new_title(chat_id) == "Чай"


def test_an_administrator_disconnects_a_user(emulator, device):
    parley("users", "add", "root", "--role", "admin", port=emulator.port)
    parley("users", "add", "dave", port=emulator.port)
    dave = device()
    dave.join("dave")
    shown = call(emulator, "GET", "/admin/users/dave/connections", "root")[1]["connections"]
    assert [each["chatId"] for each in shown] == [None]
    assert call(emulator, "DELETE", "/admin/users/dave/connections", "root") == (200, {"closed": 1})
    assert dave.closing_code() == 1000
