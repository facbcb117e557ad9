"""The fixture `parley`, in projects that use it."""

import os
import signal
import subprocess

import pytest

from tests.support import documentation
from tests.support.inner_pytest import InnerPytest
from tests.support.process_tree import state
from tests.support.waiting import until


@pytest.fixture
def project(tmp_path):
    return InnerPytest(tmp_path)


def test_each_test_finds_the_same_emulator_as_at_its_start(project):
    project.write(
        "test_app.py",
        """
        import json
        import pytest
        from parley.testing import FunctionFailed

        pids = set()

        @pytest.mark.parametrize("number", range(3))
        def test_a_conversation(parley, number):
            pids.add(parley.process.pid)
            assert len(pids) == 1
            assert parley.client("dynamodb").scan(TableName="rows")["Items"] == []
            client = parley.connect()
            client.send({"action": "greet"})
            assert json.loads(client.receive_json()["said"]) == {"action": "greet"}
            assert parley.wait_for("open")["connection_id"] == client.connection_id
            assert len(parley.events("open")) == 1

        def test_a_fault(parley):
            client = parley.connect()
            with parley.fault("post", "410", client.connection_id) as fault:
                client.send("hello")
                parley.wait_for("route", error="Unhandled")
                assert fault.hits == 1
            assert fault.hits == 1
            assert client.receive_json()["message"] == "Internal server error"
            client.send("hello again")
            assert client.receive_json()["said"] == "hello again"

        def test_two_hours(parley):
            client = parley.connect()
            before = parley.now()
            parley.advance(600)
            assert parley.now() >= before + 600
            assert client.closed() == 1001

        def test_a_function(parley):
            assert parley.invoke("Worker") is None
            with pytest.raises(FunctionFailed, match="as asked"):
                parley.invoke("Failing")

        def test_what_does_not_come(parley):
            parley.invoke("Worker")
            with pytest.raises(TimeoutError, match="No event dead_letter function='Worker' within 0 s.*call"):
                parley.wait_for("dead_letter", timeout=0, function="Worker")
        """,
    )
    code, printed = project.run()
    assert (code, "7 passed" in printed) == (0, True), printed


def test_the_template_is_the_markers_else_the_options_else_the_settings(project):
    for name in ("set", "given", "marked"):
        text = (project.folder / "template.yaml").read_text().replace("StageName: live", f"StageName: {name}")
        project.write(f"{name}/template.yaml", text)
        project.write(f"{name}/app.py", (project.folder / "app.py").read_text())
    project.write("pytest.ini", "[pytest]\nparley_template = set/template.yaml\nparley_options = --iam off\n")
    project.write(
        "marked/test_app.py",
        """
        import os
        import pytest

        def test_unmarked(parley):
            assert list(parley.websocket_urls) == [f"/{os.environ['STAGE']}", "/ws/chat"]

        @pytest.mark.parley(template="template.yaml", options=["--users", "carol"], cold=True)
        def test_marked(parley):
            assert list(parley.websocket_urls) == ["/marked", "/ws/chat"]
        """,
    )
    for stage, arguments in (("set", ()), ("given", ("--parley-template", "given/template.yaml"))):
        project.write("conftest.py", f"import os\nos.environ['STAGE'] = {stage!r}\n")
        code, printed = project.run(*arguments)
        assert (code, "2 passed" in printed) == (0, True), printed


def test_a_marker_with_something_else_is_refused(project):
    project.write(
        "test_app.py",
        """
        import pytest

        @pytest.mark.parley("template.yaml")
        def test_it(parley): ...

        @pytest.mark.parley(port=8000)
        def test_this(parley): ...
        """,
    )
    code, printed = project.run()
    assert (code, printed.count("takes template=, options= and cold=")) == (1, 2), printed


def test_a_failed_test_shows_what_the_emulator_printed_meanwhile(project):
    project.write(
        "test_app.py",
        """
        def test_before(parley):
            parley.invoke("Worker")

        def test_it(parley):
            parley.client("lambda").invoke(FunctionName="Failing", Payload=b"{}")
            assert False
        """,
    )
    code, printed = project.run()
    assert code == 1
    shown = printed.partition("Captured parley log")[2]
    assert "Failing" in shown, printed
    assert "Worker" not in shown


def test_an_emulator_that_does_not_start_is_one_message_for_each_test(project):
    project.write("template.yaml", "Resources: [")
    project.write("test_app.py", "def test_one(parley): ...\ndef test_two(parley): ...\n")
    code, printed = project.run()
    assert (code, "2 errors" in printed) == (1, True), printed
    assert "The emulator did not start: parley: " in printed
    assert "Traceback" not in printed


def test_after_an_emulator_that_has_died_there_is_another(project):
    project.write(
        "test_app.py",
        """
        import os, signal

        def test_one(parley):
            os.kill(parley.process.pid, signal.SIGKILL)
            parley.process._process.wait()

        def test_two(parley):
            parley.connect()
        """,
    )
    code, printed = project.run()
    assert (code, "2 passed" in printed) == (0, True), printed


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_no_emulator_outlives_its_session(project, how):
    project.write(
        "test_app.py",
        """
        import time
        from pathlib import Path

        def test_it(parley):
            Path("pid").write_text(f"{parley.process.pid}.")
            time.sleep(600)
        """,
    )
    running = subprocess.Popen(project.command(), cwd=project.folder, env=project.variables, stdout=subprocess.DEVNULL)
    file = project.folder / "pid"
    until(lambda: running.poll() is not None or (file.exists() and file.read_text().endswith(".")))
    pid = int(file.read_text()[:-1])
    os.kill(running.pid, how)
    running.wait()
    until(lambda: state(pid) in ("", "Z"))


def test_the_example_of_the_documentation_passes(project):
    documentation.write_blocks("docs/emulator/tests.md", "python", project.folder)
    code, printed = project.run()
    assert (code, "passed" in printed) == (0, True), printed
