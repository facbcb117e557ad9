"""Faults of the model."""

import json
import urllib.error
import urllib.request
from collections import Counter

import openai
import pytest

from tests.support.waiting import HANGS, until


class TestModel:
    @pytest.fixture
    def client(self, emulator):
        with openai.OpenAI(api_key="any", base_url=f"{emulator.url}/v1", max_retries=0, timeout=HANGS) as client:
            yield client

    def stream(self, client, **options):
        return client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "Hello"}], stream=True, **options
        )

    def read(self, client, **options):
        """The pieces of an answer, and the reason why it ended."""
        pieces, reason = [], None
        for chunk in self.stream(client, **options):
            for choice in chunk.choices or []:
                pieces.append((choice.delta.content if choice.delta else None) or "")
                reason = reason or choice.finish_reason
        return "".join(pieces), reason

    @pytest.mark.parametrize("status", [401, 429, 500, 503])
    def test_it_answers_with_a_status(self, emulator, client, status):
        emulator.plan({"point": "model", "do": str(status), "match": "Hello"})
        with pytest.raises(openai.APIStatusError) as caught:
            self.read(client)
        assert caught.value.status_code == status
        assert self.read(client)[1] == "stop"

    @pytest.mark.parametrize("do", ["stall", "stall-mid"])
    def test_it_stalls_until_its_client_leaves(self, emulator, client, do):
        before = emulator.model()
        emulator.plan({"point": "model", "do": do})
        with pytest.raises(openai.APITimeoutError):
            self.read(client.with_options(timeout=1))
        until(lambda: emulator.model()["open"] == 0)
        gone = Counter(emulator.model()) - Counter(before)
        assert gone == {"requests": 1, "abandoned": 1}

    def test_a_cut_is_an_error_of_the_connection(self, emulator, client):
        emulator.plan({"point": "model", "do": "cut"})
        stream = self.stream(client)
        assert next(stream).choices[0].delta.role == "assistant"
        with pytest.raises(openai.APIConnectionError):
            list(stream)

    @pytest.mark.parametrize("do", ["close", "html", "empty"])
    def test_it_can_end_without_a_reason(self, emulator, client, do):
        whole = self.read(client)[0]
        emulator.plan({"point": "model", "do": do})
        text, reason = self.read(client)
        assert (reason, whole.startswith(text), len(text) < len(whole)) == (None, True, True)
        assert bool(text) == (do == "close")
        assert emulator.hits() == [1]

    def test_an_error_can_come_as_an_event(self, emulator, client):
        emulator.plan({"point": "model", "do": "error-event"})
        with pytest.raises(openai.APIError, match="overloaded"):
            self.read(client)

    @pytest.mark.parametrize("do", ["unknown-event", "broken-json"])
    def test_it_can_send_what_nobody_expects(self, emulator, do):
        emulator.plan({"point": "model", "do": do})
        body = json.dumps({"stream": True, "messages": [{"role": "user", "content": "Hello"}]}).encode()
        with urllib.request.urlopen(f"{emulator.url}/v1/chat/completions", body, timeout=HANGS) as response:
            last = response.read().decode().strip().split("\n\n")[-1]
        assert last.startswith({"unknown-event": "event: error\ndata: ", "broken-json": 'data: {"choices": ['}[do])

    @pytest.mark.parametrize(("do", "reason"), [("blank", "stop"), ("filter", "content_filter"), ("length", "length")])
    def test_it_can_end_early_for_a_reason(self, emulator, client, do, reason):
        whole = self.read(client)[0]
        emulator.plan({"point": "model", "do": do})
        text, ended = self.read(client)
        assert (ended, whole.startswith(text), len(text) < len(whole)) == (reason, True, True)
        assert bool(text) == (do != "blank")

    def test_an_odd_server_says_the_same(self, emulator, client):
        whole = self.read(client)
        emulator.plan({"point": "model", "do": "odd"})
        assert self.read(client) == whole

    def test_a_server_without_usage_refuses_those_who_ask_for_it(self, emulator, client):
        emulator.plan({"point": "model", "do": "no-usage-option", "times": None})
        with pytest.raises(openai.BadRequestError, match="stream_options"):
            self.read(client, stream_options={"include_usage": True})
        assert self.read(client)[1] == "stop"

    def test_a_huge_answer_is_two_million_characters(self, emulator, client):
        emulator.plan({"point": "model", "do": "huge"})
        text, reason = self.read(client)
        assert (len(text), reason) == (2_000_000, "stop")

    def test_a_character_can_come_in_two_halves(self, emulator, client):
        emulator.plan({"point": "model", "do": "surrogate"})
        text, reason = self.read(client)
        assert (text, reason) == ("\ud83d\ude42!", "stop")

    @pytest.mark.parametrize("stream", [True, False])
    def test_a_delayed_answer_is_whole(self, emulator, client, stream):
        emulator.plan({"point": "model", "do": "delay", "seconds": 0.1})
        messages = [{"role": "user", "content": "Hello"}]
        answer = client.chat.completions.create(model="m", messages=messages, stream=stream)
        last = list(answer)[-1] if stream else answer
        assert (last.choices[0].finish_reason, emulator.hits()) == ("stop", [1])

    def test_an_open_stream_is_counted_until_it_is_closed(self, emulator, client):
        emulator.plan({"point": "model", "do": "stall-mid"})
        stream = self.stream(client)
        next(iter(stream))
        assert emulator.model()["open"] == 1
        stream.close()
        until(lambda: emulator.model()["open"] == 0)
