"""Tokens and secrets leave a payload, and nothing else does."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parley.dev_tokens import token
from parley.emulator.redaction import REDACTED, Redaction, is_secret_name

SECRET = "a secret of at least thirty-two bytes"
JWT = token("alice", SECRET)


def redacted(value, *secrets, **options):
    text, paths = Redaction(secrets).payload(json.dumps(value).encode(), **options)
    return json.loads(text), paths


@pytest.mark.parametrize(
    "name",
    [
        *("authorization", "Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie", "x-api-key", "X-Api-Key"),
        *("X-Amz-Security-Token", "X-Amz-Signature", "X-Amz-Credential", "token", "accessToken", "access_token"),
        *("idToken", "refresh_token", "sessionToken", "csrf-token", "userToken", "password", "PASSWORD", "newPassword"),
        *("secret", "client_secret", "JWT_SECRET", "OPENAI_API_KEY", "apiKey", "privateKey", "dbPassword", "signature"),
    ],
)
def test_a_value_goes_because_of_its_name(name):
    event = {"headers": {name: "some value"}, "multiValueHeaders": {name: ["some value"]}}
    found, paths = redacted(event)
    assert found == {"headers": {name: REDACTED}, "multiValueHeaders": {name: [REDACTED]}}
    assert paths == [f"headers.{name}", f"multiValueHeaders.{name}[0]"]


@pytest.mark.parametrize(
    "name",
    [
        *("tokens", "prompt_tokens", "maxTokens", "nextToken", "NextToken", "next_token", "ClientRequestToken"),
        *("key", "routeKey", "keys", "user", "author", "secretary", "passenger", "connectionId", "code", "tokenizer"),
    ],
)
def test_a_name_that_only_looks_like_one_stays(name):
    assert not is_secret_name(name)
    assert redacted({name: "value"}) == ({name: "value"}, [])


def test_the_browsers_way_to_send_a_token_is_redacted():
    assert redacted({"headers": {"Sec-WebSocket-Protocol": "chat, abc"}})[0]["headers"] == {
        "Sec-WebSocket-Protocol": REDACTED
    }


@pytest.mark.parametrize(
    ("text", "stays"),
    [
        (f"the token {JWT} of alice", f"the token {REDACTED} of alice"),
        ("Bearer abcdef123456", f"Bearer {REDACTED}"),
        ("curl -H 'Authorization: Basic YWxpY2U6c2VjcmV0'", f"curl -H 'Authorization: Basic {REDACTED}'"),
        ("AKIAIOSFODNN7EXAMPLE and ASIAIOSFODNN7EXAMPLE", f"{REDACTED} and {REDACTED}"),
        ("sk-proj-abcdefghijklmnop1234", REDACTED),
        ("ghp_abcdefghijklmnopqrstuvwxyz0123", REDACTED),
        ("wss://host/live?token=abc&room=7", f"wss://host/live?token={REDACTED}&room=7"),
        ("access_token=abc&state=1", f"access_token={REDACTED}&state=1"),
        ("-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----", REDACTED),
    ],
)
def test_a_value_goes_because_of_its_form(text, stays):
    assert redacted({"message": text}) == ({"message": stays}, ["message"])
    assert Redaction().payload(text.encode()) == (stays, ["the text"])


def test_a_value_goes_because_the_functions_have_it_as_a_secret():
    found, paths = redacted({"log": f"I use {SECRET}!", "short": "emulator"}, SECRET, "emulator")
    assert found == {"log": f"I use {REDACTED}!", "short": "emulator"}
    assert paths == ["log"]


def test_json_in_a_text_is_looked_through():
    body = json.dumps({"type": "join_chat", "data": {"token": JWT, "chatId": "1"}})
    found, paths = redacted({"body": body, "requestContext": {"stage": "live"}})
    assert json.loads(found["body"]) == {"type": "join_chat", "data": {"token": REDACTED, "chatId": "1"}}
    assert found["requestContext"] == {"stage": "live"}
    assert paths == ["body.data.token"]


def test_a_payload_without_secrets_stays_byte_for_byte():
    sent = '{ "body" : "{\\"a\\":  1}",\n "n": 1.0, "words": "слова 😀" }'
    assert Redaction().payload(sent.encode()) == (sent, [])


@pytest.mark.parametrize("piece", ["Hel", " wor", "a longer piece of a reply, with spaces", ""])
def test_a_piece_of_a_reply_stays_in_a_post(piece):
    frame = {"type": "assistant_message_token", "data": {"token": piece}}
    assert redacted(frame, streams=True) == (frame, [])


@pytest.mark.parametrize("value", [JWT, "0123456789abcdefghij"])
def test_a_token_in_a_post_goes(value):
    assert redacted({"data": {"token": value}}, streams=True)[0] == {"data": {"token": REDACTED}}


def test_what_is_empty_or_a_number_stays():
    value = {"token": None, "password": "", "cookies": [], "authorization": {}, "apiKey": 0, "secret": True}
    assert redacted(value) == (value, [])


def test_a_secret_object_goes_as_a_whole():
    assert redacted({"credentials": {"user": "alice", "pin": "1234"}}) == ({"credentials": REDACTED}, ["credentials"])


@pytest.mark.parametrize("depth", [100, 100_000])
def test_what_is_too_deep_goes(depth):
    text, paths = Redaction().payload(b'{"a":' * depth + f'"{JWT}"'.encode() + b"}" * depth)
    assert JWT not in text
    assert len(paths) == 1


@pytest.mark.parametrize(
    "part",
    ["eyJ", "eyJabcdefgh.", "sk-", "bearer ", "-----BEGIN PRIVATE KEY-----", "?token=", "a&b=", "token_", "AKIA"],
)
def test_a_payload_that_repeats_itself_takes_no_longer_than_another(part):
    # With a pattern that looks again at what it has seen, this would take hours.
    text = part * (1_000_000 // len(part))
    Redaction([SECRET]).payload(json.dumps({"body": text, text: "value"}).encode())
    Redaction([SECRET]).payload(text.encode())


@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8)),
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
        max_leaves=10,
    ),
    st.sampled_from([f"Bearer {JWT}", JWT, SECRET, f"?token={SECRET}"]),
    st.integers(0, 2),
)
def test_wherever_a_secret_is_it_goes(value, secret, wrapped):
    content = {"value": value, "list": [secret, {"deep": {"er": f"text {secret} text"}}]}
    for _ in range(wrapped):
        content = {"body": json.dumps(content)}
    text, paths = Redaction([SECRET]).payload(json.dumps(content).encode())
    assert paths
    assert JWT not in text
    assert SECRET not in text
