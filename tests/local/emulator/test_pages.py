"""Pages that may open a WebSocket: those of this machine, and those that are named."""

import pytest
from parley.emulator.options import Address

from tests.support.ready_emulator import ReadyEmulator


@pytest.fixture
def connects(tmp_path):
    """Return whether a handshake with these headers opens, and why not."""

    async def connects(*headers, path="/live", address=None, **options):
        emulator = ReadyEmulator(tmp_path, address or Address(), **options)
        host = b"192.168.7.9:8000" if address else b"127.0.0.1:8000"
        [answer, *_] = await emulator.ask("websocket", path, (b"Host", host), *headers)
        refusals = [event.fields["why"] for event in emulator.trace.after(0) if event.kind == "refuse"]
        if answer["type"] == "websocket.accept":
            assert refusals == []
            return True
        assert answer["status"] == 403
        assert len(refusals) == 1
        return refusals[0]

    return connects


@pytest.mark.parametrize("path", ["/live", "/ws/chat"])
@pytest.mark.parametrize("name", [b"Origin", b"origin", b"ORIGIN"])
async def test_a_page_of_another_host_is_refused_and_the_log_names_the_option(connects, name, path):
    why = await connects((name, b"https://evil.example"), path=path)
    assert why == "the page is of https://evil.example; --origin https://evil.example lets its pages connect"


async def test_one_foreign_origin_of_several_is_enough(connects):
    assert await connects((b"Origin", b"https://evil.example"), (b"Origin", b"http://localhost")) is not True
    assert await connects((b"Origin", b"http://localhost"), (b"Origin", b"https://evil.example")) is not True


async def test_what_is_no_page_and_a_page_of_this_machine_connect(connects):
    assert await connects() is True
    assert await connects((b"Origin", b"http://localhost:5173")) is True


async def test_a_client_that_names_the_emulator_itself_as_its_origin_connects(connects):
    assert await connects((b"Origin", b"http://192.168.7.9:8000"), address=Address("0.0.0.0")) is True
    assert await connects((b"Origin", b"http://192.168.7.9:5173"), address=Address("0.0.0.0")) is not True


async def test_a_name_that_a_page_points_to_this_machine_is_not_the_emulator(connects, tmp_path):
    emulator = ReadyEmulator(tmp_path, Address())
    rebound = (b"Host", b"rebound.evil.example:8000"), (b"Origin", b"http://rebound.evil.example:8000")
    [answer, *_] = await emulator.ask("websocket", "/live", *rebound)
    assert answer["status"] == 403


@pytest.mark.parametrize(
    "origins", [("https://chat.example",), ("https://other.example", "https://chat.example"), ("*",)]
)
async def test_a_named_origin_connects(connects, origins):
    assert await connects((b"Origin", b"https://chat.example"), origins=origins) is True
