"""Tokens with any header and claims, good or bad, rightly signed."""

import base64
import hashlib
import hmac
import json
import time

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

SECRET = "a secret of at least thirty-two bytes"
ISSUER, AUDIENCE = "https://id.example.com/", "parley"
RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
STRANGER = rsa.generate_private_key(65537, 2048)


def claims(**more):
    """The claims of a good token; what is None is left out."""
    good = {"exp": time.time() + 3600, "userId": "alice", "iss": ISSUER, "aud": AUDIENCE}
    return {name: value for name, value in {**good, **more}.items() if value is not None}


def hs256(payload=None, secret=SECRET, header=None, **more):
    """A token with any header and payload, rightly signed by HMAC."""
    parts = [
        {"alg": "HS256", "typ": "JWT"} if header is None else header,
        claims(**more) if payload is None else payload,
    ]
    signed = ".".join(encoded(json.dumps(part).encode()) for part in parts)
    secret = secret if isinstance(secret, bytes) else secret.encode()
    return f"{signed}.{encoded(hmac.new(secret, signed.encode(), hashlib.sha256).digest())}"


def encoded(content):
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def rs256(key=RSA, kid="r1", algorithm="RS256", headers=None, **more):
    """A token of the provider. Its `sub` is the user: the `userId` of `more`, unless there is a `sub` in it."""
    payload = claims(**more)
    if "sub" not in more and "userId" in payload:
        payload["sub"] = payload.pop("userId")
    return jwt.encode(payload, key, algorithm=algorithm, headers={"kid": kid, **(headers or {})})
