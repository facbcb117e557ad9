"""An identity provider that publishes keys."""

from __future__ import annotations

import json

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from handlers.chat.identity.keys import KeySet
from tests.support.runtime import FakeRuntime

JWKS_URL = "https://id.example.com/.well-known/jwks.json"


def public_jwk(key, kid, **more):
    algorithm = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    return {**json.loads(algorithm.to_jwk(key.public_key())), "kid": kid, "use": "sig", **more}


class IdentityProvider:
    """An identity provider: what it publishes, how often it was asked, and the time that the deployment sees."""

    def __init__(self, *keys):
        self.keys = list(keys)
        self.asked = []
        self.now = 0.0
        self.down = False

    def fetch(self, url):
        self.asked.append(url)
        if self.down:
            raise OSError("connection refused")
        return json.dumps({"keys": self.keys}).encode()

    def key_set(self):
        return KeySet(JWKS_URL, FakeRuntime(monotonic=lambda: self.now), self.fetch)
