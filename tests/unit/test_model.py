"""The model's stream, through the real openai client, from a server that says what it is told to."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from openai import OpenAI

from handlers.chat.errors import ModelFailed
from handlers.chat.frames import FinishReason, Role, Usage
from handlers.chat.model import Delta, Model


class Server(ThreadingHTTPServer):
    """Answers every completion with `status` and `body`; keeps what it was asked."""

    status = 200
    content_type = "text/event-stream"
    body = b""
    asked: dict

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self):
        self.server.asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(self.server.status)
        self.send_header("Content-Type", self.server.content_type)
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def chunk(content=None, finish_reason=None, **more):
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": finish_reason}
    return {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": "m", "choices": [choice], **more}


def events(*chunks):
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks)


def stream(server, *, body=None, status=200):
    server.status = status
    server.body = body if body is not None else server.body
    client = OpenAI(base_url=f"http://127.0.0.1:{server.server_port}/v1", api_key="k", max_retries=0, timeout=5)
    return list(Model(client, "gpt-4o", 0.7).stream([(Role.USER, "Hi"), (Role.ASSISTANT, "Hello"), (Role.USER, "?")]))


def test_pieces_come_as_they_are_then_the_reason_then_the_usage(server):
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    body = events(chunk("При"), chunk("вет"), chunk(finish_reason="stop"), {**chunk(), "choices": [], "usage": usage})
    assert stream(server, body=body + b"data: [DONE]\n\n") == [
        Delta("При"),
        Delta("вет"),
        Delta("", FinishReason.STOP),
        Delta("", None, Usage(prompt_tokens=3, completion_tokens=2)),
    ]


def test_the_request_is_the_seeds(server):
    stream(server, body=events(chunk("a", "stop")))
    assert server.asked == {
        "model": "gpt-4o",
        "temperature": 0.7,
        "stream": True,
        "stream_options": {"include_usage": True},
        "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello"},
            {"role": "user", "content": "?"},
        ],
    }


@pytest.mark.parametrize(
    ("said", "reason"),
    [("length", FinishReason.LENGTH), ("content_filter", FinishReason.CONTENT_FILTER), ("eos", FinishReason.STOP)],
)
def test_reasons_to_end(server, said, reason):
    assert stream(server, body=events(chunk("a"), chunk(finish_reason=said)))[-1] == Delta("", reason)


def test_a_character_cut_in_two_does_not_break_the_stream(server):
    half = json.dumps(chunk("HALF")).replace("HALF", "\\ud83d").encode()
    assert stream(server, body=b"data: " + half + b"\n\n" + events(chunk(finish_reason="stop")))[0] == Delta("\ufffd")


def test_chunks_without_choices_or_delta_are_passed_over(server):
    no_delta = {**chunk(), "choices": [{"index": 0, "finish_reason": None}]}
    body = events({**chunk(), "choices": []}, no_delta, chunk("a"), chunk(finish_reason="stop"))
    assert stream(server, body=body) == [Delta("a"), Delta("", FinishReason.STOP)]


@pytest.mark.parametrize("status", [400, 401, 429, 500, 503])
def test_an_error_status_is_a_failure(server, status):
    with pytest.raises(ModelFailed):
        stream(server, status=status, body=b'{"error": {"message": "no"}}')


@pytest.mark.parametrize(
    "body",
    [
        b"",
        events(chunk("a")),
        events(chunk("a")) + b"data: [DONE]\n\n",
        events(chunk("a")) + b"data: {broken\n\n",
        events(chunk("a")) + b'data: {"error": {"message": "overloaded"}}\n\n',
        events(chunk("a")) + b'event: error\ndata: {"message": "overloaded"}\n\n',
        b"<html>a proxy's page</html>",
        b"data: \xff\xfe\n\n",
    ],
    ids=["empty", "cut", "done-only", "broken-json", "error", "error-event", "html", "bytes"],
)
def test_a_stream_without_an_end_is_a_failure(server, body):
    with pytest.raises(ModelFailed):
        stream(server, body=body)


def test_a_server_that_is_not_there_is_a_failure():
    client = OpenAI(base_url="http://127.0.0.1:9/v1", api_key="k", max_retries=0)
    with pytest.raises(ModelFailed):
        list(Model(client, "gpt-4o", 0.7).stream([(Role.USER, "Hi")]))
