"""Failures of handlers in JavaScript: at their start, in their code, and of their processes."""

import re

import pytest
from parley.template.model import Interpreter

from tests.support.node import WITHOUT_CALLBACKS, javascript

pytestmark = pytest.mark.full

THROWING = {
    "async": ("async () => { throw new TypeError('no'); }", "TypeError", "no"),
    "sync": ("() => { throw new RangeError('no'); }", "RangeError", "no"),
    "rejected": ("() => Promise.reject(new SyntaxError('no'))", "SyntaxError", "no"),
    "a text": ("async () => { throw 'no'; }", "string", "no"),
    "nothing": ("async () => { throw undefined; }", "string", "handled"),
    "an object": ("async () => { throw { a: 1 }; }", "object", "[object Object]"),
    "a named error": ("async () => { throw Object.assign(new Error('no'), { name: 'Mine' }); }", "Mine", "no"),
    "by callback": ("(event, context, callback) => callback(new Error('no'))", "Error", "no"),
    "by fail": ("(event, context) => context.fail('no')", "string", "no"),
    "unhandled": (
        "() => new Promise(() => { Promise.reject(new Error('no')); })",
        "Runtime.UnhandledPromiseRejection",
        "Error: no",
    ),
    "uncaught": ("() => new Promise(() => setTimeout(() => { throw new URIError('no'); }, 1))", "URIError", "no"),
    "never settled": (
        "async () => { await new Promise(() => {}); }",
        "Runtime.NodeJsExit",
        "Nothing is left to run, but the handler's promise was never settled.",
    ),
    "a circle": ("async () => { const a = {}; a.a = a; return a; }", "Error", "Unable to stringify response body"),
    "a big integer": ("async () => 1n", "Error", "Unable to stringify response body"),
}


@pytest.mark.parametrize(("handler", "kind", "message"), THROWING.values(), ids=THROWING)
async def test_an_error_of_a_handler_is_its_response_each_time(serve, handler, kind, message):
    service = await serve(javascript(), f=f"exports.handler = {handler};")
    for _ in range(2):
        failed = await service.failure("f")
        assert (failed["errorType"], failed["errorMessage"]) == (kind, message)


async def test_the_trace_of_an_error_is_in_the_response_and_in_the_log(serve):
    service = await serve(javascript(), f="exports.handler = async () => { throw new Error('no'); };")
    failed = await service.failure("f")
    assert failed["trace"][0] == "Error: no"
    assert re.search(r"f\.js:1:\d+", failed["trace"][1])
    [line] = service.lines()
    assert re.fullmatch(
        r'[-\dT:.]+Z\t[-0-9a-f]{36}\tERROR\tInvoke Error \t\{"errorType":"Error","errorMessage":"no".*', line
    )


STARTS = {
    "a syntax error": (".js", "exports.handler = async () => {", "Runtime.UserCodeSyntaxError", "SyntaxError"),
    "a missing module": (".js", "require('no-such');", "Runtime.ImportModuleError", "Cannot find module 'no-such'"),
    "a missing package": (".mjs", "import 'no-such';", "Error", "Cannot find package 'no-such'"),
    "no handler": (".js", "exports.other = 1;", "Runtime.HandlerNotFound", "f.handler is undefined or not exported"),
    "no function": (".js", "exports.handler = 1;", "Runtime.HandlerNotFound", "f.handler is not a function"),
    "an error": (".js", "throw new EvalError('no');", "EvalError", "no"),
    "an error of a module": (".mjs", "await Promise.reject(new EvalError('no'));", "EvalError", "no"),
    "an exit": (".js", "process.exit(3);", "Runtime.ExitError", "exit status 3"),
    "a stream": (
        ".js",
        "exports.handler = awslambda.streamifyResponse(async (event, stream) => stream.end());",
        "Runtime.StreamingNotEmulated",
        "takes whole responses only",
    ),
}


@pytest.mark.parametrize(("suffix", "source", "kind", "message"), STARTS.values(), ids=STARTS)
async def test_a_function_that_does_not_start_says_why_each_time_and_once_before_the_first_event(
    serve, suffix, source, kind, message
):
    service = await serve(javascript(suffix), f=source)
    await service.lambda_.warm()
    [note] = service.traced("note")
    assert note["text"].startswith("Function f does not start: ")
    assert kind in note["text"]
    for _ in range(2):
        failed = await service.failure("f")
        assert failed["errorType"] == kind
        assert message in failed["errorMessage"]


@pytest.mark.parametrize("handler", ["f", "../f.handler", ""])
async def test_a_name_that_is_none_of_a_handler_is_an_error(serve, handler):
    service = await serve(javascript(handler=handler), f="exports.handler = async () => 1;")
    assert (await service.failure("f"))["errorType"] == "Runtime.MalformedHandlerName"


async def test_es_modules_in_a_file_of_common_js_are_refused_as_on_aws(serve):
    service = await serve(javascript(), f="export const handler = async () => 1;")
    assert (await service.failure("f"))["errorType"] == "Runtime.UserCodeSyntaxError"


async def test_a_handler_that_exits_or_is_killed_has_no_response_and_the_next_event_gets_a_new_process(serve):
    source = """
        exports.handler = async (event) => {
          if (event === 'exit') process.exit(7);
          if (event === 'kill') process.kill(process.pid, 'SIGKILL');
          await new Promise((resolve) => setTimeout(resolve, event ? 1e8 : 0));
          return process.pid;
        };
    """
    service = await serve(javascript(), f=source)
    first = await service.answer("f")
    assert "exit status 7" in (await service.failure("f", "exit"))["errorMessage"]
    assert "signal: killed" in (await service.failure("f", "kill"))["errorMessage"]
    assert await service.answer("f") != first


async def test_a_handler_that_hangs_is_killed_even_in_a_loop_without_end(serve):
    # It blocks the one thread of JavaScript, as a loop does that computes, but takes no CPU.
    source = """
        const never = new Int32Array(new SharedArrayBuffer(4));
        exports.handler = async (event) => { while (event) Atomics.wait(never, 0, 0); return 'ok'; };
    """
    service = await serve(javascript(timeout=5.0), f=source)
    assert (await service.failure("f", 1))["errorType"] == "Sandbox.Timedout"
    assert await service.answer("f", None) == "ok"


async def test_a_process_that_a_handler_leaves_behind_ends_with_it(serve):
    source = """
        const { spawn } = require('node:child_process');
        exports.handler = async (event) => {
          if (event) process.exit(0);
          return spawn('sleep', ['1000'], { stdio: 'inherit' }).pid;
        };
    """
    service = await serve(javascript(), f=source)
    pid = await service.answer("f", None)
    await service.failure("f", 1)
    await service.until_process_ends(pid)


async def test_a_handler_that_prints_without_end_is_read_and_ended(serve):
    # It waits for each write. One that does not keeps them all in its memory: on a fast machine that is used up first.
    source = """
        const line = 'x'.repeat(2 ** 16);
        exports.handler = async () => { for (;;) await new Promise((resolve) => process.stdout.write(line, resolve)); };
    """
    service = await serve(javascript(timeout=2.0), f=source)
    assert (await service.failure("f"))["errorType"] == "Sandbox.Timedout"


async def test_a_response_that_is_too_large_is_refused(serve):
    source = "exports.handler = async (size) => 'x'.repeat(size);"
    service = await serve(javascript(), f=source)
    assert (await service.failure("f", 7 * 2**20))["errorType"] == "Function.ResponseSizeTooLarge"
    assert await service.answer("f", 3) == "xxx"


async def test_more_memory_than_the_function_has_ends_it(serve):
    source = """
        exports.handler = async () => {
          const kept = [];
          for (;;) { kept.push(Buffer.alloc(2 ** 22, 1)); await new Promise((resolve) => setTimeout(resolve, 5)); }
        };
    """
    service = await serve(javascript(memory=256, timeout=60.0), f=source)
    assert "signal: killed" in (await service.failure("f"))["errorMessage"]


async def test_inline_a_handler_in_javascript_does_not_run_and_says_so(serve):
    service = await serve(javascript(mode="inline"), f="exports.handler = async () => 1;")
    assert "runs as a process only" in (await service.failure("f"))["errorMessage"]


async def test_from_nodejs24_on_what_is_thrown_is_the_response_too(serve):
    service = await serve(
        javascript(runtime=WITHOUT_CALLBACKS), f="exports.handler = () => { throw new Error('no'); };"
    )
    assert (await service.failure("f"))["errorMessage"] == "no"


async def test_without_node_each_event_fails_and_the_start_is_not_told_for_each_function(serve):
    """The template's notes have told it, once for all functions."""
    options = {"suffix": ".js", "runtime": "nodejs22.x", "interpreter": Interpreter()}
    service = await serve(options, f="exports.handler = async () => 1;")
    await service.lambda_.warm()
    assert service.traced("note") == []
    failed = await service.failure("f")
    assert failed["errorType"] == "Runtime.LaunchError"
    assert "no Node of version 20 or later" in failed["errorMessage"]
