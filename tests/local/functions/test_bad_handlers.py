"""Bad handlers in each language: they throw, exit, hang, print without measure, and leave processes behind."""

import resource
import socket

import pytest
from parley.functions.processes.output import MAX_LINE_BYTES

from tests.support import bad_handlers
from tests.support.bad_handlers import LANGUAGES, PRINTED_MB
from tests.support.devices import free_port
from tests.support.process_tree import is_running

pytestmark = [pytest.mark.full, pytest.mark.parametrize("language", LANGUAGES)]

NO_REPLY = "Runtime.ExitError"
THROWN = {"Node": "RangeError", "an executable": NO_REPLY}


@pytest.fixture
async def bad(serve, language):
    """Starts a service with the bad function of the language."""

    async def start(**options):
        service = await serve(bad_handlers.options(language, **options), f=bad_handlers.source(language))
        bad_handlers.complete(service, language)
        return service

    return start


@pytest.mark.parametrize(
    ("what", "kind"), [("throw", None), ("exit", NO_REPLY), ("hang", "Sandbox.Timedout")], ids=["throw", "exit", "hang"]
)
async def test_at_load_it_is_the_error_of_each_event(bad, language, what, kind, monkeypatch):
    if what == "hang":
        monkeypatch.setattr("parley.functions.environment.INIT_SECONDS", 0.2)
    service = await bad(**bad_handlers.at_load(what), timeout=0.1 if what == "hang" else 900.0)
    for _ in range(2):
        failed = await service.failure("f", "fine")
        assert failed["errorType"] == (kind or THROWN.get(language, "ValueError"))
    if what == "exit":
        assert "exit status 7" in failed["errorMessage"]


@pytest.mark.parametrize("what", ["throw", "exit"])
async def test_with_an_event_it_is_the_error_and_the_next_event_is_handled(bad, language, what):
    service = await bad(timeout=900.0)
    for _ in range(2):
        failed = await service.failure("f", what)
        assert failed["errorType"] == (NO_REPLY if what == "exit" else THROWN.get(language, "ValueError"))
        assert await service.answer("f", "fine")


@pytest.mark.parametrize("what", ["hang", "print without end"])
async def test_it_has_its_time_out_and_no_longer(bad, what):
    service = await bad(timeout=1.0)
    assert (await service.failure("f", what))["errorType"] == "Sandbox.Timedout"
    await service.until_no_process()


async def test_much_output_is_read_cut_and_not_kept(bad):
    service = await bad(timeout=900.0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert await service.answer("f", "print") == "printed"
    await service.lambda_.stop()
    assert [len(line) for line in service.lines()] == [MAX_LINE_BYTES + len(" …")]
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < PRINTED_MB / 4


async def test_what_it_leaves_behind_ends_with_it_and_gives_its_ports_back(bad):
    """One child stays in the group of the function, the other one leaves it."""
    service, ports = await bad(timeout=900.0), [free_port(), free_port()]
    left = await service.answer("f", ports)
    assert all(map(is_running, left))
    await service.failure("f", "exit")
    assert not any(map(is_running, left))
    for port in ports:
        socket.create_server(("127.0.0.1", port)).close()
    assert len(await service.answer("f", ports)) == 2
