"""Sessions: the users of a deployment, the allowed pages, and the end of a token."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from types import SimpleNamespace

import boto3
import jwt
import pytest

from handlers.chat.concurrency import Runtime
from handlers.chat.errors import Misconfigured
from handlers.chat.identity import origins, secrets
from handlers.chat.identity.tokens import Identity
from handlers.chat.identity.users import UserDirectory
from handlers.chat.records import User
from handlers.chat.replies.monitor import CERTAIN_SECONDS
from handlers.chat.settings import is_named
from handlers.chat.turns import join
from handlers.chat.turns.actions import Close, Post
from tests.support.command_client import NOON, SECRET, CommandClient
from tests.support.runtime import FakeRuntime

LATER = NOON + timedelta(hours=1)


def token(user="alice", expires=NOON + timedelta(minutes=30)):
    """A token for the clock of these tests, which stands at NOON: the authenticator's own is the machine's."""
    end = max(expires.timestamp(), time.time() + 60)
    return jwt.encode({"userId": user, "exp": end}, SECRET, algorithm="HS256")


@pytest.fixture
def client(store):
    for user in ("alice", "bob"):
        store.users.add(User(user))
    return CommandClient(store, "c1=")


def kinds(actions):
    return [action.frame.type for action in actions if isinstance(action, Post)]


def codes(actions):
    return [action.frame.code.value for action in actions if isinstance(action, Post) and action.frame.type == "error"]


class TestExpiry:
    def expire(self, client):
        """Let the token end that the connection came with."""
        client.now = client.store.connections.get("c1=").until

    @pytest.mark.parametrize(
        ("kind", "data"),
        [
            *(("ping", {}), ("create_chat", {}), ("message", {"message": "hi"}), ("cancel", {}), ("regenerate", {})),
            *(("load_history", {"before": "x"}), ("leave_chat", {}), ("join_chat", {})),
        ],
    )
    def test_after_it_every_frame_is_refused(self, client, kind, data):
        client.sends("join_chat", token=token())
        client.sends("create_chat")
        self.expire(client)
        assert codes(client.sends(kind, **data)) == ["invalid_token"]

    def test_before_it_no_frame_is_refused(self, client):
        client.sends("join_chat", token=token())
        client.now = client.store.connections.get("c1=").until - timedelta(seconds=1)
        assert kinds(client.sends("ping")) == ["pong"]

    def test_a_new_token_renews_the_session_without_leaving_the_chat(self, client):
        client.sends("join_chat", token=token())
        client.sends("create_chat")
        before = client.store.connections.get("c1=")
        self.expire(client)
        later = token(expires=before.until + timedelta(hours=2))
        assert kinds(client.sends("join_chat", token=later)) == ["authenticated"]
        after = client.store.connections.get("c1=")
        assert (after.chat_id, after.until > before.until) == (before.chat_id, True)
        assert "c1=" in client.store.chats.get("alice", after.chat_id).subscribers
        assert kinds(client.sends("ping")) == ["pong"]

    def test_a_bad_token_leaves_it_as_it_was(self, client):
        client.sends("join_chat", token=token())
        before = client.store.connections.get("c1=").until
        assert codes(client.sends("join_chat", token="bad")) == ["invalid_token"]
        assert client.store.connections.get("c1=").until == before


class TestAnotherUser:
    def test_their_token_takes_the_connection_out_of_the_old_users_chat(self, client):
        client.sends("join_chat", token=token("alice"))
        client.sends("create_chat")
        chat_id = client.store.connections.get("c1=").chat_id
        client.sends("join_chat", token=token("bob"))
        assert client.store.chats.get("alice", chat_id).subscribers == {}
        connection = client.store.connections.get("c1=")
        assert (connection.user_id, connection.chat_id) == ("bob", None)
        assert codes(client.sends("message", message="hi")) == ["not_authenticated"]

    def test_a_worker_has_the_time_to_see_that_they_left_before_they_are_told(self, client):
        client.sends("join_chat", token=token("alice"))
        client.sends("create_chat")
        chat_id = client.store.connections.get("c1=").chat_id
        heard, slept = [], []

        def sleep(seconds):
            slept.append(seconds)
            assert client.store.chats.get("alice", chat_id).subscribers == {}
            assert heard == []

        client.commands._joining.runtime.sleep = sleep
        frame = json.dumps({"type": "join_chat", "data": {"token": token("bob")}})
        client.commands.answer(frame, "c1=", heard.append, reference="ref")
        assert (slept, kinds(heard)) == ([join.LEAVING_SECONDS], ["authenticated"])
        assert join.LEAVING_SECONDS >= CERTAIN_SECONDS + 0.5

    def test_nobody_waits_who_was_in_no_chat(self, client):
        client.commands._joining.runtime.sleep = lambda seconds: 1 / 0
        for user in ("alice", "bob", "alice"):
            assert kinds(client.sends("join_chat", token=token(user))) == ["authenticated"]


class TestAUserDisabledMeanwhile:
    def test_is_closed_after_the_row_is_written(self, client, monkeypatch):
        rebind = client.store.connections.rebind

        def meanwhile(*arguments):
            client.store.users.set_disabled("alice", True)
            return rebind(*arguments)

        monkeypatch.setattr(client.store.connections, "rebind", meanwhile)
        actions = client.sends("join_chat", token=token("alice"))
        assert (actions[0], codes(actions)) == (Close("c1="), ["invalid_token"])


class TestUserDirectory:
    def identity(self, user="carol", name=None):
        return Identity(user, LATER, name)

    def test_an_unknown_user_is_none_unless_they_are_made(self, store):
        assert UserDirectory(store, False, FakeRuntime(NOON))(self.identity()) is False
        assert UserDirectory(store, True, FakeRuntime(NOON))(self.identity(name="Carol")) is True
        assert store.users.get("carol") == User("carol", "Carol", created_at=NOON)

    def test_a_disabled_user_stays_out(self, store):
        store.users.add(User("carol", disabled=True))
        assert UserDirectory(store, True, FakeRuntime(NOON))(self.identity()) is False

    def test_a_token_gives_no_role_and_changes_no_name(self, store):
        store.users.add(User("carol", "Caroline", roles=frozenset({"admin"})))
        UserDirectory(store, True, FakeRuntime(NOON))(self.identity(name="Mallory"))
        assert store.users.get("carol") == User("carol", "Caroline", roles=frozenset({"admin"}))

    def test_two_at_once_make_one_user(self, store):
        directory = UserDirectory(store, True, FakeRuntime(NOON))
        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(lambda _: directory(self.identity()), range(8)))

    def test_a_user_disabled_meanwhile_stays_out(self):
        answers = iter([None, User("carol", disabled=True)])
        users = SimpleNamespace(get=lambda user_id: next(answers), add=lambda user: False)
        store = SimpleNamespace(users=users)
        assert UserDirectory(store, True, Runtime())(self.identity()) is False


class TestOrigins:
    @pytest.mark.parametrize(
        ("origin", "allowed"),
        [
            ("https://chat.example.com", True),
            (None, True),
            ("https://evil.example.com", False),
            ("http://chat.example.com", False),
            ("https://chat.example.com:8443", False),
            ("https://chat.example.com.evil.com", False),
            ("null", False),
            ("", False),
        ],
    )
    def test_a_listed_one_or_none_at_all(self, origin, allowed):
        headers = {} if origin is None else {"ORIGIN": origin}
        assert origins.is_allowed(headers, ["https://chat.example.com"]) is allowed

    def test_without_a_list_every_page_may(self):
        assert origins.is_allowed({"Origin": "https://anywhere.example"}, ())


class TestSecrets:
    def test_a_setting_is_its_own_value_unless_it_names_one(self):
        assert secrets.value_of("sk-1") == "sk-1"
        assert [is_named(each) for each in ("sk-1", "ssm:/a", "secretsmanager:b")] == [False, True, True]

    def test_a_name_that_leads_nowhere_is_told(self, monkeypatch):
        from aws_lambda_powertools.utilities import parameters
        from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError

        def get(name, **options):
            raise GetParameterError("ParameterNotFound")

        monkeypatch.setattr(parameters, "get_parameter", get)
        with pytest.raises(Misconfigured, match="ssm:/none cannot be read: ParameterNotFound"):
            secrets.value_of("ssm:/none")

    def test_values_come_from_the_parameter_store_and_from_secrets_manager(self, aws):
        boto3.client("ssm").put_parameter(Name="/parley/jwt", Value="hidden here", Type="SecureString")
        boto3.client("secretsmanager").create_secret(Name="parley/key", SecretString="sk-hidden")
        assert secrets.value_of("ssm:/parley/jwt") == "hidden here"
        assert secrets.value_of("secretsmanager:parley/key") == "sk-hidden"
