"""The request of a post: the same as boto3's, with the same signature, and over verified TLS."""

import ssl
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPSConnection
from ipaddress import IPv4Address
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.credentials import Credentials
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from handlers.chat.concurrency import Runtime
from handlers.chat.delivery.gateway import Gateway
from handlers.chat.errors import PostFailed
from tests.support.management_api import ManagementApiServer
from tests.support.recording_socket import EmptyBody, RecordingSocket

CONNECTION_ID = "BFaT_fALIAMCKug="


FRAME = '{"type":"pong","data":{"text":"Чай"}}'.encode()


KEYS = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI", "a session's token")


ONLY_BOTO3 = ("user-agent", "amz-sdk-")
"""Headers in which the two may differ: who is calling, and boto3's own count of its retries."""


@pytest.fixture
def server():
    server = ManagementApiServer()
    yield server
    server.shutdown()
    server.server_close()


def boto3_client(endpoint, keys=KEYS):
    return boto3.session.Session(
        aws_access_key_id=keys.access_key,
        aws_secret_access_key=keys.secret_key,
        aws_session_token=keys.token,
        region_name="eu-central-1",
    ).client("apigatewaymanagementapi", endpoint_url=endpoint)


def comparable(headers):
    """Headers as both must have them."""
    texts = {name: value.decode() if isinstance(value, bytes) else str(value) for name, value in headers.items()}
    return {name: value for name, value in texts.items() if not name.lower().startswith(ONLY_BOTO3)}


class TestTheRequest:
    @pytest.fixture(autouse=True)
    def noon(self, monkeypatch):
        monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: datetime(2026, 11, 23, 12))

    @pytest.fixture
    def wire(self, monkeypatch):
        wire = RecordingSocket()
        for kind in (HTTPConnection, HTTPSConnection):
            monkeypatch.setattr(kind, "connect", lambda connection: setattr(connection, "sock", wire))
        return wire

    @pytest.mark.parametrize("keys", [KEYS, Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI")], ids=["a role", "a user"])
    @pytest.mark.parametrize("connection_id", [CONNECTION_ID, "a/b c~d-e.f_g+h%3D=é"])
    @pytest.mark.parametrize(
        ("endpoint", "host"),
        [
            ("https://abcdef1234.execute-api.eu-central-1.amazonaws.com/live", None),
            ("https://Example.com:443/a/b/", "example.com"),
            ("https://example.com", None),
            ("http://127.0.0.1:8000/live", None),
            ("http://[::1]:8000/live", None),
        ],
    )
    def test_it_is_boto3s_header_for_header_and_path_for_path(self, wire, endpoint, host, connection_id, keys):
        theirs = []

        def before_send(request, **_):
            theirs.append(request)
            return AWSResponse(request.url, 200, {}, EmptyBody())

        client = boto3_client(endpoint, keys)
        client.meta.events.register("before-send", before_send)
        client.post_to_connection(ConnectionId=connection_id, Data=FRAME)
        Gateway(endpoint, keys, "eu-central-1", Runtime()).post(connection_id, FRAME)

        method, path, headers, body = wire.request()
        of_http = {"Host": host or urlsplit(endpoint).netloc, "Accept-Encoding": "identity"}
        assert (method, body) == (theirs[0].method, theirs[0].body)
        assert path == theirs[0].url.removeprefix(f"{urlsplit(endpoint).scheme}://{urlsplit(endpoint).netloc}")
        assert comparable(headers) == comparable(theirs[0].headers) | of_http

    def test_its_head_and_its_body_leave_in_one_write(self, wire):
        Gateway("https://example.com", KEYS, "eu-central-1", Runtime()).post(CONNECTION_ID, FRAME)
        [written] = wire.writes
        assert written.startswith(b"POST /")
        assert written.endswith(FRAME)

    def test_it_is_boto3s_on_the_wire_too(self, server):
        boto3_client(server.url).post_to_connection(ConnectionId=CONNECTION_ID, Data=FRAME)
        Gateway(server.url, KEYS, "eu-central-1", Runtime()).post(CONNECTION_ID, FRAME)
        [(their_path, their_headers, their_body), (path, headers, body)] = server.requests
        assert (path, comparable(headers), body) == (their_path, comparable(their_headers), their_body)
        assert path == "/live/@connections/BFaT_fALIAMCKug%3D"

    def test_the_request_that_closes_a_connection_is_boto3s_too(self, server):
        boto3_client(server.url).delete_connection(ConnectionId=CONNECTION_ID)
        Gateway(server.url, KEYS, "eu-central-1", Runtime()).close(CONNECTION_ID)
        [(their_path, their_headers, their_body), (path, headers, body)] = server.requests
        # boto3 says that it sends nothing; where nothing is sent, that goes without saying.
        assert comparable(headers) | {"Content-Length": "0"} == comparable(their_headers)
        assert (path, body) == (their_path, their_body)

    def test_it_is_signed_with_the_credentials_of_the_moment(self, server):
        keys = Credentials("first", "secret")
        gateway = Gateway(server.url, keys, "eu-central-1", Runtime())
        gateway.post(CONNECTION_ID, FRAME)
        keys.access_key = "second"
        gateway.post(CONNECTION_ID, FRAME)
        scopes = [headers["Authorization"].split()[1] for _, headers, _ in server.requests]
        date = "20261123/eu-central-1/execute-api/aws4_request,"
        assert scopes == [f"Credential=first/{date}", f"Credential=second/{date}"]


class TestTls:
    @pytest.fixture
    def certificate(self, tmp_path):
        """A self-signed certificate for 127.0.0.1, with its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, SHA256())
        )
        path = tmp_path / "server.pem"
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(private + certificate.public_bytes(Encoding.PEM))
        return path

    @pytest.fixture
    def port(self, server, certificate):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        return server.server_port

    def test_a_trusted_server_gets_the_post_over_tls(self, server, port, certificate, monkeypatch):
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        gateway = Gateway(f"https://127.0.0.1:{port}/live", KEYS, "eu-central-1", Runtime())
        for _ in range(2):
            gateway.post(CONNECTION_ID, FRAME)
        assert (len(server.requests), server.connections) == (2, 1)

    def test_an_unknown_one_gets_nothing(self, server, port):
        with pytest.raises(PostFailed, match=r"^SSLCertVerificationError$"):
            Gateway(f"https://127.0.0.1:{port}/live", KEYS, "eu-central-1", Runtime()).post(CONNECTION_ID, FRAME)
        assert server.requests == []

    def test_a_trusted_one_of_another_name_gets_nothing(self, server, port, certificate, monkeypatch):
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with pytest.raises(PostFailed, match=r"^SSLCertVerificationError$"):
            Gateway(f"https://localhost:{port}/live", KEYS, "eu-central-1", Runtime()).post(CONNECTION_ID, FRAME)
        assert server.requests == []
