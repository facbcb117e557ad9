"""`parley exec`: a command beside a fresh emulator, and its exit code."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import noting_project
from tests.support.devices import PARLEY
from tests.support.process_tree import children, command, state
from tests.support.waiting import until

TELL = """
import json, os, sys, urllib.request
told = {name: value for name, value in os.environ.items() if name.startswith(("PARLEY_", "AWS_"))}
reset = urllib.request.Request(os.environ["PARLEY_URL"] + "/_parley/reset", b"", method="POST")
told["reset"] = urllib.request.urlopen(reset).status
told["argument"] = os.fsencode(sys.argv[1]).hex()
json.dump(told, open("told.json", "w"))
"""
WAIT = """
import os, pathlib, signal, time
{how}
pathlib.Path("began").write_text(f"{{os.getppid()}} {{os.environ['PARLEY_URL'].rpartition(':')[2]}}.")
time.sleep(600)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    noting_project.make(folder)
    return folder


def variables(**more):
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("PARLEY_", "AWS_"))}
    return {**plain, "NO_PROXY": "127.0.0.1", **more}


def execute(folder, *arguments, **more):
    """Return the exit code, and what was printed as errors."""
    done = subprocess.run(
        [PARLEY, "exec", *arguments], cwd=folder, env=variables(**more), capture_output=True, text=True
    )
    return done.returncode, done.stderr


def python(text):
    return ("--template", "template.yaml", "--", sys.executable, "-c", text)


def test_the_command_finds_the_emulator_and_nothing_of_an_account(folder):
    own = {"AWS_PROFILE": "work", "AWS_ACCESS_KEY_ID": "AKIA0", "AWS_SESSION_TOKEN": "token", "AWS_REGION": "eu-west-1"}
    assert execute(folder, *python(TELL), b"\xff", **own) == (0, "")
    told = json.loads((folder / "told.json").read_text())
    url = told["PARLEY_URL"]
    assert told["PARLEY_WEBSOCKET_URL"] == url.replace("http", "ws") + "/live"
    assert told["AWS_ENDPOINT_URL_SQS"] == f"{url}/_parley/aws/sqs"
    assert told["AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI"] == f"{url}/live"
    assert (told["AWS_ACCESS_KEY_ID"], told["AWS_REGION"]) == ("emulator", "us-east-1")
    assert {"AWS_PROFILE", "AWS_SESSION_TOKEN"}.isdisjoint(told)
    assert (told["reset"], told["argument"]) == (200, "ff")


def test_the_code_of_a_command_that_fails_is_passed_on_with_the_emulators_last_lines(folder):
    code, said = execute(folder, *python("import sys; sys.exit(3)"))
    assert code == 3
    assert "The command ended with 3" in said
    assert "Parley is up on" in said


def test_a_command_that_a_signal_ends_has_the_code_of_a_shell(folder):
    assert execute(folder, *python("import os; os.kill(os.getpid(), 9)"))[0] == 128 + 9


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--template", "template.yaml", "--", "no-such-command"), 127, "There is no command no-such-command."),
        (("--template", "template.yaml", "--", "./app.py"), 126, "./app.py cannot be run: Permission denied."),
        (("--template", "nothing.yaml", "--", "true"), 125, "The emulator did not start: parley: "),
        (("--no-such-option", "--", "true"), 2, "No such option"),
        (("--log", "no/such/folder/log", "--", "true"), 2, "cannot be written"),
        (("--template", "template.yaml"), 2, "Name a command"),
        (("--",), 2, "Name a command"),
        ((), 2, "Name a command"),
    ],
)
def test_what_cannot_be_run_has_a_code_of_its_own(folder, arguments, code, said):
    found, printed = execute(folder, *arguments)
    assert (found, said in printed) == (code, True), printed


def test_a_command_needs_no_mark_if_there_are_no_options(folder):
    assert execute(folder, "true", PARLEY_TEMPLATE="template.yaml") == (0, "")


def test_what_the_emulator_prints_can_be_kept(folder):
    template = ("--template", "template.yaml", "--verbose", "--log", "log.txt")
    assert execute(folder, *template, "--", "true") == (0, "")
    assert "Parley is up on" in (folder / "log.txt").read_text()


def test_a_log_on_a_full_disk_ends_and_nothing_else(folder):
    code, said = execute(folder, "--template", "template.yaml", "--log", "/dev/full", "--", "true")
    assert (code, "The log ends here" in said, said.count("\n")) == (0, True, 1), said


def start(folder, how="", errors=subprocess.DEVNULL):
    """Start a command that waits. Return `parley exec`, and the port of its emulator."""
    (folder / "began").unlink(missing_ok=True)
    running = subprocess.Popen(
        [PARLEY, "exec", *python(WAIT.format(how=how))],
        cwd=folder,
        env=variables(),
        stderr=errors,
        text=True,
        start_new_session=True,
    )
    file = folder / "began"
    until(lambda: running.poll() is not None or (file.exists() and file.read_text().endswith(".")))
    _, port = file.read_text()[:-1].split()
    return running, int(port)


def listens(port):
    """Tell whether somebody listens on a port of 127.0.0.1, without connecting to it."""
    sockets = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return any(line.split()[1] == f"0100007F:{port:04X}" and line.split()[3] == "0A" for line in sockets)


@pytest.mark.parametrize(
    ("number", "how", "code"),
    [
        (signal.SIGTERM, "", 128 + signal.SIGTERM),
        (signal.SIGHUP, "", 128 + signal.SIGHUP),
        (signal.SIGTERM, "signal.signal(signal.SIGTERM, lambda *_: os._exit(7))", 7),
    ],
)
def test_a_signal_is_the_commands(folder, number, how, code):
    running, port = start(folder, how)
    running.send_signal(number)
    assert running.wait() == code
    assert not listens(port)


def test_the_command_decides_what_ctrl_c_does(folder):
    running, port = start(folder, "signal.signal(signal.SIGINT, lambda *_: os._exit(9))")
    os.killpg(running.pid, signal.SIGINT)
    assert running.wait() == 9
    assert not listens(port)


def test_the_end_of_the_emulator_is_told_and_the_code_is_the_commands(folder):
    running, port = start(folder, "signal.signal(signal.SIGTERM, lambda *_: os._exit(0))", subprocess.PIPE)
    [emulator] = [each for each in children(running.pid) if "--test-api" in command(each)]
    os.kill(emulator, signal.SIGKILL)
    # Its parent learns of the end when the last thread has ended, too.
    until(lambda: state(emulator) == "Z" and len(list(Path(f"/proc/{emulator}/task").iterdir())) == 1)
    running.terminate()
    assert running.communicate()[1] == "parley: The emulator has ended before the command.\n"
    assert running.returncode == 0
    assert not listens(port)


def test_no_emulator_outlives_it(folder):
    running, port = start(folder)
    running.kill()
    running.wait()
    until(lambda: not listens(port))
    os.killpg(running.pid, signal.SIGKILL)
