"""The head of a response and its body leave in one write; what has no body yet leaves at the end of the loop's turn."""

import asyncio

from parley.gateway.websocket.transport import ResponseTransport

from tests.support.recording_transport import RecordingTransport

HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


def done_by(act):
    """The calls that a transport gets for a response, at once and after a turn of the event loop."""

    async def run():
        recorded = RecordingTransport()
        act(ResponseTransport(recorded))
        at_once = list(recorded.done)
        await asyncio.sleep(0)
        return at_once, recorded.done

    return asyncio.run(run())


def test_a_head_and_a_body_are_one_write():
    def act(transport):
        transport.write(HEAD)
        transport.write(b"body")

    assert done_by(act) == ([HEAD + b"body"],) * 2


def test_an_empty_body_does_not_hold_the_head_back():
    def act(transport):
        transport.write(HEAD)
        transport.write(b"")

    assert done_by(act) == ([HEAD],) * 2


def test_a_head_without_a_body_leaves_with_the_end_of_the_turn():
    assert done_by(lambda transport: transport.write(HEAD)) == ([], [HEAD])


def test_pieces_of_a_body_leave_as_they_come():
    def act(transport):
        for data in (HEAD, b"one", b"two"):
            transport.write(data)

    assert done_by(act) == ([HEAD + b"one", b"two"],) * 2


def test_a_body_that_comes_later_does_not_repeat_the_head():
    async def run():
        transport = ResponseTransport(recorded := RecordingTransport())
        transport.write(HEAD)
        await asyncio.sleep(0)
        transport.write(b"body")
        return recorded.done

    assert asyncio.run(run()) == [HEAD, b"body"]


def test_the_end_of_the_connection_comes_after_what_waits():
    def act(transport):
        transport.write(HEAD)
        transport.close()
        assert transport.is_closing()

    assert done_by(act) == ([HEAD, "closed"],) * 2
