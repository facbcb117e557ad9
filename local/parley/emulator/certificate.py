"""A TLS certificate for this machine's own names, so that `https://{domainName}/{stage}` works here as on AWS.

Handlers make that URL from their events, or compose it with the API's host on AWS (`functions/processes/names.py`). So
the certificate has the names of the hosts of API Gateway and of function URLs too. It cannot sign others, its key is
the user's alone, and only functions of the emulator trust it. It is made once for each user and kept in the user's
cache folder.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import certifi

from parley.dev_tokens import user_folder

_NAMES = ("localhost", "127.0.0.1", "::1")
_LIFETIME = timedelta(days=365)
_RENEWAL = timedelta(days=30)
"""The rest of the lifetime at which a new certificate is made."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """Two PEM files: `own` is the certificate with its key, `bundle` all certificates that functions trust."""

    own: Path
    bundle: Path

    def context(self) -> ssl.SSLContext:
        """Return the TLS context of a server with this certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.own)
        context.set_alpn_protocols(["http/1.1"])
        return context

    def variables(self) -> dict[str, str]:
        """Return the variables that make boto3, requests, httpx, Python's own clients and Node trust the bundle."""
        names = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS")
        return dict.fromkeys(names, str(self.bundle))


def certificate(host: str, environ: Mapping[str, str]) -> Certificate:
    """Return the certificate of this machine and of `host`. It is made now if there is none or if it expires soon."""
    names = [*_NAMES, *({host} - {*_NAMES, "0.0.0.0", "::"})]  # noqa: S104 - compared, not bound
    folder = user_folder(environ)
    stem = "-".join(["parley-hosts", *names[len(_NAMES) :]]).replace(":", "_")
    found = Certificate(folder / f"{stem}.pem", folder / f"{stem}-bundle.pem")
    if not _is_fresh(found):
        _write(found, *_new_certificate(names))
    return found


def _is_fresh(kept: Certificate) -> bool:
    try:
        made = kept.own.stat().st_mtime
        current = kept.bundle.stat().st_mtime >= Path(certifi.where()).stat().st_mtime
    except OSError:
        return False
    return current and datetime.now(UTC).timestamp() < made + (_LIFETIME - _RENEWAL).total_seconds()


def _write(to: Certificate, own: bytes, key: bytes) -> None:
    # Another emulator may start at the same time. The rename makes each file appear whole.
    for path, content in ((to.bundle, Path(certifi.where()).read_bytes() + own), (to.own, key + own)):
        descriptor, name = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(name).replace(path)


def _new_certificate(names: Iterable[str]) -> tuple[bytes, bytes]:
    """Return a new certificate for these names, and its key, in PEM."""
    # Not at the top: this import takes longer than all the rest, and is needed once a year.
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Parley on this machine")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + _LIFETIME)
        .add_extension(
            x509.SubjectAlternativeName([_general_name(each) for each in (*names, *_api_hosts())]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    form = serialization.PrivateFormat.PKCS8
    private = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    return made.public_bytes(serialization.Encoding.PEM), private


def _api_hosts() -> list[str]:
    """Return the names of all hosts of API Gateway and of function URLs.

    A wildcard stands for one label, so each region has its own.
    """
    import botocore.session

    session = botocore.session.get_session()
    return [f"*.lambda-url.{region}.on.aws" for region in session.get_available_regions("lambda")] + [
        f"*.execute-api.{region}.{suffix}"
        for partition in session.get_available_partitions()
        for region in session.get_available_regions("apigateway", partition, allow_non_regional=True)
        for suffix in (("amazonaws.com.cn",) if partition == "aws-cn" else ("amazonaws.com", "api.aws"))
    ]


def _general_name(name: str) -> x509.GeneralName:  # type: ignore[name-defined]  # noqa: F821
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
