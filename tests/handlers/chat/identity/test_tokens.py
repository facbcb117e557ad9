"""Bad tokens, one by one, against both ways to sign (docs/failures.md threats 1 to 8; RFC 8725)."""

from __future__ import annotations

import base64
import json
import time
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.chat.concurrency import Runtime
from handlers.chat.errors import ErrorCode, KeysUnavailable, Misconfigured, Refused
from handlers.chat.identity import keys
from handlers.chat.identity.keys import FRESH_SECONDS, REFETCH_SECONDS, KeySet, SharedSecret
from handlers.chat.identity.tokens import (
    MAX_LIFETIME,
    PROVIDER_USER_CLAIMS,
    SHARED_SECRET_USER_CLAIMS,
    Authenticator,
)
from handlers.chat.settings import Settings
from tests.support.identity_provider import JWKS_URL, IdentityProvider, public_jwk
from tests.support.signed_tokens import AUDIENCE, EC, ISSUER, RSA, SECRET, STRANGER, claims, hs256, rs256


def everyone(identity):
    return identity.user_id in ("alice", "sub-7")


@pytest.fixture
def shared():
    return Authenticator(SharedSecret(SECRET), everyone, Runtime(), audience=AUDIENCE)


@pytest.fixture
def provider():
    return IdentityProvider(public_jwk(RSA, "r1", alg="RS256"), public_jwk(EC, "e1"))


@pytest.fixture
def published(provider):
    return published_by(provider)


def published_by(provider, audience=AUDIENCE, user_claims=PROVIDER_USER_CLAIMS):
    return Authenticator(
        provider.key_set(), everyone, Runtime(), issuer=ISSUER, audience=audience, user_claims=user_claims
    )


def refused(authenticator, token):
    with pytest.raises(Refused) as refusal:
        authenticator.identify(token)
    assert (refusal.value.code, refusal.value.message) == (ErrorCode.INVALID_TOKEN, "Invalid authentication token")


PUBLIC = RSA.public_key()


PEM = PUBLIC.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


DER = PUBLIC.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


JWK = json.dumps(public_jwk(RSA, "r1")).encode()


SOON = time.time() + 60


BAD_CLAIMS = {
    "no exp": {"exp": None},
    "expired": {"exp": time.time() - 60},
    "exp as text": {"exp": str(int(SOON))},
    "exp as truth": {"exp": True},
    "exp as list": {"exp": [SOON]},
    "exp in 31 days": {"exp": time.time() + MAX_LIFETIME.total_seconds() + 86_400},
    "exp of 300 digits": {"exp": 10**300},
    "exp infinite": {"exp": float("inf")},
    "exp not a number": {"exp": float("nan")},
    "not yet valid": {"nbf": time.time() + 86_400},
    "nbf as text": {"nbf": "soon"},
    "issued in the future": {"iat": time.time() + 86_400},
    "iat as list": {"iat": []},
    "no user": {"userId": None},
    "user as number": {"userId": 7},
    "user as list": {"userId": ["alice"]},
    "user as object": {"userId": {"$ne": ""}},
    "empty user": {"userId": ""},
    "long user": {"userId": "a" * 129},
    "user with a line break": {"userId": "alice\n"},
    "user with NUL": {"userId": "alice\0"},
    "unknown user": {"userId": "mallory"},
    "another case": {"userId": "Alice"},
}


class TestBothWays:
    @pytest.mark.parametrize("more", BAD_CLAIMS.values(), ids=BAD_CLAIMS)
    def test_bad_claims(self, shared, published, more):
        refused(shared, hs256(**more))
        refused(published, rs256(**more))

    @pytest.mark.parametrize(
        "token",
        [
            *("", "token", "a.b", "a.b.c", "a.b.c.d", "é.ü.ö", "..", "." * 9000, "x" * 10_000),
            *(hs256() + "=", hs256() + " ", " " + hs256(), hs256()[:-2], hs256() + ".", hs256().replace(".", "..")),
            hs256(claims(filler="x" * 9000)),
            *(hs256([]), hs256("text"), hs256(7)),
            *(
                hs256(header=header)
                for header in ([], {}, {"alg": None}, {"alg": ["HS256"]}, {"alg": "HS256", "crit": ["x"]})
            ),
        ],
    )
    def test_malformed_tokens_are_refused(self, shared, published, token):
        refused(shared, token)
        refused(published, token)

    @pytest.mark.parametrize(
        "algorithm", ["none", "None", "NONE", "nOnE", "", "HS384", "HS512", "hs256", "PS256", "EdDSA"]
    )
    def test_another_algorithm_than_the_configured(self, shared, published, algorithm):
        header = {"alg": algorithm, "kid": "r1"}
        for token in (hs256(header=header), hs256(header=header).rpartition(".")[0] + "."):
            refused(shared, token)
            refused(published, token)

    def test_one_signature_has_one_spelling(self, shared):
        token = hs256()
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        twin = token[:-1] + alphabet[alphabet.index(token[-1]) ^ 1]
        assert base64.urlsafe_b64decode(twin.rpartition(".")[2] + "=") == base64.urlsafe_b64decode(
            token.rpartition(".")[2] + "="
        )
        assert shared.user_of(token) == "alice"
        refused(shared, twin)


class TestSharedSecret:
    def test_a_good_one(self, shared):
        identity = shared.identify(hs256(name="Alice"))
        assert (identity.user_id, identity.name) == ("alice", "Alice")
        assert timedelta(seconds=3600) < identity.until - datetime.now(UTC) <= timedelta(seconds=3630)

    @pytest.mark.parametrize("more", [{"exp": -20}, {"nbf": 20}, {"iat": 20}])
    def test_clocks_may_differ_by_some_seconds(self, shared, more):
        now = time.time()
        assert shared.user_of(hs256(**{name: now + seconds for name, seconds in more.items()})) == "alice"

    def test_sub_is_the_user_where_there_is_no_user_id(self, shared):
        assert shared.user_of(hs256(userId=None, sub="sub-7")) == "sub-7"

    @pytest.mark.parametrize("user_id", [False, 0, "", []])
    def test_a_bad_user_id_is_not_replaced_by_a_good_sub(self, shared, user_id):
        refused(shared, hs256(userId=user_id, sub="alice"))

    def test_a_wrong_key(self, shared):
        refused(shared, hs256(secret="another secret of at least thirty-two"))

    @pytest.mark.parametrize("setting", ["", "short", "x" * 31, "é" * 15])
    def test_a_short_secret_is_refused_at_the_start(self, setting):
        with pytest.raises(Misconfigured, match="shorter than 32 bytes"):
            SharedSecret(setting)


class TestKeySet:
    def test_good_ones(self, published, provider):
        assert published.user_of(rs256()) == "alice"
        assert published.user_of(rs256(EC, "e1", "ES256")) == "alice"
        assert provider.asked == [JWKS_URL]

    @pytest.mark.parametrize("key", [PEM, DER, JWK, base64.b64encode(DER)], ids=["PEM", "DER", "JWK", "base64"])
    def test_the_public_key_is_no_secret(self, published, key):
        refused(published, hs256(secret=key, header={"alg": "HS256", "kid": "r1"}))

    @pytest.mark.parametrize(
        "token",
        [
            rs256(STRANGER),
            rs256(EC, "r1", "ES256"),
            rs256(RSA, "e1"),
            rs256(algorithm="RS512"),
            rs256(algorithm="PS256"),
        ],
        ids=["another key", "ES256 for RSA", "RS256 for EC", "RS512", "PS256"],
    )
    def test_another_key_or_algorithm(self, published, token):
        refused(published, token)

    @pytest.mark.parametrize(
        "more",
        [
            *({"iss": "https://evil.example.com/"}, {"iss": None}, {"iss": ISSUER + "/"}),
            *(
                {"aud": "another"},
                {"aud": None},
                {"aud": []},
                {"aud": 7},
                {"aud": ["x", "y"]},
                {"aud": None, "client_id": "x"},
            ),
        ],
    )
    def test_another_issuer_or_audience(self, published, more):
        refused(published, rs256(**more))

    @pytest.mark.parametrize("more", [{"aud": ["other", AUDIENCE]}, {"aud": None, "client_id": AUDIENCE}])
    def test_one_audience_of_several_and_cognitos_client_id(self, published, more):
        assert published.user_of(rs256(**more)) == "alice"

    @pytest.mark.parametrize(
        "kid", ["r2", "../../etc/passwd", "https://evil.example.com/keys", "r1' OR '1'='1", "", "x" * 5000]
    )
    def test_an_unknown_kid_asks_the_configured_url_alone_and_that_once_a_minute(self, published, provider, kid):
        published.user_of(rs256())
        provider.now += REFETCH_SECONDS + 1
        for _ in range(5):
            refused(published, rs256(kid=kid))
        assert provider.asked == [JWKS_URL, JWKS_URL]

    @pytest.mark.parametrize(
        "headers",
        [
            {"jku": "https://evil.example.com/keys"},
            {"x5u": "https://evil.example.com/cert"},
            {"jwk": public_jwk(STRANGER, "r1")},
            {"x5c": ["MIIB"]},
        ],
    )
    def test_keys_that_a_token_brings_along_are_ignored(self, published, provider, headers):
        refused(published, rs256(STRANGER, headers=headers))
        assert published.user_of(rs256(headers=headers)) == "alice"
        assert provider.asked == [JWKS_URL]

    def test_a_kid_that_is_no_text(self, published):
        refused(published, hs256(header={"alg": "RS256", "kid": ["r1"]}))

    def test_a_new_key_is_found_and_an_old_set_fetched_again(self, published, provider):
        published.user_of(rs256())
        provider.keys.append(public_jwk(STRANGER, "r2"))
        provider.now += REFETCH_SECONDS + 1
        assert published.user_of(rs256(STRANGER, "r2")) == "alice"
        provider.keys.pop()
        provider.now += FRESH_SECONDS + 1
        refused(published, rs256(STRANGER, "r2"))

    def test_while_the_provider_is_down_known_keys_are_used(self, published, provider):
        published.user_of(rs256())
        provider.down = True
        provider.now += FRESH_SECONDS + 1
        assert published.user_of(rs256()) == "alice"

    def test_without_any_key_it_is_nobodys_fault_but_the_providers(self, published, provider):
        provider.down = True
        for _ in range(3):
            with pytest.raises(KeysUnavailable):
                published.user_of(rs256())
        assert len(provider.asked) == 1

    @pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"keys": 7}', b"<html>", b"\xff", b"[" * 100_000])
    def test_malformed_key_sets_are_refused(self, content):
        with pytest.raises(KeysUnavailable):
            KeySet(JWKS_URL, Runtime(), lambda url: content).key_for({"kid": "r1"})

    def test_keys_that_are_not_for_us_are_left_out(self):
        small = {**public_jwk(RSA, "small"), "n": "AQAB"}
        odd = [
            *(
                public_jwk(RSA, "enc", use="enc"),
                public_jwk(RSA, "ps", alg="PS256"),
                {"kty": "oct", "k": "AA", "kid": "o"},
            ),
            *(
                small,
                None,
                7,
                {"kty": "RSA", "kid": "empty"},
                public_jwk(ec.generate_private_key(ec.SECP384R1()), "p384"),
            ),
        ]
        keys = IdentityProvider(*odd, public_jwk(RSA, "r1")).key_set()
        found = {kid for kid in ("enc", "ps", "o", "empty", "p384", "r1") if keys.key_for({"kid": kid}) is not None}
        assert found == {"r1"}

    @pytest.mark.parametrize(
        "url", ["http://id.example.com/keys", "ftp://x/", "file:///etc/passwd", "keys", "http://127.0.0.1.evil.com/"]
    )
    def test_the_url_is_https(self, url):
        with pytest.raises(Misconfigured, match="https"):
            KeySet(url, Runtime())


MALFORMED = {
    "curve as list": {"kty": "EC", "crv": ["P-256"], "kid": "z"},
    "type as list": {"kty": ["RSA"]},
    "type as object": {"kty": {}},
    "numbers for texts": {"kty": "RSA", "kid": "q", "n": 5, "e": {}},
    "null": None,
    "number": 7,
    "list": [],
    "use as list": {"kty": "RSA", "use": ["sig"]},
    "alg as list": {"kty": "RSA", "alg": ["RS256"], "n": "AQAB", "e": "AQAB"},
    "kid as list": {**public_jwk(RSA, "x"), "kid": ["r1"]},
    "kid as number": {**public_jwk(RSA, "x"), "kid": 1.5},
    "no numbers": {"kty": "RSA", "kid": "empty"},
    "point off the curve": {"kty": "EC", "crv": "P-256", "kid": "z", "x": "AA", "y": "AA"},
}


class TestMalformedKeys:
    """One malformed key beside a good one. It is logged, and the good one stays good."""

    @pytest.mark.parametrize("odd", MALFORMED.values(), ids=MALFORMED)
    @pytest.mark.parametrize("first", [True, False])
    def test_the_others_stay_usable(self, provider, odd, first):
        provider.keys.insert(0 if first else len(provider.keys), odd)
        assert published_by(provider).user_of(rs256()) == "alice"

    @given(
        odd=st.dictionaries(
            st.sampled_from(["kty", "crv", "kid", "use", "alg", "n", "e", "x", "y", "key_ops", "d"]),
            st.recursive(
                st.none()
                | st.booleans()
                | st.integers()
                | st.floats()
                | st.text()
                | st.sampled_from(["RSA", "EC", "P-256", "sig"]),
                lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
                max_leaves=4,
            ),
        )
    )
    @settings(max_examples=200, deadline=None)
    def test_whatever_a_key_is_made_of(self, odd):
        provider = IdentityProvider(odd, public_jwk(RSA, "r1"))
        assert published_by(provider).user_of(rs256()) == "alice"

    def test_a_running_deployment_keeps_its_tokens(self, published, provider):
        published.user_of(rs256())
        provider.keys.append(MALFORMED["curve as list"])
        provider.now += FRESH_SECONDS + 1
        assert published.user_of(rs256()) == "alice"

    def test_it_is_logged(self, provider, monkeypatch):
        logged = []
        monkeypatch.setattr(keys.logger, "warning", lambda event, **fields: logged.append((event, fields)))
        provider.keys.append(MALFORMED["curve as list"])
        published_by(provider).user_of(rs256())
        assert logged == [("key_ignored", {"place": 2, "reason": "TypeError"})]

    @pytest.mark.parametrize("content", [[], [None], [MALFORMED["type as list"]], [{"kty": "oct", "k": "AA"}]])
    def test_a_set_without_a_usable_key_is_no_reason_to_forget_the_old_ones(self, published, provider, content):
        published.user_of(rs256())
        provider.keys[:] = content
        provider.now += FRESH_SECONDS + 1
        assert published.user_of(rs256()) == "alice"
        with pytest.raises(KeysUnavailable):
            published_by(provider).user_of(rs256())

    def test_a_key_without_a_kid_has_no_name_that_a_token_could_guess(self):
        unnamed = {name: value for name, value in public_jwk(RSA, "").items() if name != "kid"}
        alone = published_by(IdentityProvider(unnamed))
        assert alone.user_of(jwt.encode(claims(sub="alice"), RSA, algorithm="RS256")) == "alice"
        for kid in ("#0", "0", ""):
            refused(alone, rs256(kid=kid))

    def test_an_error_of_ours_does_not_look_like_a_bad_token(self, published, monkeypatch):
        monkeypatch.setattr(KeySet, "_refresh", lambda self: [][1])
        with pytest.raises(IndexError):
            published.user_of(rs256())


class TestUserClaim:
    def test_a_claim_that_users_may_write_does_not_beat_sub(self, published):
        assert published.user_of(rs256(sub="alice", userId="sub-7")) == "alice"
        refused(published, rs256(sub=None, userId="alice"))

    @pytest.mark.parametrize(
        ("environ", "expected"),
        [
            ({"JWT_SECRET": SECRET}, SHARED_SECRET_USER_CLAIMS),
            ({"JWT_JWKS_URL": JWKS_URL, "JWT_ISSUER": ISSUER}, PROVIDER_USER_CLAIMS),
            ({"JWT_JWKS_URL": JWKS_URL, "JWT_ISSUER": ISSUER, "JWT_USER_CLAIM": "oid"}, ("oid",)),
            ({"JWT_SECRET": SECRET, "JWT_USER_CLAIM": "sub"}, ("sub",)),
        ],
    )
    def test_the_claim_is_a_setting(self, environ, expected):
        deployed = Authenticator.of(Settings.of(environ), everyone, Runtime())
        assert deployed._user_claims == expected

    def test_only_the_claim_of_the_setting_counts(self, provider):
        deployed = published_by(provider, user_claims=("https://example.com/uid",))
        assert deployed.user_of(rs256(sub="x", **{"https://example.com/uid": "alice"})) == "alice"
        refused(deployed, rs256(sub="alice"))

    @pytest.mark.parametrize("more", [{"sub": 1234}, {"jti": 99}, {"sub": ["x"], "jti": {}}])
    def test_claims_that_name_no_user_may_have_any_type(self, shared, more):
        assert shared.user_of(hs256(**more)) == "alice"

    @pytest.mark.parametrize("sub", [5, True, ["alice"], {}, 1.5])
    def test_a_user_is_a_text(self, shared, published, sub):
        refused(shared, hs256(userId=None, sub=sub))
        refused(published, hs256(header={"alg": "RS256", "kid": "r1"}, userId=None, sub=sub))


class TestAudience:
    @pytest.mark.parametrize("audience", ["other-app", AUDIENCE, ["a", "b"], [], 7, {"parley": 1}])
    def test_a_token_for_somebody_is_not_for_a_deployment_without_a_name(self, provider, audience):
        unnamed = published_by(provider, audience="")
        refused(unnamed, rs256(aud=audience))
        assert unnamed.user_of(rs256(aud=None)) == "alice"
        assert published_by(provider, audience="*").user_of(rs256(aud=audience)) == "alice"

    def test_a_shared_secret_makes_no_difference(self):
        unnamed = Authenticator(SharedSecret(SECRET), everyone, Runtime())
        refused(unnamed, hs256())
        assert unnamed.user_of(hs256(aud=None)) == "alice"

    def test_the_star_is_a_setting_and_no_audience(self, published):
        refused(published, rs256(aud="*"))
