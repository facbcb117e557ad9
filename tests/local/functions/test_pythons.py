"""Functions in other Pythons than the emulator's, by our own client: they see what they see with AWS's client."""

import json
import re
from dataclasses import replace

import pytest
from parley.functions.processes import names

from tests.support.pythons import by_our_client, isolated, python
from tests.support.served import serving

pytestmark = pytest.mark.full

VERSIONS = [(3, minor) for minor in range(9, 15)]
SURROUNDINGS = """
    import json, os, sys
    def handler(event, context):
        return {
            "version": list(sys.version_info[:2]),
            "where": os.getcwd() == os.environ["LAMBDA_TASK_ROOT"] == sys.path[0],
            "context": [context.function_name, context.memory_limit_in_mb, context.function_version, event],
            "left": 0 < context.get_remaining_time_in_millis() <= 10_000,
            "zone": __import__("time").tzname[0],
        }
"""


@pytest.mark.parametrize("version", VERSIONS, ids=str)
async def test_a_function_runs_in_the_python_of_its_version(serve, version):
    service = await serve({"interpreter": python(version)}, f=SURROUNDINGS)
    assert [await service.answer("f", event) for event in (1, "ä")] == [
        {
            "version": list(version),
            "where": True,
            "context": ["f", "128", "$LATEST", event],
            "left": True,
            "zone": "UTC",
        }
        for event in (1, "ä")
    ]


SOURCES = {
    "an error": "def handler(event, context):\n    raise ValueError('no')",
    "an error of one's own": "class Mine(Exception): pass\ndef handler(event, context): raise Mine({'a': 1})",
    "an error in a function that is called": "def f(): return 1 / 0\ndef handler(event, context): return f()",
    "an exit": "import sys\ndef handler(event, context): sys.exit(3)",
    "what JSON does not have": "def handler(event, context): return {1, 2}",
    "a decimal": "from decimal import Decimal\ndef handler(event, context): return [Decimal('1'), Decimal('1.5')]",
    "nothing": "def handler(event, context): pass",
    "letters": "def handler(event, context): return 'ä€😀'",
    "a missing module": "import no_such_module\ndef handler(event, context): pass",
    "a syntax error": "def handler(event, context) return 1",
    "no handler": "x = 1",
    "an error of the module": "raise KeyError('no')",
    "an exit of the module": "import sys\nsys.exit(4)",
}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
async def test_a_response_is_the_one_of_awss_client(serve, source):
    service = await serve({"interpreter_of": {"ours": by_our_client()}, "handler": "f.handler"}, theirs="", ours="")
    for name in ("theirs", "ours"):
        (service.folder / name / "f.py").write_text(source)
    theirs, ours = [(await service.invoke(name)) for name in ("theirs", "ours")]
    assert ours.function_error == theirs.function_error
    assert comparable(ours) == comparable(theirs)


def comparable(outcome):
    """Return a response without ids, and without the frames of AWS's client itself."""
    found = json.loads(outcome.payload)
    if outcome.function_error:
        found.pop("requestId", None)
        text = re.sub(r"[0-9a-f-]{36}", "ID", found["errorMessage"])
        found["errorMessage"] = re.sub(r"\((?:ours|theirs|f)\.py", "(f.py", text)
        found["stackTrace"] = [re.sub(r"File \".*/", "", frame).strip() for frame in found.get("stackTrace", [])]
    return found


LOGGING = """
    import logging
    log = logging.getLogger("mine")
    def handler(event, context):
        print("printed", end="")
        print(" in parts")
        log.info("quiet")
        log.warning("two %s", "words")
        try:
            raise TypeError("no")
        except TypeError:
            log.exception("caught")
"""


@pytest.mark.parametrize("log_format", ["Text", "JSON"])
async def test_the_log_is_the_one_of_awss_client(serve, log_format):
    options = {"interpreter_of": {"ours": by_our_client()}, "log_format": log_format, "log_level": "INFO"}
    service = await serve(options, theirs=LOGGING, ours=LOGGING)
    lines = {}
    for name in ("theirs", "ours"):
        await service.answer(name)
        lines[name] = [fields["line"] for fields in service.traced("log") if fields["function"] == name]
    assert [plain(line) for line in lines["ours"]] == [plain(line) for line in lines["theirs"]]


def plain(line):
    """Return a line of the log without what differs from call to call."""
    line = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", line)
    line = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "ID", line)
    line = re.sub(r"\b(ours|theirs)\b", "F", line)
    return sorted(json.loads(line).items()) if line.startswith("{") else line


@pytest.mark.parametrize("interpreter", [isolated, lambda: python((3, 12))], ids=["forked", "another"])
async def test_what_is_installed_beside_the_emulator_is_not_there_but_what_lambda_brings_is(serve, interpreter):
    source = "import {}\ndef handler(event, context): return True"
    service = await serve(
        {"interpreter": interpreter()}, sdk=source.format("boto3, botocore, urllib3"), other=source.format("rich")
    )
    assert await service.answer("sdk") is True
    failed = await service.failure("other")
    assert failed["errorType"] == "Runtime.ImportModuleError"
    assert failed["errorMessage"] == "Unable to import module 'other': No module named 'rich'"


async def test_of_the_emulator_itself_nothing_can_be_imported_in_another_python(serve):
    service = await serve({"interpreter": python((3, 12))}, f="import parley\ndef handler(event, context): pass")
    assert "No module named 'parley'" in (await service.failure("f"))["errorMessage"]


async def test_in_its_own_python_a_function_is_forked_unless_a_variable_counts_at_the_start(serve):
    source = "import sys\ndef handler(event, context): return sys.argv[0]"
    variables = {"one": {"PYTHONHASHSEED": "7"}, "two": {"ANY": "7"}}
    service = await serve({"interpreter": isolated(), "environments_of": variables}, one=source, two=source)
    assert [await service.answer(name) for name in ("one", "two")] == ["bootstrap", "awslambdaric"]


@pytest.mark.parametrize("interpreter", [isolated, by_our_client, lambda: python((3, 9))])
async def test_layers_and_what_a_list_names_are_found_in_this_order(serve, tmp_path, interpreter):
    for folder, modules in {"layer/python": ["one", "two"], "installed": ["two"]}.items():
        for module in modules:
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
            (tmp_path / folder / f"{module}.py").write_text(f"where = {folder!r}")
    found = replace(interpreter(), installed=str(tmp_path / "installed"))
    source = "import one, two\ndef handler(event, context): return [one.where, two.where]"
    service = await serve({"interpreter": found, "layers": (tmp_path / "layer",)}, f=source)
    assert await service.answer("f") == ["layer/python", "installed"]


async def test_the_hosts_of_the_templates_apis_lead_to_the_emulator(serve):
    async def echo(scope, receive, send):
        body = dict(scope["headers"])[b"host"]
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    source = """
        import urllib.request
        def handler(event, context): return urllib.request.urlopen(event).read().decode()
    """
    with serving(echo) as server:
        variables = {names.VARIABLE: names.description(["abcdefghij"], "127.0.0.1", server.port)}
        service = await serve({"interpreter": python((3, 12)), "environment": variables}, f=source)
        host = "abcdefghij.execute-api.eu-west-1.amazonaws.com"
        assert await service.answer("f", f"http://{host}/prod") == host


async def test_a_function_that_hangs_is_killed(serve):
    source = "import time\ndef handler(event, context):\n    while event: time.sleep(60)\n    return 1"
    service = await serve({"interpreter": by_our_client(), "timeout": 5.0}, f=source)
    assert (await service.failure("f", 1))["errorType"] == "Sandbox.Timedout"
    assert await service.answer("f", 0) == 1
