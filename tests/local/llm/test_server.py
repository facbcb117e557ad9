import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import openai
import pytest
from parley.llm.answers import PromptMessage, answer, tokens

from tests.support.model_server import ModelServer
from tests.support.waiting import HANGS


@pytest.fixture(scope="module")
def fast() -> Iterator[ModelServer]:
    with ModelServer(tokens_per_second=0) as served:
        yield served


def expected(question: str) -> str:
    return answer([PromptMessage("user", question)])


class TestStream:
    def test_the_pieces_joined_are_the_answer(self, fast):
        chunks = list(fast.stream("Hello"))

        pieces = [chunk.choices[0].delta.content for chunk in chunks[1:-1]]
        assert pieces == tokens(expected("Hello"))

    def test_it_opens_with_the_role_and_ends_with_the_reason(self, fast):
        first, *_, last = fast.stream("Hello")

        assert (first.choices[0].delta.role, first.choices[0].delta.content) == ("assistant", "")
        assert last.choices[0].finish_reason == "stop"
        assert last.choices[0].delta.content is None

    def test_all_chunks_belong_to_one_completion_of_the_model_asked_for(self, fast):
        chunks = list(fast.stream("Hello"))

        assert len({chunk.id for chunk in chunks}) == 1
        assert {(chunk.object, chunk.model) for chunk in chunks} == {("chat.completion.chunk", "m")}

    def test_usage_comes_last_and_only_when_asked_for(self, fast):
        *before, last = fast.stream("Hello, world", stream_options={"include_usage": True})

        assert last.choices == []
        assert last.usage.prompt_tokens == 3
        assert last.usage.completion_tokens == len(tokens(expected("Hello, world")))
        assert last.usage.total_tokens == last.usage.prompt_tokens + last.usage.completion_tokens
        assert all(chunk.usage is None for chunk in before)
        assert all(chunk.usage is None for chunk in fast.stream("Hello, world"))

    def test_it_is_closed_as_openai_closes_it(self, fast):
        body = b'{"messages": [{"role": "user", "content": "Hello"}], "stream": true}'
        with fast.post(body) as response:
            lines = response.read().split(b"\n\n")

        assert response.headers["content-type"] == "text/event-stream"
        assert lines[-2:] == [b"data: [DONE]", b""]

    @pytest.mark.parametrize("option", ["max_tokens", "max_completion_tokens"])
    def test_a_limit_of_tokens_cuts_it(self, fast, option):
        *_, last_piece, end, usage = fast.stream("/long 50", stream_options={"include_usage": True}, **{option: 7})

        assert last_piece.choices[0].delta.content == tokens(expected("/long 50"))[6]
        assert end.choices[0].finish_reason == "length"
        assert usage.usage.completion_tokens == 7


class TestPace:
    def test_tokens_come_at_the_pace_that_was_set(self):
        with ModelServer(tokens_per_second=50) as served:
            began = time.monotonic()
            chunks = list(served.stream("/long 31"))
            took = time.monotonic() - began

        assert len(chunks) == 33
        assert took >= 0.6  # the 31st is due 30/50 s after the first

    def test_a_client_that_leaves_stops_the_stream(self):
        with ModelServer(tokens_per_second=100) as served:
            stream = served.stream("/long 100000")
            for _ in range(5):
                next(stream)
            stream.close()

            assert served.app.finished.wait(HANGS)
            assert 5 <= served.app.events < 100_000


class TestWhole:
    def test_it_is_one_object_with_usage(self, fast):
        completion = fast.whole("Hello")

        assert completion.object == "chat.completion"
        assert completion.choices[0].message.role == "assistant"
        assert completion.choices[0].message.content == expected("Hello")
        assert completion.choices[0].finish_reason == "stop"
        assert completion.usage.completion_tokens == len(tokens(expected("Hello")))

    def test_content_in_parts_is_read_as_its_text(self, fast):
        parts = [{"type": "text", "text": "Hello"}, {"type": "image_url", "image_url": {"url": "data:,"}}]

        assert fast.whole(parts).choices[0].message.content == expected("Hello")

    def test_an_image_is_seen(self, fast):
        url = "data:image/png;base64,QUJD"
        parts = [{"type": "text", "text": "Look"}, {"type": "image_url", "image_url": {"url": url}}]

        assert "image/png, 3 bytes" in fast.whole(parts).choices[0].message.content


class TestFailuresOnDemand:
    @pytest.mark.parametrize("ask", ["stream", "whole"])
    def test_fail_answers_500_before_the_first_token(self, fast, ask):
        with pytest.raises(openai.InternalServerError) as raised:
            getattr(fast, ask)("/fail")

        assert raised.value.body["type"] == "server_error"

    def test_fail_mid_breaks_the_stream_and_the_client_notices(self, fast):
        received = []

        def read():
            for chunk in fast.stream("/fail mid"):
                received.append(chunk.choices[0].delta.content)

        with pytest.raises(openai.APIConnectionError):
            read()

        assert len(received) > 10
        assert expected("/fail mid").startswith("".join(received))

    def test_fail_mid_breaks_a_whole_answer_too(self, fast):
        with pytest.raises(openai.APIConnectionError):
            fast.whole("/fail mid")


class TestBadRequests:
    @pytest.mark.parametrize(
        ("body", "param"),
        [
            (b"not json", None),
            (b"[" * 100_000, None),
            (b"[]", None),
            (b"{}", "messages"),
            (b'{"messages": []}', "messages"),
            (b'{"messages": ["Hello"]}', "messages[0]"),
            (b'{"messages": [{"role": "user", "content": 1}]}', "messages[0].content"),
            (b'{"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 0}', "max_tokens"),
        ],
    )
    def test_they_are_refused_with_an_error_as_openai_writes_it(self, fast, body, param):
        with pytest.raises(urllib.error.HTTPError) as raised:
            fast.post(body)

        assert raised.value.code == 400
        error = json.load(raised.value)["error"]
        assert error["type"] == "invalid_request_error"
        assert error["param"] == param
        assert error["message"]

    def test_an_unknown_path_is_not_found(self, fast):
        with pytest.raises(openai.NotFoundError):
            fast.client.embeddings.create(model="m", input="Hello")


def test_the_model_is_listed(fast):
    assert [model.id for model in fast.client.models.list()] == ["built-in"]
