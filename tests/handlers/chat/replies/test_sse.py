"""Server-sent events, as WHATWG's "Interpreting an event stream" has them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.chat.errors import ModelFailed
from handlers.chat.replies import sse
from handlers.chat.replies.sse import Event, EventDecoder


def decode(*pieces):
    decoder = EventDecoder()
    return [*(event for piece in pieces for event in decoder.feed(piece)), *decoder.end()]


def data(*texts):
    return [Event(b"", text) for text in texts]


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\n\ndata: b\n\n", data(b"a", b"b")),
        (b"data: a\r\n\r\ndata: b\r\rdata: c\n\n", data(b"a", b"b", b"c")),
        (b"data:a\n\ndata:  b\n\n", data(b"a", b" b")),
        (b"data: a\ndata: b\n\n", data(b"a\nb")),
        (b"data\n\n", data(b"")),
        (b"event: error\ndata: a\n\ndata: b\n\n", [Event(b"error", b"a"), Event(b"", b"b")]),
        (b": comment\n\n:\n\ndata: a\n\n", data(b"a")),
        (b"retry: 3000\n\nid: 4\n\nevent: ping\n\nx: y\n\ndata: a\n\n", data(b"a")),
        (b"id: 4\ndata: a\n\n: ping\n\ndata: b\n\n", data(b"a", b"b")),
        (b"data: a\n", data(b"a")),
        (b"data: a", data(b"a")),
        (b"", []),
        (b"\n\n\n", []),
    ],
)
def test_events(stream, events):
    assert decode(stream) == events


@given(
    st.lists(st.sampled_from([b"data: a", b"data", b":", b"id: 1", b"event: e", b"\n", b"\r", b"\r\n", b"\xff"])),
    st.data(),
)
def test_the_pieces_in_which_a_stream_comes_do_not_matter(parts, drawn):
    stream = b"".join(parts)
    cuts = sorted(drawn.draw(st.lists(st.integers(0, len(stream)))))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert decode(*pieces) == decode(stream)


@pytest.mark.parametrize("stream", [b"data: " + b"x" * 100, b"data: xxxxxxxxxx\n" * 10])
def test_an_event_without_end_is_a_fault(monkeypatch, stream):
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 64)
    with pytest.raises(ModelFailed):
        decode(*(stream[number : number + 1] for number in range(len(stream))))


def test_many_events_and_comments_are_not(monkeypatch):
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 64)
    assert decode(b": ping\n" * 100 + b"data: a\n\n" * 100) == data(*[b"a"] * 100)
