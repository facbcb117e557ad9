"""Code and layers that are zips, or that `sam package` and `sam build` have made or would make."""

import zipfile
from pathlib import Path

import pytest
from parley.template.reader import read
from parley.template.source import TemplateError

API = """
Resources:
  Api:
    Type: AWS::Serverless::WebSocketApi
    Properties: {RouteSelectionExpression: $request.body.a, Routes: {$default: {FunctionArn: !GetAtt F.Arn}}}
"""


@pytest.fixture
def resources(tmp_path):
    """Write a template with these resources beside some zips and folders, and read it."""
    for name in ("fn.zip", "0123abcd", "build/f.zip", "asset.f00.zip", "layer.zip"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("app.py", "")
    (tmp_path / "notes.txt").write_text("no zip")
    for folder in ("asset.bar", "code", "source", "plain", "with_python/python", "with_bin/bin"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "source" / "helper.py").write_text("")

    def written(text: str):
        path = tmp_path / "template.yaml"
        path.write_text(API + "".join(f"  {line}\n" for line in text.splitlines()))
        return read(path)

    return written


@pytest.mark.parametrize(
    ("function", "name"),
    [
        ("AWS::Serverless::Function, Properties: {CodeUri: fn.zip", "fn.zip"),
        ("AWS::Serverless::Function, Properties: {CodeUri: ./build/f.zip", "f.zip"),
        ("AWS::Serverless::Function, Properties: {CodeUri: s3://bucket/0123abcd", "0123abcd"),
        ("AWS::Serverless::Function, Properties: {CodeUri: s3://bucket/stack/0123abcd", "0123abcd"),
        ("AWS::Serverless::Function, Properties: {CodeUri: {Bucket: b, Key: some/where/fn.zip}", "fn.zip"),
        ("AWS::Serverless::Function, Properties: {CodeUri: {Bucket: b, Key: build/f}", "f.zip"),
        ("AWS::Lambda::Function, Properties: {Code: fn.zip", "fn.zip"),
        ("AWS::Lambda::Function, Properties: {Code: {S3Bucket: b, S3Key: 0123abcd}", "0123abcd"),
        (
            "AWS::Lambda::Function, Metadata: {aws:asset:path: asset.f00.zip}, "
            "Properties: {Code: {S3Bucket: b, S3Key: f00.zip}",
            "asset.f00.zip",
        ),
        ("AWS::Lambda::Function, Properties: {Code: {S3Bucket: b, S3Key: f00.zip}", "asset.f00.zip"),
        ("AWS::Lambda::Function, Properties: {Code: {S3Bucket: b, S3Key: bar.zip}", "asset.bar"),
        ("AWS::Lambda::Function, Properties: {Code: {S3Bucket: b, S3Key: serverless/s/dev/17-x/fn.zip}", "fn.zip"),
    ],
)
def test_the_code_may_be_a_zip_also_one_that_was_packaged_and_lies_beside(resources, function, name):
    assert resources(f"F: {{Type: {function}, Handler: app.f}}}}").functions["F"].code.name == name


@pytest.mark.parametrize("uri", ["notes.txt", "nowhere.zip", "s3://bucket/notes.txt"])
def test_what_is_no_zip_and_no_folder_is_refused(resources, uri):
    with pytest.raises(TemplateError, match=r"there is no folder .* and no zip\. Correct its CodeUri"):
        resources(f"F: {{Type: AWS::Serverless::Function, Properties: {{CodeUri: {uri}, Handler: app.f}}}}")


def layers_of(template) -> list[Path]:
    return list(template.functions["F"].layers)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("AWS::Serverless::LayerVersion, Properties: {ContentUri: layer.zip}", "layer.zip"),
        ("AWS::Serverless::LayerVersion, Properties: {ContentUri: with_python}", "with_python"),
        ("AWS::Serverless::LayerVersion, Properties: {ContentUri: s3://bucket/a/layer.zip}", "layer.zip"),
        ("AWS::Lambda::LayerVersion, Properties: {Content: layer.zip}", "layer.zip"),
        ("AWS::Lambda::LayerVersion, Properties: {Content: {S3Bucket: b, S3Key: layer.zip}}", "layer.zip"),
        ("AWS::Lambda::LayerVersion, Properties: {Content: with_bin}", "with_bin"),
    ],
)
def test_a_layer_may_be_a_zip_too(resources, content, name):
    template = resources(
        f"L: {{Type: {content}}}\n"
        "F: {Type: AWS::Serverless::Function, Properties: {CodeUri: code, Handler: app.f, Layers: [!Ref L]}}"
    )
    assert [layer.name for layer in layers_of(template)] == [name]
    assert template.notes == ()


def test_the_source_of_a_layer_is_taken_as_it_would_be_built(resources):
    template = resources(
        "L:\n  Type: AWS::Serverless::LayerVersion\n  Metadata: {BuildMethod: python3.12}\n"
        "  Properties: {ContentUri: source}\n"
        "F: {Type: AWS::Serverless::Function, Properties: {CodeUri: code, Handler: app.f, Layers: [!Ref L]}}"
    )
    [layer] = layers_of(template)
    assert (layer / "python" / "helper.py").is_file()


def test_a_layer_without_a_folder_for_modules_is_noted(resources):
    template = resources(
        "L: {Type: AWS::Serverless::LayerVersion, Properties: {ContentUri: plain}}\n"
        "F: {Type: AWS::Serverless::Function, Properties: {CodeUri: code, Handler: app.f, Layers: [!Ref L]}}"
    )
    [note] = template.notes
    why = "the layer has no folder `python` or `nodejs`; its modules are not found, as on AWS."
    assert note.endswith(f":6: `L`: {why}")


@pytest.mark.parametrize(("method", "folder"), [("nodejs20.x", "nodejs"), ("python3.9", "python")])
def test_a_layer_is_built_for_its_language(resources, method, folder):
    template = resources(
        f"L:\n  Type: AWS::Serverless::LayerVersion\n  Metadata: {{BuildMethod: {method}}}\n"
        "  Properties: {ContentUri: source}\n"
        "F: {Type: AWS::Serverless::Function, Properties: {CodeUri: code, Handler: app.f, Layers: [!Ref L]}}"
    )
    [layer] = layers_of(template)
    assert [each.name for each in layer.iterdir()] == [folder]
