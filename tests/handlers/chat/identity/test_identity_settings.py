"""Settings that cannot be used to verify tokens: nobody is let in."""

from __future__ import annotations

import pytest

from handlers.chat.concurrency import Runtime
from handlers.chat.errors import Misconfigured, Refused
from handlers.chat.identity import secrets
from handlers.chat.identity.tokens import Authenticator
from handlers.chat.settings import Settings
from tests.support.identity_provider import JWKS_URL
from tests.support.signed_tokens import ISSUER, SECRET, hs256, rs256


def verifies_nothing(settings, reason, *tokens):
    """See that a deployment verifies no token, and return why. A bad token is refused as ever."""
    deployed = Authenticator.of(settings, lambda identity: True, Runtime())
    for token in (hs256(aud=None), rs256(aud=None), *tokens):
        with pytest.raises((Misconfigured, Refused)):
            deployed.user_of(token)
    with pytest.raises(Misconfigured, match=reason) as caught:
        deployed.user_of(hs256(aud=None))
    return caught.value


class TestSettings:
    def settings(self, **environ):
        return Settings.of(environ)

    def test_one_way_to_sign_and_not_both(self):
        for environ in ({}, {"JWT_SECRET": SECRET, "JWT_JWKS_URL": JWKS_URL, "JWT_ISSUER": ISSUER}):
            verifies_nothing(self.settings(**environ), "one of JWT_SECRET and JWT_JWKS_URL")

    def test_keys_of_a_provider_need_its_name(self):
        verifies_nothing(self.settings(JWT_JWKS_URL=JWKS_URL), "JWT_ISSUER")

    def test_a_short_secret_verifies_nothing_not_even_what_it_has_signed(self):
        verifies_nothing(self.settings(JWT_SECRET="short"), "JWT_SECRET", hs256(secret="short"))

    @pytest.mark.parametrize("kept", ["short", "", "ssm:/another/place", "x" * 31])
    def test_a_secret_that_is_short_at_its_place_verifies_nothing(self, monkeypatch, kept):
        monkeypatch.setattr(secrets, "value_of", lambda setting: kept)
        verifies_nothing(self.settings(JWT_SECRET="ssm:/place"), "JWT_SECRET", hs256(secret=kept))

    def test_a_secret_that_cannot_be_read_is_named(self, monkeypatch):
        def value_of(setting):
            raise Misconfigured(f"The secret {setting} cannot be read")

        monkeypatch.setattr(secrets, "value_of", value_of)
        failure = verifies_nothing(self.settings(JWT_SECRET="ssm:/place"), "ssm:/place")
        assert failure.variables == ("JWT_SECRET",)
