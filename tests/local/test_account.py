"""Clients of services on this machine."""

import pytest
from botocore.config import Config
from parley.account import local_client


@pytest.mark.parametrize("variable", ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"])
def test_a_client_on_this_machine_needs_no_profile(monkeypatch, variable):
    monkeypatch.setenv(variable, "that-nobody-has")
    client = local_client("dynamodb", "http://127.0.0.1:1", Config())
    assert client.meta.endpoint_url == "http://127.0.0.1:1"


def test_it_has_the_keys_that_it_is_given_else_some_that_open_nothing():
    given = {"AWS_ACCESS_KEY_ID": "AKIA0", "AWS_SECRET_ACCESS_KEY": "s", "AWS_REGION": "eu-west-1"}
    client = local_client("dynamodb", "http://127.0.0.1:1", Config(), given)
    assert (client._request_signer._credentials.access_key, client.meta.region_name) == ("AKIA0", "eu-west-1")
    client = local_client("dynamodb", "http://127.0.0.1:1", Config())
    assert (client._request_signer._credentials.access_key, client.meta.region_name) == ("emulator", "us-east-1")
