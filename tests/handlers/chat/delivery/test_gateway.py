"""Posts without boto3's client: connections that are kept, answers that are errors, and no answer at all."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from socket import SHUT_WR
from threading import Barrier, Event

import pytest
from botocore.credentials import Credentials
from botocore.exceptions import CredentialRetrievalError

from handlers.chat.concurrency import Runtime
from handlers.chat.delivery import http_pool
from handlers.chat.delivery.gateway import Gateway
from handlers.chat.errors import ConnectionGone, Misconfigured, PostFailed
from tests.support.devices import free_port
from tests.support.management_api import ManagementApiServer, answer_then_hang_up_unannounced, cut, failing, reset
from tests.support.runtime import NOON, FakeRuntime
from tests.support.waiting import HANGS, until

CONNECTION_ID = "BFaT_fALIAMCKug="
FRAME = b'{"type":"pong","data":{}}'
LONG = Event()
"""Never set: what waits for it waits for its time-out."""
KEYS = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI")


@pytest.fixture
def server():
    server = ManagementApiServer()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def pauses():
    return []


@pytest.fixture
def clock():
    """The time of day, in a list that a test may change."""
    return [NOON]


@pytest.fixture
def gateway_of(server, pauses, clock):
    runtime = FakeRuntime(lambda: clock[0], sleep=pauses.append)
    return lambda **more: Gateway(server.url, KEYS, "eu-central-1", runtime, **more)


@pytest.fixture
def gateway(gateway_of):
    return gateway_of()


class TestConnections:
    def test_one_is_kept_for_all_posts_in_turn(self, server, gateway):
        for _ in range(5):
            gateway.post(CONNECTION_ID, FRAME)
        assert (len(server.requests), server.connections) == (5, 1)

    def test_the_body_of_an_error_does_not_spoil_it(self, server, gateway):
        server.answers.append(failing(403, "ForbiddenException", body=b"x" * 10_000))
        with pytest.raises(PostFailed):
            gateway.post(CONNECTION_ID, FRAME)
        gateway.post(CONNECTION_ID, FRAME)
        assert server.connections == 1

    def test_threads_do_not_wait_for_each_other(self, server, gateway):
        together = Barrier(20)

        def answer(handler):
            together.wait(HANGS)  # until all twenty are in flight
            handler.answer(200)

        server.answers.extend([answer] * 20)
        texts = [f"{number}".encode() for number in range(20)]
        with ThreadPoolExecutor(20) as threads:
            list(threads.map(lambda text: gateway.post(CONNECTION_ID, text), texts))
        assert sorted(body for _, _, body in server.requests) == sorted(texts)
        for text in texts:
            gateway.post(CONNECTION_ID, text)
        assert server.connections == 20

    def test_those_that_the_server_has_closed_are_not_used_again(self, server, gateway):
        together = Barrier(3)

        def answer(handler):
            together.wait(HANGS)
            answer_then_hang_up_unannounced(handler)

        server.answers.extend([answer] * 3)
        with ThreadPoolExecutor(3) as threads:
            list(threads.map(lambda _: gateway.post(CONNECTION_ID, FRAME), range(3)))
        until(lambda: server.closed == 3)
        gateway.post(CONNECTION_ID, FRAME)
        gateway.post(CONNECTION_ID, FRAME)
        assert (len(server.requests), server.connections) == (5, 4)

    @pytest.mark.parametrize(("seconds", "connections"), [(-1, 2), (0, 1), (4, 1), (4.1, 2), (3600, 2)])
    def test_one_is_used_again_after_a_short_rest_only(self, server, gateway, clock, seconds, connections):
        gateway.post(CONNECTION_ID, FRAME)
        clock[0] += timedelta(seconds=seconds)
        gateway.post(CONNECTION_ID, FRAME)
        assert (len(server.requests), server.connections) == (2, connections)

    def test_a_post_that_could_not_be_written_is_sent_again(self, server, gateway, monkeypatch):
        gateway.post(CONNECTION_ID, b"first")
        monkeypatch.setattr(http_pool, "_readable", lambda connection: connection.sock.shutdown(SHUT_WR))
        gateway.post(CONNECTION_ID, b"second")
        assert [body for _, _, body in server.requests] == [b"first", b"second"]
        assert server.connections == 2

    def test_a_post_that_is_cut_off_on_a_new_one_has_failed(self, server, gateway):
        server.answers.append(cut)
        with pytest.raises(PostFailed, match=r"^RemoteDisconnected$"):
            gateway.post(CONNECTION_ID, FRAME)
        assert len(server.requests) == 1

    def test_one_that_the_server_says_it_closes_is_not_used_again(self, server, gateway):
        server.answers.append(lambda handler: handler.answer(200, b"{}", Connection="close"))
        for _ in range(2):
            gateway.post(CONNECTION_ID, FRAME)
        assert (len(server.requests), server.connections) == (2, 2)

    def test_an_answer_counts_though_its_body_breaks_off(self, server, gateway):
        def break_off(handler):
            handler.answer(200, b"{", Content_Length=100)
            handler.close_connection = True

        server.answers.append(break_off)
        for _ in range(2):
            gateway.post(CONNECTION_ID, FRAME)
        assert (len(server.requests), server.connections) == (2, 2)

    def test_proxies_of_the_environment_are_not_asked(self, server, monkeypatch):
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:1")
        Gateway(server.url, KEYS, "eu-central-1", Runtime()).post(CONNECTION_ID, FRAME)
        assert len(server.requests) == 1


class TestErrors:
    def test_410_is_a_connection_gone_even_without_a_name_or_body(self, server, gateway_of):
        server.answers.append(410)
        with pytest.raises(ConnectionGone, match=CONNECTION_ID):
            gateway_of(tries=3).post(CONNECTION_ID, FRAME)
        assert len(server.requests) == 1

    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            (failing(400, "BadRequestException"), "BadRequestException"),
            (failing(403, "ForbiddenException:http://internal.amazon.com/"), "ForbiddenException"),
            (failing(413, "com.amazonaws#PayloadTooLargeException"), "PayloadTooLargeException"),
            (302, "302 Found"),
        ],
    )
    def test_a_permanent_error_is_not_retried(self, server, gateway_of, answer, reason):
        server.answers.append(answer)
        with pytest.raises(PostFailed) as failure:
            gateway_of(tries=3).post(CONNECTION_ID, FRAME)
        assert (str(failure.value), len(server.requests)) == (reason, 1)

    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            (failing(429, "LimitExceededException"), "LimitExceededException"),
            (500, "500 Internal Server Error"),
            (503, "503 Service Unavailable"),
        ],
    )
    def test_a_transient_error_is_retried_as_often_as_configured(self, server, gateway_of, pauses, answer, reason):
        for tries in (1, 4):
            server.requests.clear()
            server.answers.extend([answer] * tries)
            with pytest.raises(PostFailed) as failure:
                gateway_of(tries=tries).post(CONNECTION_ID, FRAME)
            assert (str(failure.value), len(server.requests)) == (reason, tries)
        first, second, third = pauses
        assert 0.05 <= first <= 0.1 <= second <= 0.2 <= third <= 0.4

    def test_a_later_try_succeeds(self, server, gateway_of, pauses):
        server.answers.extend([failing(429, "LimitExceededException"), 502])
        gateway_of(tries=4).post(CONNECTION_ID, FRAME)
        assert (len(server.requests), len(pauses)) == (3, 2)

    @pytest.mark.parametrize("kept", [False, True])
    @pytest.mark.parametrize(
        ("fate", "reason"),
        [
            (cut, "RemoteDisconnected"),
            (reset, "ConnectionResetError"),
            (lambda _: LONG.wait(5), "TimeoutError"),
            (lambda handler: LONG.wait(3) or handler.answer(200), "TimeoutError"),
        ],
        ids=["handled, then closed", "handled, then reset", "a black hole", "handled too late"],
    )
    def test_a_post_that_may_have_arrived_is_not_sent_again(
        self, server, gateway_of, pauses, monkeypatch, kept, fate, reason
    ):
        monkeypatch.setattr(http_pool, "READ_TIMEOUT_SECONDS", 1.5)
        gateway = gateway_of(tries=4)
        if kept:
            gateway.post(CONNECTION_ID, b"earlier")
        server.requests.clear()
        server.answers.append(fate)
        with pytest.raises(PostFailed, match=f"^{reason}$"):
            gateway.post(CONNECTION_ID, FRAME)
        assert ([body for _, _, body in server.requests], pauses) == ([FRAME], [])

    def test_a_connection_that_is_refused_is_tried_again(self, server, pauses):
        runtime = FakeRuntime(sleep=pauses.append)
        gateway = Gateway(f"http://127.0.0.1:{free_port()}", KEYS, "eu-central-1", runtime, tries=4)
        with pytest.raises(PostFailed, match=r"^ConnectionRefusedError$"):
            gateway.post(CONNECTION_ID, FRAME)
        assert len(pauses) == 3

    def test_silence_is_a_time_out_on_a_kept_connection_too(self, server, gateway, monkeypatch):
        monkeypatch.setattr(http_pool, "READ_TIMEOUT_SECONDS", 2.0)
        done = Event()
        server.answers.extend([200, lambda _: done.wait(HANGS)])
        gateway.post(CONNECTION_ID, FRAME)
        with pytest.raises(PostFailed, match=r"^TimeoutError$"):
            gateway.post(CONNECTION_ID, FRAME)
        done.set()
        assert len(server.requests) == 2

    def test_after_a_time_out_no_connection_is_trusted_that_was_kept(self, server, gateway, monkeypatch):
        monkeypatch.setattr(http_pool, "READ_TIMEOUT_SECONDS", 2.0)
        together, done = Barrier(2), Event()

        def answer(handler):
            together.wait(HANGS)
            handler.answer(200)

        server.answers.extend([answer, answer, lambda _: done.wait(HANGS)])
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(lambda _: gateway.post(CONNECTION_ID, FRAME), range(2)))
        with pytest.raises(PostFailed, match=r"^TimeoutError$"):
            gateway.post(CONNECTION_ID, FRAME)
        assert server.connections == 2
        gateway.post(CONNECTION_ID, FRAME)
        done.set()
        assert server.connections == 3

    def test_nobody_there(self):
        with pytest.raises(PostFailed, match=r"^ConnectionRefusedError$"):
            Gateway(f"http://127.0.0.1:{free_port()}", KEYS, "eu-central-1", Runtime()).post(CONNECTION_ID, FRAME)

    def test_no_credentials(self, server):
        class Unavailable:
            def get_frozen_credentials(self):
                raise CredentialRetrievalError(provider="container-role", error_msg="no answer")

        for credentials, reason in ((None, "NoCredentialsError"), (Unavailable(), "CredentialRetrievalError")):
            with pytest.raises(PostFailed, match=f"^{reason}$"):
                Gateway(server.url, credentials, "eu-central-1", Runtime()).post(CONNECTION_ID, FRAME)
        assert server.requests == []

    @pytest.mark.parametrize("endpoint", ["", "abc.execute-api.eu-central-1.amazonaws.com/live", "wss://abc/live"])
    def test_an_endpoint_that_is_no_url_is_refused_at_start(self, endpoint):
        with pytest.raises(Misconfigured, match="AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI"):
            Gateway(endpoint, KEYS, "eu-central-1", Runtime())


class TestClosing:
    def test_it_is_a_deletion_and_keeps_the_connection_to_the_server(self, server, gateway):
        gateway.close(CONNECTION_ID)
        gateway.post(CONNECTION_ID, FRAME)
        assert [(path, body) for path, _, body in server.requests] == [
            ("/live/@connections/BFaT_fALIAMCKug%3D", b"DELETE"),
            ("/live/@connections/BFaT_fALIAMCKug%3D", FRAME),
        ]
        assert server.connections == 1

    def test_a_connection_that_is_gone_is_told(self, server, gateway):
        server.answers.append(failing(410, "GoneException", body=b""))
        with pytest.raises(ConnectionGone):
            gateway.close(CONNECTION_ID)

    @pytest.mark.parametrize("answer", [failing(429, "LimitExceededException"), cut, reset])
    def test_it_is_tried_again_for_closing_twice_is_closing_once(self, server, gateway_of, pauses, answer):
        server.answers.append(answer)
        gateway_of(tries=2).close(CONNECTION_ID)
        assert (len(server.requests), len(pauses)) == (2, 1)
