"""Properties of a template that nobody reads: the emulator ignores them, and says so.

Each reader of a template leaves a mark where it reads. So a property that no reader knows cannot vanish silently.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from parley.template.source import NodePath

_EVERYWHERE = ("Description", "Tags", "PropagateTags", "Kms*", "KMS*", "AccessLogSettings", "IpAddressType")
_FUNCTION = (
    *("Architectures", "CodeSigningConfigArn", "RuntimeManagementConfig", "RecursiveLoop", "LoggingConfig.*"),
    *(
        "VersionDescription",
        "VersionDeletionPolicy",
        "AutoPublish*",
        "DeploymentPreference*",
        "PublishToLatestPublished",
    ),
    *("Tracing", "TracingConfig*", "Role*", "AssumeRolePolicyDocument", "SourceKMSKeyArn"),
    *("Code.*", "CodeUri.*", "Policies", "PermissionsBoundary"),
    # One batch of a queue runs at a time here, so every limit of ScalingConfig is kept.
    *("Events.*.Properties.MaximumBatchingWindowInSeconds", "Events.*.Properties.ParallelizationFactor"),
    *("Events.*.Properties.ScalingConfig", "Events.*.Properties.Target.Id", "Events.*.Properties.Description"),
    *("Events.*.Properties.RetryPolicy*", "Events.*.Properties.DeadLetterConfig*", "DeadLetterQueue.Type"),
    *("Events.*.Properties.FlexibleTimeWindow*", "EventInvokeConfig.DestinationConfig.*.Type"),
)
_DELIVERY = ("RetryPolicy*", "DeadLetterConfig*", "*.RetryPolicy*", "*.DeadLetterConfig*")
"""Settings for targets that do not take an event. Here each does: what a function makes of it comes after that."""

_LAYER = ("LayerName", "Content*", "Compatible*", "LicenseInfo", "RetentionPolicy", "PublishLambdaVersion")
_METRICS = ("*.DataTraceEnabled", "*.DetailedMetricsEnabled", "*.LoggingLevel")
_PROTECTION = ("DefaultRouteSettings.*", "DefaultRouteSettings")
_BUCKET = (
    *("AccessControl", "AnalyticsConfigurations", "BucketEncryption*", "BucketName", "CorsConfiguration*"),
    *("IntelligentTiering*", "Inventory*", "LifecycleConfiguration*", "LoggingConfiguration*", "Metrics*"),
    *("ObjectLock*", "Ownership*", "PublicAccessBlock*", "Replication*", "VersioningConfiguration*", "Website*"),
)
_REST_STAGE = (
    *("MethodSettings*", "EndpointConfiguration*", "TracingEnabled", "AccessLogSetting*", "AlwaysDeploy", "Cache*"),
    *("MinimumCompressionSize", "DisableExecuteApiEndpoint", "MergeDefinitions", "Mode", "SecurityPolicy"),
)
_TABLE = (
    *("DeletionProtectionEnabled", "PointInTimeRecoverySpecification", "SSESpecification", "TableClass"),
    *("ContributorInsightsSpecification", "WarmThroughput", "OnDemandThroughput", "ProvisionedThroughput"),
    *("GlobalSecondaryIndexes.*.ContributorInsights*", "GlobalSecondaryIndexes.*.*Throughput"),
)

WITHOUT_EFFECT: Mapping[str, tuple[str, ...]] = {
    "AWS::Serverless::Function": _FUNCTION,
    "AWS::Lambda::Function": _FUNCTION,
    "AWS::Lambda::Alias": (),
    "AWS::Lambda::EventInvokeConfig": (),
    "AWS::Lambda::EventSourceMapping": (
        *(
            "ScalingConfig",
            "MaximumBatchingWindowInSeconds",
            "ParallelizationFactor",
            "DestinationConfig.OnFailure.Type",
        ),
    ),
    "AWS::Serverless::LayerVersion": _LAYER,
    "AWS::Lambda::LayerVersion": _LAYER,
    "AWS::Serverless::WebSocketApi": ("Name", *_METRICS, "Routes.*.OperationName", "Domain.*"),
    "AWS::Serverless::HttpApi": ("Name", "FailOnWarnings", *_PROTECTION),
    "AWS::Serverless::Api": ("Name", "StageName", "OpenApiVersion", *_REST_STAGE),
    "AWS::ApiGateway::RestApi": ("Name", "FailOnWarnings", "Parameters", "CloneFrom", *_REST_STAGE),
    "AWS::ApiGateway::Stage": ("DeploymentId", *_REST_STAGE),
    "AWS::ApiGateway::Resource": ("RestApiId",),
    "AWS::ApiGateway::Method": ("OperationName", "MethodResponses*", "Integration.*", "ApiKeyRequired"),
    "AWS::Lambda::Url": (),
    "AWS::ApiGatewayV2::Api": ("Name", "Version", "FailOnWarnings", "RouteSelectionExpression"),
    "AWS::ApiGatewayV2::Stage": ("AutoDeploy", "DeploymentId", "StageName", *_METRICS),
    "AWS::ApiGatewayV2::Route": ("OperationName",),
    "AWS::ApiGatewayV2::RouteResponse": ("RouteId", "RouteResponseKey", "ModelSelectionExpression"),
    "AWS::ApiGatewayV2::Authorizer": ("ApiId", "Authorizer*", "Name"),
    "AWS::ApiGatewayV2::Integration": ("ApiId", "IntegrationMethod", "CredentialsArn", "PayloadFormatVersion"),
    "AWS::ApiGatewayV2::IntegrationResponse": ("ApiId",),
    "AWS::DynamoDB::Table": _TABLE,
    "AWS::Serverless::SimpleTable": _TABLE,
    "AWS::SQS::Queue": ("SqsManagedSseEnabled", "RedriveAllowPolicy"),
    "AWS::SNS::Topic": ("DisplayName", "SignatureVersion", "TracingConfig", "*FeedbackRoleArn", "DataProtectionPolicy"),
    "AWS::SNS::Subscription": ("Region",),
    "AWS::Events::Rule": ("Targets.*.Id", "Targets.*.RoleArn", *_DELIVERY),
    "AWS::Events::EventBus": (),
    "AWS::S3::Bucket": _BUCKET,
    "AWS::Scheduler::Schedule": (*("Target.RoleArn", "FlexibleTimeWindow*", "ActionAfterCompletion"), *_DELIVERY),
    "AWS::SSM::Parameter": ("Tier", "DataType", "AllowedPattern"),
    "AWS::SecretsManager::Secret": ("ReplicaRegions*",),
}
"""Properties that change nothing for a function or a client here, by type: names, notes, costs, backups, encryption,
deployment and logs. Patterns of their paths. Only these types are looked at."""

DEFAULTS = {
    "ConnectionType": "INTERNET",
    "PassthroughBehavior": "WHEN_NO_MATCH",
    "AuthorizationType": "NONE",
    "ApiKeySelectionExpression": "$request.header.x-api-key",
    "InvokeMode": "BUFFERED",
}
"""Values that ask for what the emulator does anyway."""

_CHOSEN_NAMES = ("Events", "Routes", "RouteSettings", "Variables", "StageVariables", "DestinationConfig")
"""Properties whose own properties have names that the author of the template chooses."""


class Usage:
    """Marks of what was read of a template. A path that was read as a whole counts with everything below it."""

    def __init__(self) -> None:
        self._read: set[NodePath] = set()
        self._opened: dict[NodePath, Any] = {}
        self._resources: set[str | int] = set()

    def read(self, path: NodePath) -> None:
        """Mark a value as read as a whole, or as one of which a note tells that it is ignored."""
        self._read.add(path)
        self._note_resource(path)

    def open(self, path: NodePath, content: Any) -> None:
        """Mark a mapping or a list as one that is read part by part. `content` is the mapping or list itself."""
        self._opened[path] = content
        self._note_resource(path)

    def _note_resource(self, path: NodePath) -> None:
        if len(path) > 3:
            self._resources.add(path[1])

    def forget(self) -> None:
        """Remove all marks."""
        self._read.clear()
        self._opened.clear()
        self._resources.clear()

    def unread(self, logical_id: str, kind: str, properties: Mapping[str, Any]) -> Iterator[tuple[NodePath, str]]:
        """Yield the properties of a resource that were ignored: the path, and the pattern that tells them apart.

        A resource of which nothing was read takes part in nothing, so none of its properties is ignored.
        """
        path: NodePath = ("Resources", logical_id, "Properties")
        if kind in WITHOUT_EFFECT and logical_id in self._resources and path not in self._read:
            patterns = (*_EVERYWHERE, *WITHOUT_EFFECT[kind])
            for found, pattern in self._below(path, "", properties):
                if not any(fnmatchcase(pattern, each) for each in patterns):
                    yield found, pattern

    def _below(self, path: NodePath, pattern: str, content: Any) -> Iterator[tuple[NodePath, str]]:
        items = (
            content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
        )
        chosen = isinstance(content, list) or pattern.rpartition(".")[2] in _CHOSEN_NAMES
        for name, value in items:
            child = (*path, name)
            child_pattern = f"{pattern}.{'*' if chosen else name}".removeprefix(".")
            if child in self._opened and child not in self._read:
                yield from self._below(child, child_pattern, self._opened[child])
            elif child not in self._read and value not in (None, False, "", "false", [], {}, DEFAULTS.get(str(name))):
                yield child, child_pattern
