"""Buckets of templates: their rules for pages, ours too."""

from pathlib import Path

from parley.template.model import CorsRule
from parley.template.reader import read

OURS = Path(__file__).parents[3] / "infra" / "template.yaml"

BUCKETS = """
Resources:
  Api: {Type: AWS::Serverless::WebSocketApi, Properties: {StageName: live}}
  Open: {Type: AWS::S3::Bucket}
  Shared:
    Type: AWS::S3::Bucket
    Properties:
      BucketName: shared
      CorsConfiguration:
        CorsRules:
          - AllowedOrigins: ["https://a.example"]
            AllowedMethods: [GET, PUT]
            AllowedHeaders: ["*"]
            ExposedHeaders: [ETag]
            MaxAge: 60
          - {AllowedOrigins: ["*"], AllowedMethods: [GET]}
"""


def buckets(path):
    return {bucket.name: bucket.cors for bucket in read(path).buckets}


def test_rules_for_pages_are_read(tmp_path):
    (tmp_path / "template.yaml").write_text(BUCKETS)
    assert buckets(tmp_path / "template.yaml") == {
        "open": None,
        "shared": (
            CorsRule(("https://a.example",), ("GET", "PUT"), ("*",), ("ETag",), "60"),
            CorsRule(("*",), ("GET",)),
        ),
    }


def test_our_own_has_the_origins_of_the_parameter_without_blanks(tmp_path):
    assert buckets(OURS) == {"attachmentsbucket": None}
    text = OURS.read_text()
    start = text.index("  AllowedOrigins:\n")
    given = text[start:].replace('Default: ""', "Default: 'https://a.example, http://localhost:5173'", 1)
    (tmp_path / "template.yaml").write_text(text[:start] + given)
    [rule] = buckets(tmp_path / "template.yaml")["attachmentsbucket"]
    assert rule == CorsRule(("https://a.example", "http://localhost:5173"), ("GET", "POST"), ("*",), (), "600")
