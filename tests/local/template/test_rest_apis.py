"""REST APIs and function URLs in templates."""

import textwrap

import pytest
from parley.template.model import HttpRoute
from parley.template.reader import read
from parley.template.references import api_id


@pytest.fixture
def template(tmp_path):
    """Return a function that reads a template with the function `F` of these properties, and these resources."""
    (tmp_path / "app").mkdir()

    def written(properties: str = "", resources: str = "", head: str = ""):
        path = tmp_path / "template.yaml"
        path.write_text(
            f"{textwrap.dedent(head)}\nResources:\n  F:\n    Type: AWS::Serverless::Function\n    Properties:\n"
            "      Handler: app.f\n      CodeUri: app\n      Runtime: python3.13\n"
            f"{textwrap.indent(textwrap.dedent(properties), ' ' * 6)}\n"
            f"{textwrap.indent(textwrap.dedent(resources), '  ')}"
        )
        return read(path)

    return written


EVENTS = """
Events:
  List: {Type: Api, Properties: {Path: /pets, Method: get}}
  Any: {Type: Api, Properties: {Path: "/{proxy+}", Method: ANY}}
"""


def test_events_that_name_no_api_are_of_the_implicit_one(template):
    found = template(EVENTS, head="Globals: {Api: {BinaryMediaTypes: [image~1png]}}")
    [api] = found.http_apis
    assert (api.logical_id, api.api_id, api.stage, api.kind) == (
        *("ServerlessRestApi", api_id("ServerlessRestApi")),
        *("Prod", "rest"),
    )
    assert api.routes == (HttpRoute("GET", "/pets", "F"), HttpRoute("ANY", "/{proxy+}", "F"))
    assert api.binary_types == ("image/png",)
    assert found.notes == ()


def test_an_api_of_its_own_has_its_stage_and_variables(template):
    found = template(
        "AutoPublishAlias: live\n"
        "Events: {One: {Type: Api, Properties: {Path: /, Method: get, RestApiId: !Ref Web}}}\n"
        "Environment: {Variables: {URL: !Sub 'https://${Web}.execute-api.${AWS::Region}.amazonaws.com/v1/'}}",
        "Web: {Type: AWS::Serverless::Api, Properties: {StageName: v1, Variables: {a: 1}}}",
    )
    [api] = found.http_apis
    assert (api.logical_id, api.stage, api.variables) == ("Web", "v1", {"a": "1"})
    assert api.routes == (HttpRoute("GET", "/", "F", "live"),)
    assert found.functions["F"].environment["URL"].startswith(f"https://{api.api_id}.execute-api.")
    assert found.notes == ()


def test_an_authorizer_is_said_to_be_ignored(template):
    found = template(
        "Events: {One: {Type: Api, Properties: {Path: /, Method: get, RestApiId: !Ref Web}}}",
        "Web: {Type: AWS::Serverless::Api, Properties: {StageName: v1, Auth: {DefaultAuthorizer: A}}}",
    )
    assert [note.partition(": ")[2] for note in found.notes] == ["`Web`: `Auth` is not emulated; ignored."]


def test_a_raw_api_has_the_paths_of_its_resources(template):
    found = template(
        resources="""
        Web: {Type: AWS::ApiGateway::RestApi, Properties: {Name: web}}
        Pets:
          Type: AWS::ApiGateway::Resource
          Properties: {RestApiId: !Ref Web, ParentId: !GetAtt Web.RootResourceId, PathPart: pets}
        Pet: {Type: AWS::ApiGateway::Resource, Properties: {RestApiId: !Ref Web, ParentId: !Ref Pets, PathPart: "{id}"}}
        Root:
          Type: AWS::ApiGateway::Method
          Properties: &method
            RestApiId: !Ref Web
            ResourceId: !GetAtt Web.RootResourceId
            HttpMethod: GET
            Integration:
              Type: AWS_PROXY
              IntegrationHttpMethod: POST
              Uri: !Sub "arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${F.Arn}/invocations"
        GetPet: {Type: AWS::ApiGateway::Method, Properties: {<<: *method, ResourceId: !Ref Pet, HttpMethod: ANY}}
        Preflight:
          Type: AWS::ApiGateway::Method
          Properties: {RestApiId: !Ref Web, ResourceId: !Ref Pets, HttpMethod: OPTIONS, Integration: {Type: MOCK}}
        Remote:
          Type: AWS::ApiGateway::Method
          Properties:
            RestApiId: !Ref Web
            ResourceId: !Ref Pets
            HttpMethod: GET
            Integration: {Type: HTTP_PROXY, Uri: "https://a"}
        Deployment: {Type: AWS::ApiGateway::Deployment, Properties: {RestApiId: !Ref Web, StageName: dev}}
        """
    )
    [api] = found.http_apis
    why = "the method GET /pets leads to no emulated function"
    assert (api.kind, api.stage) == ("rest", "dev")
    assert api.routes == (
        HttpRoute("GET", "/", "F"),
        HttpRoute("ANY", "/pets/{id}", "F"),
        HttpRoute("GET", "/pets", "", unavailable=why),
    )
    assert [note.partition(": ")[2] for note in found.notes] == [
        f"`Remote`: {why}; its requests are answered with 502."
    ]


def test_a_circle_of_resources_ends(template):
    found = template(
        EVENTS,
        """
        Web: {Type: AWS::ApiGateway::RestApi}
        A: {Type: AWS::ApiGateway::Resource, Properties: {RestApiId: !Ref Web, ParentId: !Ref A, PathPart: a}}
        M: {Type: AWS::ApiGateway::Method, Properties: {RestApiId: !Ref Web, ResourceId: !Ref A, HttpMethod: GET}}
        """,
    )
    assert len(found.http_apis) == 2


@pytest.mark.parametrize(
    ("properties", "resources", "name", "iam"),
    [
        ("FunctionUrlConfig: {AuthType: NONE}", "", "FUrl", False),
        ("FunctionUrlConfig: {AuthType: AWS_IAM, InvokeMode: BUFFERED}", "", "FUrl", True),
        ("", "U: {Type: AWS::Lambda::Url, Properties: {TargetFunctionArn: !Ref F, AuthType: NONE}}", "U", False),
        ("", "U: {Type: AWS::Lambda::Url, Properties: {TargetFunctionArn: !GetAtt F.Arn, AuthType: NONE}}", "U", False),
    ],
)
def test_a_function_url_is_an_api_with_one_route(template, properties, resources, name, iam):
    found = template(
        f"{properties}\nEnvironment: {{Variables: {{URL: !GetAtt {name}.FunctionUrl}}}}",
        resources or "Q: {Type: AWS::SQS::Queue}",
    )
    [api] = found.http_apis
    assert (api.logical_id, api.kind, api.iam) == (name, "url", iam)
    assert api.routes == (HttpRoute("ANY", "$default", "F"),)
    assert found.functions["F"].environment["URL"] == f"https://{api.api_id}.lambda-url.us-east-1.on.aws/"
    assert found.notes == ()


def test_what_a_function_url_has_beyond_that_is_said_to_be_ignored(template):
    found = template("FunctionUrlConfig: {AuthType: NONE, Cors: {AllowOrigins: ['*']}, InvokeMode: RESPONSE_STREAM}")
    assert [note.partition(": ")[2] for note in found.notes] == [
        "`F.FunctionUrlConfig`: `Cors` is not emulated; ignored.",
        "`F.FunctionUrlConfig`: `InvokeMode` is not emulated; ignored.",
    ]
