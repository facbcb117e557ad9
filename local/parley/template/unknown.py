"""Resources that mean something in the cloud and nothing here: said once for each type."""

from __future__ import annotations

from parley.template.document import Document

_READ = {
    *("AWS::Serverless::Function", "AWS::Serverless::WebSocketApi", "AWS::Serverless::HttpApi"),
    *("AWS::Serverless::SimpleTable", "AWS::Serverless::LayerVersion"),
    *(
        "AWS::Lambda::Function",
        "AWS::Lambda::Alias",
        "AWS::Lambda::EventInvokeConfig",
        "AWS::Lambda::EventSourceMapping",
        "AWS::Lambda::LayerVersion",
    ),
    *("AWS::DynamoDB::Table", "AWS::SQS::Queue", "AWS::SSM::Parameter"),
    "AWS::ApiGatewayV2::*",
}
_WITHOUT_MEANING = {
    *("AWS::IAM::*", "AWS::Logs::*", "AWS::CloudWatch::*", "AWS::CDK::*", "AWS::Lambda::Version", "AWS::KMS::*"),
    *("AWS::Lambda::Permission", "AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy", "AWS::S3::BucketPolicy"),
    *("AWS::ApiGateway::Account", "AWS::Route53::*", "AWS::CertificateManager::*", "AWS::WAFv2::*", "AWS::Budgets::*"),
    *("AWS::ApplicationAutoScaling::*", "AWS::CodeDeploy::*", "AWS::XRay::*"),
}
_APART = {"AWS::ApiGatewayV2::Model": "messages are not validated"}


def note_unknown(document: Document) -> None:
    """Note each type of resource that is not understood, with the first resource that has it."""
    seen: set[str] = set()
    for logical_id, kind in document.types.items():
        if kind in seen:
            continue
        seen.add(kind)
        place = ("Resources", logical_id)
        if not kind:
            document.note(f"{logical_id} has no Type, it is left out", place)
        elif kind in _APART:
            document.note(f"{kind} is left out: {_APART[kind]}", place)
        elif not {kind, f"{kind.rpartition('::')[0]}::*"} & (_READ | _WITHOUT_MEANING):
            document.note(f"{kind} does not occur here, {logical_id} and its like are left out", place)
