"""No process is left behind, and one that should not be dead is replaced."""

import asyncio
import importlib.util
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from parley.functions.processes import launch
from parley.functions.processes.launch import start_zygote
from parley.functions.processes.loading import Libraries
from parley.functions.processes.preload import ZygotePlan

from tests.support.process_tree import state
from tests.support.waiting import HANGS, until

pytestmark = pytest.mark.full

PIDS = """
    import os, signal, subprocess, sys, time

    def handler(event, context):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen(["/bin/sleep", "600"], start_new_session=event == "leave")
        pids = [os.getpid(), os.getppid(), child.pid]
        if event in ("stay", "rest", "leave"):
            print(*pids)
            time.sleep(600 if event == "stay" else 0)
        if event == "exit":
            print(*pids)
            sys.exit(1)
        return pids
"""

LIBRARY = """
    import os, pathlib, time
    import lib_changed

    def handler(event, context):
        while event and not pathlib.Path(event).exists():
            time.sleep(0.01)
        return [lib_changed.VALUE, os.getppid()]
"""

EMULATOR = """
    import asyncio, sys
    sys.path.insert(0, {root!r})
    from pathlib import Path
    from parley.functions.runner import runner_for
    from parley.functions.service import Functions
    from parley.template.model import Function
    from parley.trace import Trace

    async def main():
        trace = Trace()
        trace.listen(lambda event: event.kind == "log" and print(event.fields["line"], flush=True))
        function = Function(
            name="f", handler="f.handler", code=Path({code!r}), timeout=900.0, memory=128, environment={{}},
        )
        runner = runner_for("process", {{"f": function}}, trace, environments=1)
        functions = Functions({{"f": function}}, trace, runner)
        await functions.start()
        await functions.invoke("f", {event!r})
        await asyncio.Event().wait()

    asyncio.run(main())
"""


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that only waits to be reaped does not."""
    return state(pid) not in ("", "Z")


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def all_ended(pids: list[int]) -> bool:
    end = time.monotonic() + HANGS
    while any(map(is_alive, pids)) and time.monotonic() < end:  # noqa: ASYNC110 - they are not our children
        await asyncio.sleep(0.01)
    return not any(map(is_alive, pids))


async def test_stop_ends_idle_and_busy_environments_at_once(serve):
    service = await serve({"timeout": 900.0}, f=PIDS)
    idle = await service.answer("f")
    busy = asyncio.create_task(service.failure("f", "stay"))
    await service.until("log")
    pids = [*idle, *map(int, service.lines()[0].split())]
    assert all(map(is_alive, pids))
    async with asyncio.timeout(HANGS):
        await service.lambda_.stop()
    assert await all_ended(pids)
    assert (await busy)["errorType"] == "Runtime.ExitError"


async def test_stop_does_not_wait_for_libraries_to_be_loaded(serve, tmp_path):
    service = await serve(f="import boto3, openai, fastapi\ndef handler(event, context): return 1")
    waiting = asyncio.create_task(service.failure("f"))
    await service.until("start")
    await service.lambda_.stop()
    # With the libraries loaded the function would have been launched.
    assert (await waiting)["errorType"] == "Runtime.LaunchError"


async def test_events_that_wait_when_the_service_stops_are_answered(serve):
    service = await serve({"environments": 1}, f=PIDS)
    running, waiting = (asyncio.create_task(service.failure("f", "stay")) for _ in range(2))
    await service.until("wait")
    await service.until("log")
    await service.lambda_.stop()
    assert (await running)["errorType"] == "Runtime.ExitError"
    assert (await waiting)["errorType"] == "Runtime.LaunchError"


@pytest.fixture
async def emulator(tmp_path):
    """Start a program that lets an environment handle an event. Return it with the processes of the environment."""
    started = []

    async def start(event: bytes):
        code = tmp_path / "f"
        code.mkdir()
        (code / "f.py").write_text(textwrap.dedent(PIDS))
        script = textwrap.dedent(EMULATOR).format(code=str(code), root=str(Path.cwd()), event=event)
        program = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            script,
            stdout=subprocess.PIPE,
            # As in a terminal of its own, with `nohup`. In a container the first process may be in our session, and
            # would be the new parent of what is left behind: then no group is an orphan.
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
        )
        started.append(program)
        return started[0], [int(pid) for pid in (await started[0].stdout.readline()).split()]

    yield start
    for program in started:
        if program.returncode is None:
            program.kill()
        await program.wait()


async def all_stopped(pids: list[int]) -> bool:
    end = time.monotonic() + HANGS
    while any(state(pid) != "T" for pid in pids) and time.monotonic() < end:  # noqa: ASYNC110 - not our children
        await asyncio.sleep(0.01)
    return {state(pid) for pid in pids} == {"T"}


async def test_an_emulator_that_is_killed_leaves_no_process(emulator):
    program, pids = await emulator(b'"stay"')
    assert all(map(is_alive, pids))
    program.kill()
    await program.wait()
    assert await all_ended(pids)


async def test_an_emulator_that_is_killed_leaves_none_that_stands_still(emulator):
    program, (function, zygote, child) = await emulator(b'"rest"')
    assert await all_stopped([function, child])
    program.kill()
    await program.wait()
    assert await all_ended([function, zygote, child])


async def test_it_leaves_none_that_has_left_the_group_of_its_function(emulator):
    program, (function, zygote, child) = await emulator(b'"leave"')
    assert is_alive(child)
    program.kill()
    await program.wait()
    assert await all_ended([function, zygote, child])


@pytest.mark.parametrize("orders", [b"", b'{"id": 1, "launch": {}}\n'])
def test_a_zygote_that_still_loads_ends_with_the_emulator(tmp_path, orders):
    began = tmp_path / "began"
    source = f"import pathlib, time\npathlib.Path({str(began)!r}).touch()\nwhile True: time.sleep(0.01)\n"
    (tmp_path / "lib_slow.py").write_text(source)
    zygote = start_zygote(ZygotePlan(Libraries(["lib_slow"]), {"PYTHONPATH": str(tmp_path)}))
    try:
        until(began.exists)
        zygote.control.send(orders)
        zygote.control.close()
        assert zygote.process.wait(HANGS) == 0
    finally:
        zygote.process.kill()
        zygote.process.wait()


async def test_libraries_are_loaded_anew_while_events_run(serve, tmp_path, monkeypatch):
    """The zygote finds modules in its own folder, so a test can put a library there."""
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages" / "parley").symlink_to(launch._PACKAGE_FOLDER / "parley")
    library = tmp_path / "packages" / "lib_changed.py"
    library.write_text("VALUE = 1")
    monkeypatch.setattr(launch, "_PACKAGE_FOLDER", tmp_path / "packages")
    service = await serve(f=LIBRARY)
    first, zygote = await service.answer("f")
    assert first == 1
    assert str(tmp_path / "packages") in await service.lambda_.library_folders()
    running = asyncio.create_task(service.answer("f", str(tmp_path / "go")))
    await service.until("start", 2)
    library.write_text("VALUE = 22")
    assert await service.lambda_.renew_libraries(changed=True)
    second, other = await service.answer("f")
    assert (second, other == zygote) == (22, False)
    (tmp_path / "go").touch()
    assert await running == [1, zygote]
    assert await all_ended([zygote])
    assert not await service.lambda_.renew_libraries(changed=False)


async def test_a_new_import_is_loaded_for_all_and_environments_go_on(serve):
    service = await serve(f=PIDS)
    function, zygote, _ = await service.answer("f")
    (service.folder / "f" / "f.py").write_text(f"import yaml\n{textwrap.dedent(PIDS)}")
    assert await service.lambda_.renew_libraries(changed=False)
    assert (await service.answer("f"))[0] == function
    assert any(folder.endswith("yaml") for folder in await service.lambda_.library_folders())
    service.lambda_.renew(service.lambda_._functions, ["f"])
    assert (await service.answer("f"))[1] != zygote
    assert await all_ended([function, zygote])


async def test_none_stands_still_for_ever_if_nobody_is_left_to_kill_it(emulator):
    program, (function, zygote, child) = await emulator(b'"rest"')
    assert await all_stopped([function, child])
    program.send_signal(signal.SIGSTOP)
    os.kill(zygote, signal.SIGKILL)
    assert await all_ended([function, zygote, child])


async def test_stop_ends_environments_that_stand_still(serve):
    service = await serve(f=PIDS)
    function, _, child = await service.answer("f")
    assert await all_stopped([function, child])
    await service.lambda_.stop()
    assert await all_ended([function, child])


async def test_a_process_goes_on_when_the_last_fault_that_stopped_it_is_over(serve):
    service = await serve({"freezes": False}, f=PIDS)
    function, _, _ = await service.answer("f")
    processes = service.lambda_._runner._processes
    [process] = processes._living.values()
    for _ in range(2):
        processes.freeze(process, HANGS)
    assert await all_stopped([function])
    first, last = process.freezes
    processes._end_of_fault(process, first)
    assert state(function) == "T"
    processes._end_of_fault(process, last)
    assert (await service.answer("f"))[0] == function


async def test_an_event_wakes_its_environment_whatever_stopped_it_before(serve):
    """A fault stops an environment, somebody lets it go on by hand, and it ends its work: the next event must run."""
    service = await serve(f=PIDS)
    function, _, child = await service.answer("f")
    assert await all_stopped([function, child])
    processes = service.lambda_._runner._processes
    [process] = processes._living.values()
    processes.freeze(process, HANGS)
    assert (await service.answer("f"))[0] == function
    assert await all_stopped([function])
    assert process.freezes == set()


async def test_without_descriptors_of_processes_ends_are_seen_too(serve, tmp_path):
    """On an old kernel, or in a sandbox that forbids them."""
    (tmp_path / "sitecustomize.py").write_text("import os\ndel os.pidfd_open")
    service = await serve({"zygote": ZygotePlan(Libraries(), {"PYTHONPATH": str(tmp_path)})}, f=PIDS)
    first, _, child = await service.answer("f")
    await service.failure("f", "exit")
    assert await all_ended([first, child])
    assert (await service.answer("f"))[0] != first


async def test_an_environment_that_dies_between_two_events_is_replaced(serve):
    service = await serve(f=PIDS)
    first, _, child = await service.answer("f")
    os.kill(first, signal.SIGKILL)
    assert await all_ended([first, child])
    await service.until_no_process()
    outcome = await service.invoke("f")
    assert outcome.cold
    assert outcome.function_error is None


async def test_an_event_for_an_environment_that_has_just_died_is_answered(serve):
    service = await serve(f=PIDS)
    first, _, _ = await service.answer("f")
    os.kill(first, signal.SIGKILL)
    assert (await service.failure("f"))["errorMessage"].endswith("signal: killed")


async def test_a_zygote_that_dies_takes_its_children_along_and_is_replaced(serve):
    service = await serve(f=PIDS)
    running = asyncio.create_task(service.failure("f", "stay"))
    await service.until("log")
    child, zygote, grandchild = map(int, service.lines()[0].split())
    os.kill(zygote, signal.SIGKILL)
    assert (await running)["errorMessage"].endswith("signal: killed")
    assert await all_ended([child, grandchild])
    assert (await service.answer("f"))[1] != zygote


async def test_processes_started_by_a_handler_end_with_its_environment(serve):
    service = await serve(f=PIDS)
    await service.failure("f", "exit")
    _, _, child = map(int, service.lines()[0].split())
    assert await all_ended([child])


async def test_descriptors_are_given_back(serve):
    service = await serve(f="def handler(event, context): raise SystemExit(1)")
    before = open_descriptors()
    for _ in range(5):
        await service.invoke("f")
    async with asyncio.timeout(HANGS):
        while open_descriptors() > before:  # noqa: ASYNC110 - nothing to be told by
            await asyncio.sleep(0.01)


async def test_without_awss_runtime_our_own_client_runs_functions(serve, monkeypatch):
    """As on macOS, which AWS's runtime is not built for."""
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "runtime_client" else found(name))
    source = "import sys\ndef handler(event, context): return ['awslambdaric' in sys.modules, sys.argv]"
    service = await serve(f=source)
    assert await service.answer("f") == [False, ["bootstrap"]]


AFRESH = """
    import sys

    def handler(event, context):
        there = ["lib_fine" in sys.modules, "lib_catches" in sys.modules]
        import lib_catches
        return [*there, lib_catches.lib_mine is not None, sys.argv[0]]
"""


@pytest.mark.parametrize(("chain", "still_loads"), [(0, True), (9, False)])
async def test_a_zygote_that_loaded_what_it_must_not_begins_afresh(serve, tmp_path, chain, still_loads):
    """A long chain of modules that catch the refusal shows one link after the other: at last it loads none."""
    libraries = tmp_path / "libraries"
    libraries.mkdir()
    (libraries / "lib_fine.py").write_text("")
    names = ["lib_mine", "lib_catches", *(f"lib_{number}" for number in range(chain))]
    for name, below in zip(names[1:], names, strict=False):
        source = f"try:\n    import {below}\nexcept BaseException:\n    {below} = None"
        (libraries / f"{name}.py").write_text(source)
    plan = ZygotePlan(Libraries(["lib_fine", *names[1:]], [], ["lib_mine"]), {"PYTHONPATH": str(libraries)})
    service = await serve({"zygote": plan}, f=AFRESH)
    (service.folder / "f" / "lib_mine.py").write_text("")
    assert await service.answer("f") == [still_loads, False, True, "awslambdaric"]


@pytest.mark.parametrize(("age", "compiled"), [(0, False), (60, True)])
async def test_bytecode_is_kept_of_files_only_that_have_not_just_changed(serve, age, compiled):
    service = await serve(f=PIDS)
    source = service.folder / "f" / "f.py"
    now = time.time()
    os.utime(source, (now - age, now - age + (0 if age else 3600)))
    await service.answer("f")
    assert bool(list(source.parent.glob("__pycache__/f.*.pyc"))) is compiled
