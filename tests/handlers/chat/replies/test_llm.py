"""The model's stream, through the real openai client, from a server with scripted answers."""

import json
from collections.abc import Iterator
from inspect import isasyncgen
from io import StringIO
from threading import Thread, Timer

import pytest
from openai import AsyncOpenAI

from handlers.chat.errors import ModelFailed
from handlers.chat.log import logger
from handlers.chat.records import FinishReason, Role, Usage
from handlers.chat.replies.deltas import Delta
from handlers.chat.replies.llm import Model
from handlers.chat.replies.messages import PromptMessage
from handlers.chat.replies.prompt import Question
from handlers.chat.settings import ModelTimeouts, Settings
from tests.support.completions_server import CompletionsServer
from tests.support.waiting import HANGS, until


@pytest.fixture
def server() -> Iterator[CompletionsServer]:
    server = CompletionsServer()
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
    return list(model(server).answer(Question(PROMPT)))


PROMPT = (PromptMessage(Role.USER, "Hi"), PromptMessage(Role.ASSISTANT, "Hello"), PromptMessage(Role.USER, "?"))


def model(server, retries=0, temperature=0.7, limit=None, **timeouts):
    url = f"http://127.0.0.1:{server.server_port}/v1"
    client = AsyncOpenAI(base_url=url, api_key="k", max_retries=retries, timeout=5)
    return Model(client, "gpt-4o", temperature, ModelTimeouts(**timeouts), limit)


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


def test_the_longest_answer_is_told_to_the_server(server):
    server.body = events(chunk("a", "stop"))
    settings = Settings.of({"MAX_COMPLETION_TOKENS": "77"})
    told = Model.of(settings, "k")
    told._client = model(server)._client
    list(told.answer(Question(PROMPT)))
    assert server.asked["max_completion_tokens"] == 77


@pytest.mark.parametrize(
    ("said", "reason"),
    [("length", FinishReason.LENGTH), ("content_filter", FinishReason.CONTENT_FILTER), ("eos", FinishReason.STOP)],
)
def test_reasons_to_end(server, said, reason):
    assert stream(server, body=events(chunk("a"), chunk(finish_reason=said)))[-1] == Delta("", reason)


@pytest.mark.parametrize(
    ("pieces", "text"),
    [(["\\ud83d", "\\ude42!"], "🙂!"), (["a\\ud83d"], "a\ufffd"), (["\\ude42"], "\ufffd")],
    ids=["both halves", "the first alone", "the second alone"],
)
def test_a_character_cut_in_two_is_joined_or_replaced(server, pieces, text):
    halves = b"".join(events(chunk("HALF")).replace(b"HALF", piece.encode()) for piece in pieces)
    deltas = stream(server, body=halves + events(chunk(finish_reason="stop")))
    assert "".join(delta.text for delta in deltas) == text


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


ODD_STREAMS = {
    "a list as content": events(chunk([{"type": "text", "text": "a"}])),
    "an object as content": events(chunk({"type": "text", "text": "a"})),
    "a text as delta": events({**chunk(), "choices": [{"delta": "a"}]}),
    "an object as reason": events(chunk("a", {"type": "stop"})),
    "an odd usage": events({**chunk("a"), "usage": [1]}),
    "events that are no objects": events("ping", [], 12, None, chunk("a")),
    "retry first": b"retry: 3000\n\n" + events(chunk("a")),
    "an id alone": b"id: 4\n\n" + events(chunk("a")),
    "a ping": b"event: ping\ndata: \n\n" + events(chunk("a")),
    "a comment after an id": b"id: 4\n" + events(chunk("a")) + b": ping\n\n",
    "a byte order mark": b"\xef\xbb\xbf" + events(chunk("a")),
    "a reason that is none": events(chunk("a", "null")),
    "a refusal": events({**chunk(), "choices": [{"delta": {"refusal": "a"}}]}),
}


@pytest.mark.parametrize("body", ODD_STREAMS.values(), ids=ODD_STREAMS)
def test_odd_streams_are_answers(server, body):
    deltas = stream(server, body=body + events(chunk(finish_reason="stop")) + b"data: [DONE]\n\n")
    assert "".join(delta.text + delta.refusal for delta in deltas) == "a"
    assert deltas[-1] == Delta("", FinishReason.STOP)


def test_what_comes_after_the_end_does_not_ruin_the_answer(server):
    odd = {**chunk(), "choices": [], "usage": {"prompt_tokens": {}, "completion_tokens": "many"}}
    assert stream(server, body=WHOLE + events(odd, "ping") + b"data: {broken\n\n")[-1] == Delta("", FinishReason.STOP)


def test_an_answer_that_is_not_streamed_is_an_answer(server):
    message = {"role": "assistant", "content": "Hello"}
    server.content_type = "application/json"
    body = json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).encode()
    assert stream(server, body=body) == [Delta("Hello", FinishReason.STOP)]


def test_an_answer_that_ends_badly_is_a_failure_after_its_text(server):
    server.body = events(chunk("half"), chunk(finish_reason="abort"))
    answer = iter(model(server).answer(Question(PROMPT)))
    assert next(answer) == Delta("half")
    with pytest.raises(ModelFailed, match="error"):
        list(answer)


@pytest.mark.full
@pytest.mark.parametrize("header", ["Content-Length: 1000000", "Content-Encoding: gzip", "Transfer-Encoding: chunked"])
def test_a_body_that_breaks_off_or_is_garbled_is_a_failure(server, header):
    server.protocol_version = "HTTP/1.1"
    server.content_type = f"text/event-stream\r\nConnection: close\r\n{header}"
    with pytest.raises(ModelFailed):
        stream(server, body=events(chunk("a")))


def test_a_connection_is_used_again_for_the_next_answer(server):
    server.protocol_version = "HTTP/1.1"
    server.body = WHOLE + b"data: [DONE]\n\n"
    server.content_type = f"text/event-stream\r\nContent-Length: {len(server.body)}"
    asked = model(server)
    for _ in range(2):
        list(answer := asked.answer(Question(PROMPT)))
        answer.close()
    assert len(set(server.clients)) == 1


def test_a_server_that_is_not_there_is_a_failure():
    client = AsyncOpenAI(base_url="http://127.0.0.1:9/v1", api_key="k", max_retries=0)
    with pytest.raises(ModelFailed):
        list(Model(client, "gpt-4o", 0.7).answer(Question((PromptMessage(Role.USER, "Hi"),))))


WHOLE = events(chunk("a"), chunk(finish_reason="stop"))


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_error_before_the_first_token_is_tried_again(server, status):
    server.answers = [(status, b"{}")]
    server.body = WHOLE
    assert [delta.text for delta in model(server, retries=2).answer(Question(PROMPT))] == ["a", ""]
    assert len(server.requests) == 2


def test_what_is_kept_of_a_failure_holds_no_open_stream(server):
    """The garbage collector closes what is open in any thread, while the model's own thread closes it too."""
    server.body = events(chunk("a")) + b'data: {"error": {"message": "overloaded"}}\n\n'
    server.held = True
    with pytest.raises(ModelFailed) as failure:
        list(model(server).answer(Question(PROMPT)))
    until(lambda: not open_streams(failure.tb))


def open_streams(traceback):
    """Return the names of the asynchronous generators in the frames of a failure that are not closed."""
    found = []
    while traceback is not None:
        values = traceback.tb_frame.f_locals.values()
        found += [each.__name__ for each in values if isasyncgen(each) and each.ag_frame is not None]
        traceback = traceback.tb_next
    return found


def test_an_error_after_the_first_token_is_not(server):
    server.body = events(chunk("a")) + b'data: {"error": {"message": "overloaded"}}\n\n'
    with pytest.raises(ModelFailed):
        list(model(server, retries=2).answer(Question(PROMPT)))
    assert len(server.requests) == 1


def test_a_server_that_does_not_count_tokens_is_asked_without_and_remembered(server):
    refusal = json.dumps({"error": {"message": "Unrecognized request argument supplied: stream_options"}}).encode()
    server.answers = [(400, refusal)]
    server.body = WHOLE
    asked = model(server)
    for _ in range(2):
        assert [delta.text for delta in asked.answer(Question(PROMPT))] == ["a", ""]
    assert ["stream_options" in request for request in server.requests] == [True, False, False]


def error(message, **more):
    return json.dumps({"error": {"message": message, **more}}).encode()


NO_TEMPERATURE = error(
    "Unsupported value: 'temperature' does not support 0.7", param="temperature", code="unsupported_value"
)
TOO_LONG = error("This model's maximum context length is 9 tokens", code="context_length_exceeded")


def test_a_server_that_takes_no_temperature_is_asked_without_and_remembered(server):
    server.answers = [(400, NO_TEMPERATURE)]
    server.body = WHOLE
    asked = model(server)
    for _ in range(2):
        assert [delta.text for delta in asked.answer(Question(PROMPT))] == ["a", ""]
    assert [request.get("temperature") for request in server.requests] == [0.7, None, None]


def test_what_was_left_out_in_vain_is_not_remembered(server):
    server.answers = [(400, NO_TEMPERATURE), (400, b"{}")]
    server.body = WHOLE
    asked = model(server)
    with pytest.raises(ModelFailed):
        list(asked.answer(Question(PROMPT)))
    list(asked.answer(Question(PROMPT)))
    assert [request.get("temperature") for request in server.requests] == [0.7, None, 0.7]


def test_without_a_temperature_none_is_sent(server):
    server.body = WHOLE
    list(model(server, temperature=None).answer(Question(PROMPT)))
    assert "temperature" not in server.asked


def test_a_prompt_that_is_too_long_is_halved_for_this_answer(server):
    server.answers = [(400, TOO_LONG)]
    server.body = WHOLE
    asked = model(server)
    for _ in range(2):
        assert [delta.text for delta in asked.answer(Question(PROMPT))] == ["a", ""]
    assert [len(request["messages"]) for request in server.requests] == [3, 1, 3]


def test_a_refusal_names_the_providers_code_and_param_but_no_text(server, monkeypatch):
    monkeypatch.setattr(logger.registered_handler, "stream", log := StringIO())
    server.answers = [(400, NO_TEMPERATURE), (400, error("You said: secret", code="bad", param="messages"))]
    with pytest.raises(ModelFailed, match=r"^BadRequestError 400, code bad, param messages$"):
        list(model(server).answer(Question(PROMPT)))
    [line] = [json.loads(line) for line in log.getvalue().splitlines()]
    assert line["message"] == "model_asked_again"
    assert line["refusal"] == "400, code unsupported_value, param temperature"
    assert (line["options"], line["messages"]) == (["stream_options"], 3)


class TestAServerThatTakesNoLimit:
    def asked(self, server, *pieces):
        """Have the server refuse both names of the limit, 10 tokens. Then ask it once more."""
        names = ("max_completion_tokens", "max_tokens")
        server.answers, server.body = [(400, error(f"Unknown parameter: {name}")) for name in names], WHOLE
        asked = model(server, limit=10)
        list(asked.answer(Question(PROMPT)))
        server.body, server.held = events(*pieces), True
        deltas = list(answer := asked.answer(Question(PROMPT)))
        answer.close()
        assert [set(names) & request.keys() for request in server.requests] == [{names[0]}, {names[1]}, set(), set()]
        return deltas

    def test_is_left_when_the_answer_is_longer_than_it_may_be(self, server):
        deltas = self.asked(server, *[chunk("abc ")] * 100)
        assert "".join(delta.text for delta in deltas) == "abc " * 3
        assert deltas[-1] == Delta(finish_reason=FinishReason.LENGTH)
        assert server.left.wait(HANGS)

    def test_is_left_when_it_thinks_for_longer(self, server):
        thinking = {**chunk(), "choices": [{"delta": {"reasoning": "abc "}}]}
        assert self.asked(server, *[thinking] * 100)[-1] == Delta(finish_reason=FinishReason.LENGTH)

    def test_is_left_although_it_sends_a_reason_with_each_text(self, server):
        assert self.asked(server, *[chunk("abc ", "stop")] * 100)[-1] == Delta(finish_reason=FinishReason.LENGTH)

    def test_keeps_an_answer_that_ends(self, server):
        deltas = self.asked(server, chunk("abc "), chunk("abc abc abc", "stop"))
        assert deltas[-1] == Delta("abc abc abc", FinishReason.STOP)


def test_a_server_that_was_told_the_limit_is_left_when_it_counts_more_itself(server):
    server.held = True
    counts = ({"prompt_tokens": 3, "completion_tokens": number} for number in range(1, 100))
    server.body = events(*({**chunk("abc "), "usage": usage} for usage in counts))
    deltas = list(model(server, limit=10).answer(Question(PROMPT)))
    assert deltas[-2:] == [Delta("abc ", None, Usage(3, 11)), Delta(finish_reason=FinishReason.LENGTH)]


class TestNobodyBills:
    def failure(self, server, **more):
        with pytest.raises(ModelFailed) as caught:
            list(model(server, **more).answer(Question(PROMPT)))
        return caught.value

    @pytest.mark.parametrize(("status", "billed"), [(400, False), (429, False), (503, False), (500, True)])
    def test_a_question_that_was_refused(self, server, status, billed):
        server.status, server.body = status, b"{}"
        assert self.failure(server).billed is billed

    def test_a_question_that_was_never_sent(self):
        client = AsyncOpenAI(base_url="http://127.0.0.1:9/v1", api_key="k", max_retries=0)
        with pytest.raises(ModelFailed) as caught:
            list(Model(client, "gpt-4o", 0.7).answer(Question(PROMPT)))
        assert not caught.value.billed

    def test_but_a_silent_server_may(self, server):
        server.silent = True
        assert self.failure(server, first_token_seconds=3.0).billed

    @pytest.mark.parametrize("body", [b"", events(chunk("a")), b'data: {"error": {"code": 400}}\n\n'])
    def test_but_an_answer_that_broke_off_may_be(self, server, body):
        server.body = body
        assert self.failure(server).billed


def test_an_unknown_finish_reason_is_logged_once(server, monkeypatch):
    monkeypatch.setattr(logger.registered_handler, "stream", log := StringIO())
    server.body = events(chunk("a", "all done!"), chunk("b", "all done!"), chunk(finish_reason="more"))
    assert "".join(delta.text for delta in model(server).answer(Question(PROMPT))) == "ab"
    [line] = [json.loads(line) for line in log.getvalue().splitlines()]
    assert (line["message"], line["reason"]) == ("finish_reason_unknown", "all?done?")


class TestSilence:
    def test_before_the_first_token_is_a_failure_and_leaves_the_server(self, server):
        server.silent = True
        with pytest.raises(ModelFailed, match="silent"):
            # Long enough for the request to be sent on a busy machine: a server that was not asked cannot be left.
            list(model(server, first_token_seconds=3.0).answer(Question(PROMPT)))
        assert server.left.wait(HANGS)

    def test_between_two_tokens_is_a_failure_and_leaves_the_server(self, server):
        server.held, server.body = True, events(chunk("a"))
        answer = iter(model(server, next_token_seconds=0.1).answer(Question(PROMPT)))
        assert next(answer) == Delta("a")
        with pytest.raises(ModelFailed, match="silent"):
            next(answer)
        assert server.left.wait(HANGS)

    def test_before_the_first_text_a_sign_of_life_does_not_shorten_the_first_timeout(self, server):
        server.held, server.body = True, events(chunk())
        answer = model(server, first_token_seconds=60.0, next_token_seconds=0.01).answer(Question(PROMPT))
        Timer(0.3, answer.stop).start()
        assert list(answer) == []

    @pytest.mark.parametrize(
        "sign", [b": ping\n\n", events({**chunk(), "choices": [{"delta": {"reasoning_content": "hm"}}]})]
    )
    def test_comments_and_reasoning_are_signs_of_life(self, server, sign):
        server.pieces = (*[0.25, sign] * 10, events(chunk("a")), *[0.25, sign] * 10, WHOLE)
        answer = model(server, first_token_seconds=2.0, next_token_seconds=2.0).answer(Question(PROMPT))
        assert [delta.text for delta in answer if not delta.thinking] == ["a", "a", ""]

    def test_signs_of_life_alone_are_a_failure_in_the_end(self, server):
        server.body, server.pieces = events(chunk("a")), (*[0.1, b": ping\n\n"] * 10_000,)
        with pytest.raises(ModelFailed, match="nothing but signs of life"):
            list(model(server, progress_seconds=0.5).answer(Question(PROMPT)))

    def test_a_stop_with_the_text_is_the_end_although_the_server_holds_the_connection(self, server):
        server.held, server.body = True, events(chunk("a"), chunk("b", "stop"))
        answer = model(server, next_token_seconds=900.0).answer(Question(PROMPT))
        assert list(answer) == [Delta("a"), Delta("b", FinishReason.STOP)]
        assert not server.let_go.is_set()

    def test_a_reason_with_each_text_ends_nothing(self, server, monkeypatch):
        monkeypatch.setattr("handlers.chat.replies.patience.DOUBT_SECONDS", 0.5)
        monkeypatch.setattr("handlers.chat.replies.patience.USAGE_SECONDS", 0.05)
        server.body = events(chunk("one ", "stop"))
        server.pieces = (0.2, events(chunk("two ", "stop")), 0.8, events(chunk("three", "stop")))
        assert "".join(delta.text for delta in model(server).answer(Question(PROMPT))) == "one two three"

    def test_a_reason_with_thinking_ends_nothing(self, server, monkeypatch):
        monkeypatch.setattr("handlers.chat.replies.patience.USAGE_SECONDS", 0.05)
        server.body = events({**chunk(), "choices": [{"delta": {"reasoning": "hm"}, "finish_reason": "stop"}]})
        server.pieces = (0.2, events(chunk("first ", "stop")), 0.2, events(chunk("second", "stop")))
        assert "".join(delta.text for delta in model(server).answer(Question(PROMPT))) == "first second"

    def test_after_a_reason_it_is_the_end_even_if_the_server_pings(self, server):
        server.body = events(chunk("a", "stop"))
        server.pieces = (*[0.1, b": ping\n\n"] * 10_000,)
        assert list(model(server, next_token_seconds=0.3).answer(Question(PROMPT))) == [Delta("a", FinishReason.STOP)]
        assert not server.let_go.is_set()

    def test_after_its_end_is_none(self, server, monkeypatch):
        monkeypatch.setattr("handlers.chat.replies.patience.USAGE_SECONDS", 0.1)
        server.held, server.body = True, WHOLE
        assert [delta.text for delta in model(server).answer(Question(PROMPT))] == ["a", ""]


class TestStop:
    @pytest.mark.parametrize("silent", [True, False], ids=["before the first token", "in the middle"])
    def test_it_ends_the_answer_and_closes_the_connection(self, server, silent):
        server.silent, server.held, server.body = silent, True, events(chunk("a"))
        answer = model(server).answer(Question(PROMPT))
        deltas = iter(answer)
        # Not before the first token is here, however long that takes.
        assert silent or next(deltas) == Delta("a")
        Thread(target=lambda: (until(lambda: server.requests), answer.stop())).start()
        assert list(deltas) == []
        answer.close()
        assert server.left.wait(HANGS)

    def test_twice_or_after_the_end_it_does_nothing(self, server):
        server.body = WHOLE
        answer = model(server).answer(Question(PROMPT))
        list(answer)
        answer.stop()
        answer.close()
        answer.close()
