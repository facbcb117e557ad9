"""`infra/edge.yaml`: one host for the site and both APIs. It keeps nothing of the APIs and passes on what they need."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from parley.emulator.pages import CONTENT_SECURITY_POLICY
from parley.template.source import load

from tests.support.cloudformation import accepts, broken_rules
from tests.support.waiting import HANGS

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "infra" / "edge.yaml"

# https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/using-managed-cache-policies.html
CACHING_DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
# https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/using-managed-origin-request-policies.html
ALL_VIEWER_EXCEPT_HOST_HEADER = "b689b0a8-53d0-40ab-baf2-68738e2966ac"

WEBSOCKET_URL = "wss://a1b2c3.execute-api.eu-central-1.amazonaws.com/live"
HTTP_URL = "https://d4e5f6.execute-api.eu-central-1.amazonaws.com"
CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
GIVEN = {"WebSocketUrl": WEBSOCKET_URL, "HttpUrl": HTTP_URL}


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    return load(TEMPLATE.read_text())


@pytest.fixture
def distribution(template) -> dict[str, Any]:
    return template["Resources"]["Distribution"]["Properties"]["DistributionConfig"]


@pytest.fixture
def behaviors(distribution) -> dict[str, dict[str, Any]]:
    return {each["PathPattern"]: each for each in distribution["CacheBehaviors"]}


@pytest.mark.full
def test_the_linter_has_nothing_to_say():
    linter = [ROOT / ".venv" / "bin" / "cfn-lint", "--non-zero-exit-code", "informational", TEMPLATE]
    finished = subprocess.run(linter, capture_output=True, text=True, timeout=HANGS)
    assert (finished.returncode, finished.stdout) == (0, "")


def test_it_says_that_nobody_has_tried_it(template):
    assert "Not tried on AWS yet" in template["Description"]


def test_the_urls_that_the_main_stack_prints_are_taken(template):
    outputs = load((ROOT / "infra" / "template.yaml").read_text())["Outputs"]
    names = {"WebSocketApi": "a1b2c3", "HttpApi": "d4e5f6", "StageName": "live", "AWS::Region": "eu-central-1"}
    for name in ("WebSocketUrl", "HttpUrl"):
        url = filled_in(outputs[name]["Value"]["Fn::Sub"], names | {"AWS::URLSuffix": "amazonaws.com"})
        assert url == GIVEN[name]
        assert accepts(template["Parameters"][name], url)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("WebSocketUrl", WEBSOCKET_URL.removesuffix("/live")),
        ("WebSocketUrl", WEBSOCKET_URL + "/more"),
        ("WebSocketUrl", WEBSOCKET_URL.replace("wss:", "https:")),
        ("WebSocketUrl", HTTP_URL),
        ("HttpUrl", HTTP_URL + "/"),
        ("HttpUrl", HTTP_URL.replace("https:", "http:")),
        ("HttpUrl", "https://example.com"),
        ("DomainName", "Chat.example.com"),
        ("DomainName", "https://chat.example.com"),
        ("DomainName", "localhost"),
        ("CertificateArn", CERTIFICATE.replace("us-east-1", "eu-central-1")),
        ("PriceClass", "100"),
        ("RequestsPerFiveMinutes", "9"),
        ("RequestsPerFiveMinutes", "-1"),
        ("RequestsPerFiveMinutes", ""),
    ],
)
def test_a_parameter_that_cannot_work_is_refused(template, parameter, value):
    assert not accepts(template["Parameters"][parameter], value)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("DomainName", "chat.example.com"),
        ("CertificateArn", CERTIFICATE),
        ("RequestsPerFiveMinutes", "0"),
        ("RequestsPerFiveMinutes", "10"),
        ("RequestsPerFiveMinutes", "2000"),
    ],
)
def test_a_parameter_that_can_work_is_taken(template, parameter, value):
    assert accepts(template["Parameters"][parameter], value)


@pytest.mark.parametrize(
    ("given", "region", "said"),
    [
        ({}, "eu-central-1", None),
        ({"RequestsPerFiveMinutes": "500"}, "us-east-1", None),
        ({"RequestsPerFiveMinutes": "500"}, "eu-central-1", "us-east-1"),
        ({"DomainName": "chat.example.com", "CertificateArn": CERTIFICATE}, "eu-central-1", None),
        ({"DomainName": "chat.example.com"}, "eu-central-1", "Set CertificateArn too"),
        ({"CertificateArn": CERTIFICATE}, "eu-central-1", "Set DomainName too"),
    ],
)
def test_parameters_that_do_not_fit_together_are_refused_with_the_reason(template, given, region, said):
    here = json.loads(json.dumps(template).replace('{"Ref": "AWS::Region"}', json.dumps(region)))
    broken = broken_rules(here, GIVEN | given)
    assert [said in each for each in broken] == ([True] if said else [])


@pytest.mark.parametrize("path", ["/ws/chat", "/api/*"])
def test_nothing_of_an_api_is_kept_and_everything_but_the_host_is_passed_on(behaviors, path):
    behavior = behaviors[path]
    assert behavior["CachePolicyId"] == CACHING_DISABLED
    # All headers, cookies and the whole query string. API Gateway answers 403 to a Host that is not its own.
    assert behavior["OriginRequestPolicyId"] == ALL_VIEWER_EXCEPT_HOST_HEADER
    assert behavior["ViewerProtocolPolicy"] == "https-only"


def test_the_http_api_gets_every_method_that_it_has(behaviors):
    assert {"GET", "HEAD", "POST", "PATCH", "DELETE"} <= set(behaviors["/api/*"]["AllowedMethods"])


def test_errors_are_not_kept_either(distribution):
    # The codes that CloudFront may keep: DeveloperGuide/HTTPStatusCodes.html, and CustomErrorResponse of its API.
    kept = {400, 403, 404, 405, 414, 416, 500, 501, 502, 503, 504}
    assert {
        each["ErrorCode"]: each["ErrorCachingMinTTL"] for each in distribution["CustomErrorResponses"]
    } == dict.fromkeys(kept, 0)
    # A page of our own would also replace the problem documents of the HTTP API.
    assert all("ResponsePagePath" not in each for each in distribution["CustomErrorResponses"])


def test_apis_are_reached_by_tls_only(distribution):
    own = [each["CustomOriginConfig"] for each in distribution["Origins"] if each["Id"] != "site"]
    assert own == [{"OriginProtocolPolicy": "https-only", "OriginSSLProtocols": ["TLSv1.2"]}] * 2


def test_each_behavior_has_an_origin(distribution, behaviors):
    origins = {each["Id"] for each in distribution["Origins"]}
    used = {each["TargetOriginId"] for each in [distribution["DefaultCacheBehavior"], *behaviors.values()]}
    assert used == origins


def test_origins_are_the_hosts_of_the_urls(distribution):
    hosts = {each["Id"]: each["DomainName"] for each in distribution["Origins"] if each["Id"] != "site"}
    assert {name: selected(host) for name, host in hosts.items()} == {
        "websocket": "a1b2c3.execute-api.eu-central-1.amazonaws.com",
        "http": "d4e5f6.execute-api.eu-central-1.amazonaws.com",
    }


def test_tokens_in_query_strings_are_not_logged(template, distribution):
    assert "Logging" not in distribution
    acl = template["Resources"]["WebAcl"]["Properties"]
    shown = [acl["VisibilityConfig"], *(rule["VisibilityConfig"] for rule in acl["Rules"])]
    assert all(each["SampledRequestsEnabled"] is False for each in shown)


def test_the_site_is_private_and_read_by_this_distribution_only(template, distribution):
    bucket = template["Resources"]["SiteBucket"]
    assert set(bucket["Properties"]["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["DeletionPolicy"] == "RetainExceptOnCreate"
    allowed, denied = template["Resources"]["SiteBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert allowed["Principal"] == {"Service": "cloudfront.amazonaws.com"}
    assert allowed["Action"] == "s3:GetObject"
    [source] = allowed["Condition"]["StringEquals"].values()
    assert source["Fn::Sub"].endswith("distribution/${Distribution}")
    assert denied["Effect"] == "Deny"
    [site] = [each for each in distribution["Origins"] if each["Id"] == "site"]
    assert site["OriginAccessControlId"] == {"Ref": "SiteAccess"}
    control = template["Resources"]["SiteAccess"]["Properties"]["OriginAccessControlConfig"]
    assert (control["SigningBehavior"], control["SigningProtocol"]) == ("always", "sigv4")


def test_the_site_has_the_policy_that_the_emulator_sends_with_the_same_pages(template, behaviors, distribution):
    assert distribution["DefaultCacheBehavior"]["ResponseHeadersPolicyId"] == {"Ref": "SiteHeaders"}
    headers = template["Resources"]["SiteHeaders"]["Properties"]["ResponseHeadersPolicyConfig"]
    assert headers["SecurityHeadersConfig"]["ContentSecurityPolicy"] == {
        "Override": True,
        "ContentSecurityPolicy": CONTENT_SECURITY_POLICY,
    }


@pytest.mark.parametrize(
    ("resource", "place"),
    [
        ("SiteAccess", ("OriginAccessControlConfig", "Name")),
        ("SiteHeaders", ("ResponseHeadersPolicyConfig", "Name")),
        ("Rewrite", ("Name",)),
    ],
)
def test_a_stack_with_a_long_name_has_names_that_cloudfront_takes(template, resource, place):
    value = template["Resources"][resource]["Properties"]
    for key in place:
        value = value[key]
    text, variables = value["Fn::Sub"]
    assert variables == {"Id": {"Fn::Select": [2, {"Fn::Split": ["/", {"Ref": "AWS::StackId"}]}]}}
    stack_id = f"arn:aws:cloudformation:us-east-1:123456789012:stack/{'n' * 128}/6c2f1d60-ca5d-11f0-8de9-0242ac120002"
    name = filled_in(text, {"Id": stack_id.split("/")[2]})
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name)


def test_the_rate_limit_counts_by_address_and_exists_only_if_it_is_set(template, distribution):
    acl = template["Resources"]["WebAcl"]
    [rule] = acl["Properties"]["Rules"]
    assert acl["Condition"] == "HasRateLimit"
    assert acl["Properties"]["Scope"] == "CLOUDFRONT"
    assert rule["Action"] == {"Block": {}}
    assert rule["Statement"]["RateBasedStatement"] == {
        "AggregateKeyType": "IP",
        "EvaluationWindowSec": 300,
        "Limit": {"Ref": "RequestsPerFiveMinutes"},
    }
    assert distribution["WebACLId"]["Fn::If"] == ["HasRateLimit", {"Fn::GetAtt": "WebAcl.Arn"}, {"Ref": "AWS::NoValue"}]


def filled_in(text: str, values: dict[str, str]) -> str:
    """Return a text of `Fn::Sub` with its variables replaced."""
    return re.sub(r"\$\{([^}]+)\}", lambda variable: values[variable[1]], text)


def selected(value: dict[str, Any]) -> str:
    """Return a part of one of the two URLs, as `Fn::Select` and `Fn::Split` give it."""
    index, split = value["Fn::Select"]
    separator, parameter = split["Fn::Split"]
    return GIVEN[parameter["Ref"]].split(separator)[index]


Rewrite = Callable[[str], dict[str, Any]]


class TestTheRewriteFunction:
    """The text of the template, under Node."""

    @pytest.fixture
    def code(self, template) -> str:
        text, variables = template["Resources"]["Rewrite"]["Properties"]["FunctionCode"]["Fn::Sub"]
        return filled_in(text, {name: selected(value) for name, value in variables.items()})

    @pytest.fixture
    def rewrite(self, code) -> Rewrite:
        node = shutil.which("node")
        if node is None:
            pytest.skip("node is not installed: the function of infra/edge.yaml is not run")

        def run(uri: str) -> dict[str, Any]:
            script = f"{code}\nconsole.log(JSON.stringify(handler({json.dumps(event(uri))})));"
            finished = subprocess.run(
                [node, "-"], input=script, capture_output=True, text=True, timeout=HANGS, check=True
            )
            return json.loads(finished.stdout)

        return run

    @pytest.mark.parametrize(
        ("uri", "becomes"),
        [
            ("/ws/chat", "/live"),
            ("/api/", "/"),
            ("/api/chats", "/chats"),
            ("/api/chats/0199/export", "/chats/0199/export"),
            ("/api/admin/users/auth0%7C9", "/admin/users/auth0%7C9"),
            ("/api/api/chats", "/api/chats"),
            ("/api/ws/chat", "/ws/chat"),
            # The next ones belong to the site. A behaviour that is added later must not change them by accident.
            ("/", "/"),
            ("/index.html", "/index.html"),
            ("/ws/chat/", "/ws/chat/"),
            ("/ws/chats", "/ws/chats"),
            ("/WS/CHAT", "/WS/CHAT"),
            ("/api", "/api"),
            ("/apis/chats", "/apis/chats"),
            ("/x/api/chats", "/x/api/chats"),
        ],
    )
    def test_a_path_becomes_that_of_the_api(self, rewrite, uri, becomes):
        assert rewrite(uri)["uri"] == becomes

    @pytest.mark.parametrize("uri", ["/ws/chat", "/api/chats", "/"])
    def test_the_query_string_with_the_token_and_the_headers_stay_as_they_are(self, rewrite, uri):
        sent = event(uri)["request"]
        assert {name: value for name, value in rewrite(uri).items() if name != "uri"} == {
            name: value for name, value in sent.items() if name != "uri"
        }

    def test_it_is_within_the_limits_of_cloudfront(self, template, code):
        # DeveloperGuide/cloudfront-limits.html: a function has at most 10 KB.
        assert len(code.encode()) < 10_000
        assert template["Resources"]["Rewrite"]["Properties"]["FunctionConfig"]["Runtime"] == "cloudfront-js-2.0"

    def test_it_runs_before_both_apis_and_not_before_the_site(self, distribution, behaviors):
        runs = [{"EventType": "viewer-request", "FunctionARN": {"Fn::GetAtt": "Rewrite.FunctionARN"}}]
        assert [each["FunctionAssociations"] for each in behaviors.values()] == [runs, runs]
        assert "FunctionAssociations" not in distribution["DefaultCacheBehavior"]


def event(uri: str) -> dict[str, Any]:
    """Return the event of a viewer's request (DeveloperGuide/functions-event-structure.html)."""
    return {
        "version": "1.0",
        "context": {"eventType": "viewer-request"},
        "viewer": {"ip": "192.0.2.1"},
        "request": {
            "method": "GET",
            "uri": uri,
            "querystring": {"token": {"value": "eyJh.bGci.OiJI"}},
            "headers": {"host": {"value": "d111111abcdef8.cloudfront.net"}, "upgrade": {"value": "websocket"}},
            "cookies": {},
        },
    }
