"""Starting and stopping the emulator, and its message when it cannot start."""

import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import urllib.request
from pathlib import Path

import pytest

from tests.support import contract
from tests.support.devices import PARLEY, ROOT, SECRET, Device, Emulator, free_port
from tests.support.process_tree import command, descendants
from tests.support.waiting import HANGS, until

AN_HOUR = "/long 18000"
"""A message whose reply takes an hour at five tokens a second."""


def start(*arguments, cwd=ROOT, **variables):
    kept = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
    # A developer's own emulator may have the port that is used by default.
    environment = kept | {"PARLEY_NO_DATA": "1", "PORT": str(free_port())} | variables
    return subprocess.run(
        [PARLEY, "up", *arguments], cwd=cwd, env=environment, capture_output=True, text=True, timeout=HANGS, check=False
    )


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_its_end_is_the_end_of_every_child(how):
    emulator = Emulator(PARLEY_TOKENS_PER_SECOND="5", MAX_COMPLETION_TOKENS="1000000")
    alice = Device(emulator.websocket_url)
    alice.join("alice")
    alice.create_chat()
    alice.send("message", message=AN_HOUR)
    alice.receive("user_message")
    alice.receive("assistant_message_start")
    children = descendants(emulator.process.pid)
    assert len(children) >= 4
    emulator.stop(how)
    until(lambda: not any(Path(f"/proc/{child}").exists() for child in children))
    if how is signal.SIGINT:
        assert emulator.process.returncode == 0
        assert not any("Traceback" in line for line in emulator.output)


def test_functions_can_run_inline():
    emulator = Emulator(PARLEY_FUNCTIONS="inline")
    try:
        alice = Device(emulator.websocket_url)
        alice.join("alice")
        alice.create_chat()
        assert alice.ask("Привет")[-1]["data"]["finishReason"] == "stop"
        with urllib.request.urlopen(f"{emulator.url}/health", timeout=HANGS) as response:
            assert response.status == 200
        commands = map(command, descendants(emulator.process.pid))
        assert [each for each in commands if "dynoxide" not in each] == []
    finally:
        emulator.stop()


def test_port_0_is_a_free_one_for_everything_that_is_told_its_number():
    emulator = Emulator(PORT="0")
    try:
        [port] = [line.split()[4].rpartition(":")[2] for line in emulator.output if line.startswith("Parley is up on")]
        alice = Device(f"ws://127.0.0.1:{port}/ws/chat")
        alice.join("alice")
        alice.create_chat()
        assert alice.ask("Привет")[-1]["data"]["finishReason"] == "stop"
        until(lambda: any(f"chat --user alice --port {port}\n" in line for line in emulator.output))
    finally:
        emulator.stop()


@pytest.mark.parametrize("functions", ["process", "inline"])
def test_behind_a_proxy_it_reaches_itself(functions):
    """Nothing listens at the proxy: whatever is sent to it fails."""
    proxy = dict.fromkeys(("http_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9")
    emulator = Emulator(PARLEY_FUNCTIONS=functions, **proxy)
    try:
        alice = Device(emulator.websocket_url)
        alice.join("alice")
        alice.create_chat()
        assert alice.ask("Привет")[-1]["data"]["finishReason"] == "stop"
        port = emulator.url.rpartition(":")[2]
        environment = {"PATH": os.environ["PATH"], "PORT": port, "JWT_SECRET": SECRET, **proxy}
        for command, heard in ((["users", "list"], "alice"), (["chat"], "2 + 2")):
            done = subprocess.run(
                [PARLEY, *command],
                cwd=ROOT,
                env=environment,
                input="2 + 2\n",
                capture_output=True,
                text=True,
                timeout=HANGS,
            )
            assert done.returncode == 0, done.stderr
            assert heard in done.stdout
    finally:
        emulator.stop()


def test_a_log_cannot_be_quiet_and_verbose():
    refused = start("--quiet", PARLEY_VERBOSE="1")
    assert refused.returncode == 2
    assert "PARLEY_QUIET" in refused.stderr


def parley(*command, **variables):
    """Run a command without any configuration. Return what it printed."""
    environment = {"PATH": os.environ["PATH"]} | variables
    typed = {"input": "2 + 2\n", "capture_output": True, "text": True, "timeout": HANGS}
    done = subprocess.run([PARLEY, *command], cwd=ROOT, env=environment, **typed)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_without_configuration_the_commands_of_a_user_sign_as_the_users_emulator_expects(tmp_path):
    mine, others = {"HOME": str(tmp_path / "mine")}, {"HOME": str(tmp_path / "others")}
    emulator = Emulator(JWT_SECRET="", **mine)
    try:
        assert "2 + 2" in parley("chat", "--port", str(emulator.port), **mine)
        until(lambda: any(line.startswith("  Token ") for line in emulator.output))
        [greeted] = [line.split()[1] for line in emulator.output if line.startswith("  Token ")]
        tokens = (greeted, parley("token", "alice", **mine).strip(), parley("token", "alice", **others).strip())
        assert [emulator.status_of_me(token) for token in tokens] == [200, 200, 401]
    finally:
        emulator.stop()
    assert stat.S_IMODE((tmp_path / "mine" / ".cache" / "parley" / "secret").stat().st_mode) == 0o600


def test_the_template_decides_what_runs(tmp_path):
    """Another handler's path in the template is another function that runs."""
    shutil.copytree(ROOT / "handlers", tmp_path / "handlers")
    (tmp_path / "infra").mkdir()
    (tmp_path / "handlers" / "shout.py").write_text(
        "import json\n"
        "import boto3\n"
        "gateway = boto3.client('apigatewaymanagementapi')\n"
        "def handler(event, context):\n"
        "    frame = json.dumps({'type': 'shout', 'data': event['body'].upper()})\n"
        "    gateway.post_to_connection(\n"
        "        ConnectionId=event['requestContext']['connectionId'], Data=frame.encode())\n"
        "    return {'statusCode': 200}\n"
    )
    template = (ROOT / "infra" / "template.yaml").read_text()
    changed = template.replace("handlers.default.handler", "handlers.shout.handler")
    assert changed != template
    (tmp_path / "infra" / "template.yaml").write_text(changed)
    emulator = Emulator(PARLEY_TEMPLATE=str(tmp_path / "infra" / "template.yaml"))
    try:
        device = Device(emulator.websocket_url)
        shouted = contract.own({"type": "shout", "data": "HELLO"})
        device.socket.send("hello")
        assert device.receive("shout") == shouted
    finally:
        emulator.stop()


class TestLog:
    def test_one_line_for_each_event_and_no_secret(self, emulator, device):
        alice = device()
        connection_id = alice.connection_id()
        alice.join("alice")
        alice.create_chat()
        alice.ask("Синхрофазотрон")
        alice.socket.close()
        until(lambda: any(connection_id in line and "close" in line for line in emulator.output))
        lines = [line for line in emulator.output if connection_id in line]
        assert any("$connect → ConnectFunction" in line and "ms" in line for line in lines)
        assert any("$default → DefaultFunction" in line for line in lines)
        printed = "".join(emulator.output)
        assert "Синхрофазотрон" not in printed
        assert "\\u0421\\u0438\\u043d" not in printed
        assert len(re.findall(r"eyJ[\w-]+\.eyJ", printed)) == 1, "the token of the greeting, and no other"


class TestCannotStart:
    def refused(self, result, *parts):
        assert result.returncode == 1
        assert result.stderr.startswith("parley: ")
        assert "Traceback" not in result.stdout + result.stderr
        for part in parts:
            assert part in result.stderr

    def test_a_port_in_use(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = str(taken.getsockname()[1])
            self.refused(start("--port", port), port, "--port")

    def test_a_template_that_is_not_there(self, tmp_path):
        self.refused(start("--template", str(tmp_path / "none.yaml")), "none.yaml")

    def test_a_template_that_is_no_yaml(self, tmp_path):
        (tmp_path / "t.yaml").write_text("Resources:\n  A: [1, 2\n")
        self.refused(start("--template", str(tmp_path / "t.yaml")), "t.yaml", "line")

    def test_no_database_at_the_url(self):
        url = f"http://127.0.0.1:{free_port()}"
        self.refused(start("--port", str(free_port()), "--dynamodb", url), url)


def test_a_handler_that_does_not_import_is_told_and_keeps_nothing_else_from_running(tmp_path):
    shutil.copytree(ROOT / "handlers", tmp_path / "handlers")
    shutil.copytree(ROOT / "infra", tmp_path / "infra")
    (tmp_path / "handlers" / "default.py").write_text("import no_such_module\n")
    emulator = Emulator(PARLEY_TEMPLATE=str(tmp_path / "infra" / "template.yaml"))
    try:
        until(lambda: any("Function DefaultFunction does not start" in line for line in emulator.output))
        assert any("handlers.default" in line and "no_such_module" in line for line in emulator.output)
        client = Device(emulator.websocket_url)
        assert client.connection_id()
        client.send("ping")
        assert json.loads(client.socket.recv(HANGS))["message"] == "Internal server error"
    finally:
        emulator.stop()
