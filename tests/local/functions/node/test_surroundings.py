"""Surroundings of handlers in JavaScript: the log, layers, and the hosts of AWS."""

import json
import re
import subprocess

import pytest
from parley.emulator.certificate import certificate
from parley.functions.processes import names
from parley.functions.variables import CLIENTS

from tests.support.node import javascript, node
from tests.support.served import serving

pytestmark = pytest.mark.full

TEXT_LINE = r"\d{4}-\d\d-\d\dT[\d:.]+Z\t%s\t%s\t%s"


async def test_lines_of_the_console_have_the_time_the_request_and_the_level(serve):
    source = """
        console.log('before');
        exports.handler = async () => {
          console.debug('a %s', { b: 1 }); console.warn('two\\nlines'); console.error(new Error('no').message);
        };
    """
    service = await serve(javascript(), f=source)
    outcome = await service.invoke("f")
    expected = [
        ("undefined", "INFO", "before"),
        (outcome.request_id, "DEBUG", "a { b: 1 }"),
        (outcome.request_id, "WARN", "two"),
        ("lines",),
        (outcome.request_id, "ERROR", "no"),
    ]
    assert len(service.lines()) == len(expected)
    for line, parts in zip(service.lines(), expected, strict=True):
        assert re.fullmatch(TEXT_LINE % parts if len(parts) == 3 else parts[0], line)


async def test_in_the_format_json_each_line_is_an_object_from_the_functions_level_on(serve):
    source = """
        exports.handler = async () => {
          console.info('quiet'); console.warn({ a: 1 }); console.error('wrong: %s', 'x', new TypeError('no'));
        };
    """
    service = await serve(javascript(log_format="JSON", log_level="WARN"), f=source)
    outcome = await service.invoke("f")
    first, second = map(json.loads, service.lines())
    assert first == {
        "timestamp": first["timestamp"],
        "level": "WARN",
        "requestId": outcome.request_id,
        "message": {"a": 1},
    }
    assert (second["level"], second["errorType"], second["errorMessage"]) == ("ERROR", "TypeError", "no")


@pytest.mark.parametrize(
    ("suffix", "source"),
    [
        (".js", "const one = require('one'); exports.handler = async () => one;"),
        (".mjs", "import one from 'one'; export const handler = async () => one;"),
        (".js", "exports.handler = async () => (await import('one')).default;"),
    ],
)
@pytest.mark.parametrize("folder", ["nodejs/node_modules", "nodejs/node22/node_modules"])
async def test_packages_of_layers_are_found_and_the_functions_own_first(serve, tmp_path, suffix, source, folder):
    package = tmp_path / "layer" / folder / "one"
    package.mkdir(parents=True)
    (package / "index.js").write_text("module.exports = 'of the layer';")
    service = await serve(javascript(suffix, layers=(tmp_path / "layer",)), layered=source, bringing=source)
    own = service.folder / "bringing" / "node_modules" / "one"
    own.mkdir(parents=True)
    (own / "index.js").write_text("module.exports = 'its own';")
    assert await service.answer("layered") == "of the layer"
    assert await service.answer("bringing") == "its own"


async def echo(scope, receive, send):
    """Answer with the path and the host of a request."""
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    body = json.dumps([scope["path"], headers["host"]]).encode()
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]}
    )
    await send({"type": "http.response.body", "body": body})


ASKING = """
    const http = require('node:http'), https = require('node:https');
    const ask = (library, ...options) => new Promise((resolve, reject) => {
      const request = library.request(...options, (answer) => {
        let text = '';
        answer.on('data', (part) => { text += part; });
        answer.on('end', () => resolve(JSON.parse(text)));
      });
      request.on('error', reject); request.end();
    });
    exports.handler = async ([how, host, path]) => {
      if (how === 'fetch') return (await fetch(`https://${host}${path}`)).json();
      if (how === 'url') return ask(https, `https://${host}${path}`, { headers: { Host: host } });
      if (how === 'URL') return ask(https, new URL(`https://${host}${path}`));
      const agent = https.globalAgent;
      if (how === 'sdk') return ask(https, { host, path, method: 'GET', headers: { Host: host }, agent });
      const [name, port] = host.split(':');
      return ask(http, { host: name, port, path });
    };
"""


@pytest.mark.parametrize("how", ["url", "URL", "sdk", "plain"])
async def test_a_request_to_a_service_goes_to_the_endpoint_of_its_variable(serve, how):
    with serving(echo) as server:
        here = f"127.0.0.1:{server.port}"
        variables = {"AWS_ENDPOINT_URL_DYNAMODB": f"http://{here}/tables", "AWS_ENDPOINT_URL": f"http://{here}/any"}
        service = await serve(javascript(environment=variables), f=ASKING)
        assert await service.answer("f", [how, "dynamodb.eu-west-1.amazonaws.com", "/"]) == ["/tables/", here]
        assert await service.answer("f", [how, "kinesis.us-east-1.amazonaws.com", "/a/b"]) == ["/any/a/b", here]


@pytest.mark.parametrize("how", ["fetch", "url", "plain"])
async def test_the_hosts_of_the_templates_apis_lead_to_the_emulator(serve, how):
    with serving(echo) as server:
        variables = {
            names.VARIABLE: names.description(["abcdefghij", "klmnopqrst"], "127.0.0.1", server.port),
            **certificate("127.0.0.1", {}).variables(),
        }
        service = await serve(javascript(environment=variables), f=ASKING)
        for name in (
            "abcdefghij.execute-api.eu-west-1.amazonaws.com",
            "klmnopqrst.execute-api.eu-west-1.amazonaws.com",
            "klmnopqrst.lambda-url.eu-west-1.on.aws",
        ):
            assert await service.answer("f", [how, name, "/prod"]) == ["/prod", name]


async def test_no_other_host_is_touched(serve):
    with serving(echo) as server:
        nowhere = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
        variables = {names.VARIABLE: names.description(["abcdefghij"], "127.0.0.1", 1), **nowhere}
        service = await serve(javascript(environment=variables), f=ASKING)
        here = f"127.0.0.1:{server.port}"
        assert await service.answer("f", ["plain", here, "/x"]) == ["/x", here]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("dynamodb.us-east-1.amazonaws.com", "http://tables/"),
        ("dynamodb.cn-north-1.amazonaws.com.cn", "http://tables/"),
        ("streams.dynamodb.us-east-1.amazonaws.com", "http://streams/"),
        ("secretsmanager.us-gov-west-1.amazonaws.com", "http://secrets/"),
        ("kinesis.us-east-1.amazonaws.com", "http://any/"),
        ("sts.amazonaws.com", "http://any/"),
        ("files.of.mine.s3.us-east-1.amazonaws.com", "http://objects/ /files.of.mine"),
        ("files.s3.amazonaws.com", "http://objects/ /files"),
        ("events.eu-west-1.amazonaws.com", None),
        ("abcdefghij.execute-api.us-east-1.amazonaws.com", None),
        ("x-ats.iot.us-east-1.amazonaws.com", None),
        ("db.x.us-east-1.rds.amazonaws.com", None),
        ("x.us-east-1.elb.amazonaws.com", None),
        ("www.amazonaws.com", None),
        ("dynamodb.us-east-1.amazonaws.com.evil.example", None),
    ],
)
def test_hosts_of_services_have_the_endpoints_of_their_variables(host, expected):
    """One that names AWS itself is for a real account, so it changes nothing. Hosts of one account are left alone."""
    variables = {
        "AWS_ENDPOINT_URL": "http://any",
        "AWS_ENDPOINT_URL_DYNAMODB": "http://tables",
        "AWS_ENDPOINT_URL_DYNAMODB_STREAMS": "http://streams",
        "AWS_ENDPOINT_URL_SECRETS_MANAGER": "http://secrets",
        "AWS_ENDPOINT_URL_S3": "http://objects",
        "AWS_ENDPOINT_URL_EVENTBRIDGE": "https://events.eu-west-1.amazonaws.com",
    }
    program = f"""
        const hosts = require({str(CLIENTS / "node" / "hosts.cjs")!r});
        const target = hosts.targetOf({{ host: {host!r} }}, process.env);
        console.log(target ? `${{target.url}} ${{target.bucket}}`.trim() : target);
    """
    done = subprocess.run([node().path, "-e", program], env=variables, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(expected).replace("None", "undefined")
