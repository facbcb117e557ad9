"""The fault plan: read at the start, changed while the emulator runs."""

import json
import os
import subprocess
import urllib.request

import pytest

from tests.support.devices import PARLEY, ROOT, Emulator, free_port
from tests.support.faulty_emulator import HANDLERS, TEMPLATE
from tests.support.plain_client import PlainClient
from tests.support.waiting import HANGS


class TestPlan:
    def test_it_is_read_at_the_start_and_spares_the_emulators_own_calls(self, running):
        assert [(fault["do"], fault["hits"]) for fault in running.plan_at_start["faults"]] == [("500", 0)]

    def test_it_is_replaced_added_to_and_read_while_the_emulator_runs(self, emulator):
        emulator.plan({"point": "store", "do": "500"})
        status, answer = emulator.request("POST", "/_parley/faults", {"faults": [{"point": "post", "do": "410"}]})
        assert (status, [fault["point"] for fault in answer["faults"]]) == (200, ["store", "post"])
        emulator.plan({"point": "run", "do": "kill"})
        assert [fault["point"] for fault in emulator.request("GET", "/_parley/faults")[1]["faults"]] == ["run"]

    @pytest.mark.parametrize("method", ["PUT", "POST"])
    @pytest.mark.parametrize(
        ("plan", "said"),
        [
            ({"faults": [{"point": "moon", "do": "500"}]}, "no point 'moon'"),
            ({"faults": [{"point": ["post"], "do": "500"}]}, "no point ['post']"),
            ({"faults": [{"point": "run", "do": "410"}]}, "cannot be done at run"),
            ({"faults": [{"point": "post", "do": "delay", "seconds": float("inf")}]}, "seconds"),
            ({"faults": [{"point": "post", "do": "500", "after": "yes"}]}, "after"),
        ],
    )
    def test_a_bad_one_is_refused_and_changes_nothing(self, emulator, method, plan, said):
        emulator.plan({"point": "post", "do": "410"})
        status, answer = emulator.request(method, "/_parley/faults", plan)
        assert (status, said in answer["message"]) == (400, True)
        assert emulator.hits() == [0]

    def test_other_methods_are_refused(self, emulator):
        assert emulator.request("DELETE", "/_parley/faults")[0] == 405

    @pytest.mark.parametrize(
        ("plan", "variables", "said"),
        [
            ("{", {}, "not JSON"),
            (None, {}, "No such file"),
            ("{}", {"PARLEY_DYNAMODB": "http://127.0.0.1:1", "AWS_ACCESS_KEY_ID": "AKIA0"}, "AWS_ACCESS_KEY_ID"),
        ],
    )
    def test_a_plan_that_cannot_be_used_ends_the_start_with_one_message(self, tmp_path, plan, variables, said):
        file = tmp_path / "faults.json"
        if plan is not None:
            file.write_text(plan)
        kept = {"PATH": os.environ["PATH"], "PORT": str(free_port()), "PARLEY_NO_DATA": "1"}
        environment = kept | {"PARLEY_FAULTS": str(file)} | variables
        ended = subprocess.run(
            [PARLEY, "up"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=HANGS, check=False
        )
        assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
        assert said in ended.stderr

    def test_without_one_it_is_empty_and_can_be_filled(self, tmp_path):
        (tmp_path / "template.yaml").write_text(TEMPLATE)
        (tmp_path / "app.py").write_text(HANDLERS)
        plain = Emulator(PARLEY_TEMPLATE=str(tmp_path / "template.yaml"), PARLEY_USERS="")
        try:
            with urllib.request.urlopen(f"{plain.url}/_parley/faults", timeout=HANGS) as found:
                assert json.load(found) == {"seed": 0, "faults": []}
            plan = json.dumps({"faults": [{"point": "message", "do": "drop"}]}).encode()
            urllib.request.urlopen(f"{plain.url}/_parley/faults", plan, timeout=HANGS).close()
            client = PlainClient(plain, "/live")
            client.socket.send("{}")
            with urllib.request.urlopen(f"{plain.url}/_parley/trace?kind=fault&wait=20", timeout=HANGS) as found:
                assert [each["do"] for each in json.load(found)] == ["drop"]
            client.socket.close()
        finally:
            plain.stop()
