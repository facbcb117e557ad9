"""Handlers in JavaScript: the forms that they have, what they see, and what they return."""

import json

import pytest

from tests.support.node import WITH_CALLBACKS, WITHOUT_CALLBACKS, javascript

pytestmark = pytest.mark.full

COMMON = "exports.handler = {};"
FORMS = {
    "async": "async (event) => [event]",
    "promise": "(event) => new Promise((resolve) => setTimeout(resolve, 1, [event]))",
    "thenable": "(event) => ({ then: (resolve) => resolve([event]) })",
}
CALLBACKS = {
    "callback": "(event, context, callback) => callback(null, [event])",
    "a late callback": "(event, context, callback) => { setTimeout(callback, 5, null, [event]); }",
    "succeed": "(event, context) => context.succeed([event])",
    "done": "(event, context) => { context.done(null, [event]); }",
    "two callbacks": "(event, context, callback) => { callback(null, [event]); callback(null, 2); }",
    "undefined as the error": "(event, context, callback) => { callback(undefined, [event]); }",
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("runtime", [WITH_CALLBACKS, WITHOUT_CALLBACKS])
async def test_a_promise_is_the_response(serve, form, runtime):
    service = await serve(javascript(runtime=runtime), f=COMMON.format(form))
    assert [await service.answer("f", text) for text in ("ä", "b")] == [["ä"], ["b"]]


@pytest.mark.parametrize("form", CALLBACKS.values(), ids=CALLBACKS)
async def test_a_callback_gives_the_response(serve, form):
    service = await serve(javascript(), f=COMMON.format(form))
    assert [await service.answer("f", number) for number in (1, 2)] == [[1], [2]]


async def test_from_nodejs24_on_a_value_is_the_response_and_a_callback_is_refused(serve):
    service = await serve(
        javascript(runtime=WITHOUT_CALLBACKS),
        value=COMMON.format("(event, context) => [event, Object.keys(context).includes('done')]"),
        callback=COMMON.format(CALLBACKS["callback"]),
    )
    assert await service.answer("value", 1) == [1, False]
    assert (await service.failure("callback"))["errorType"] == "Runtime.CallbackHandlerDeprecated"


@pytest.mark.parametrize(
    ("suffix", "source"),
    [
        (".mjs", "import { basename } from 'node:path'; export const handler = async () => basename('/a/b');"),
        (".cjs", "const { basename } = require('node:path'); exports.handler = async () => basename('/a/b');"),
        (".js", "const { basename } = require('node:path'); exports.handler = async () => basename('/a/b');"),
        (".mjs", "const found = await Promise.resolve('b'); export async function handler() { return found; }"),
    ],
)
async def test_modules_of_both_kinds_are_loaded(serve, suffix, source):
    service = await serve(javascript(suffix), f=source)
    assert await service.answer("f") == "b"


async def test_package_json_makes_an_es_module_of_a_js_file(serve):
    service = await serve(javascript(), f="import fs from 'node:fs'; export const handler = async () => typeof fs;")
    (service.folder / "f" / "package.json").write_text('{"type": "module"}')
    assert await service.answer("f") == "object"


async def test_an_export_may_lie_deeper(serve):
    service = await serve(javascript(handler="f.api.v1.get"), f="exports.api = { v1: { get: async () => 1 } };")
    assert await service.answer("f") == 1


async def test_the_value_undefined_is_null(serve):
    service = await serve(javascript(), f=COMMON.format("async () => undefined"))
    assert await service.answer("f") is None


async def test_without_a_promise_and_a_callback_the_response_is_null_when_nothing_is_left_to_do(serve):
    source = "exports.handler = () => { setTimeout(() => console.log('late'), 20); return 1; };"
    service = await serve(javascript(), f=source)
    assert await service.answer("f") is None
    assert [line.split("\t")[-1] for line in service.lines()] == ["late"]


async def test_a_callback_waits_for_an_empty_event_loop_unless_the_context_says_otherwise(serve):
    source = """
        exports.handler = ([waits, milliseconds], context, callback) => {
          context.callbackWaitsForEmptyEventLoop = waits;
          setTimeout(() => console.log('late'), milliseconds);
          callback(null, waits);
        };
    """
    service = await serve(javascript(), waiting=source, going=source)
    assert await service.answer("going", [False, 10**8]) is False
    assert await service.answer("waiting", [True, 20]) is True
    assert [line.split("\t")[-1] for line in service.lines()] == ["late"]


async def test_the_context_tells_of_the_function_and_of_the_event(serve):
    source = """
        exports.handler = async (event, context) => ({
          ...context,
          left: context.getRemainingTimeInMillis(),
          trace: process.env._X_AMZN_TRACE_ID,
          cwd: process.cwd() === process.env.LAMBDA_TASK_ROOT,
          hosts: process.env.PARLEY_API_HOSTS ?? 'not seen',
          node: process.env.AWS_EXECUTION_ENV,
        });
    """
    service = await serve(javascript(timeout=700.0, environment={"PARLEY_API_HOSTS": "a@b@1"}), f=source)
    outcome = await service.invoke("f")
    told = json.loads(outcome.payload)
    assert 600_000 < told.pop("left") <= 700_000
    assert told.pop("trace").startswith("Root=1-")
    assert told.pop("logStreamName").endswith(tuple("0123456789abcdef"))
    assert told == {
        "functionName": "f",
        "functionVersion": "$LATEST",
        "memoryLimitInMB": "512",
        "logGroupName": "/aws/lambda/f",
        "awsRequestId": outcome.request_id,
        "invokedFunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:f",
        "callbackWaitsForEmptyEventLoop": True,
        "cwd": True,
        "hosts": "not seen",
        "node": "AWS_Lambda_nodejs22.x",
    }


async def test_the_context_of_the_client_is_passed_on(serve):
    service = await serve(javascript(), f=COMMON.format("async (event, context) => context.clientContext"))
    headers = {"x-amz-client-context": "eyJjdXN0b20iOiB7ImEiOiAxfX0="}
    _, _, body = await service.lambda_.http_invoke("f", headers, b"{}")
    assert json.loads(body) == {"custom": {"a": 1}}


async def test_an_environment_keeps_its_variables_between_events(serve):
    service = await serve(javascript(), f="let n = 0; exports.handler = async () => ++n;")
    assert [await service.answer("f") for _ in range(3)] == [1, 2, 3]
