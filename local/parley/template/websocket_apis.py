"""WebSocket APIs in templates: one resource of SAM, or several of CloudFormation (docs/aws.md section 7)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from parley.expressions.selection import route_selection_problem
from parley.template.arns import function_in
from parley.template.document import Document, Properties, as_mapping
from parley.template.integrations import IntegrationReader
from parley.template.model import (
    Authorizer,
    Integration,
    LambdaIntegration,
    Route,
    Stage,
    Throttle,
    UnavailableIntegration,
    WebSocketApi,
)
from parley.template.references import api_id

SAM, CLOUDFORMATION = "AWS::Serverless::WebSocketApi", "AWS::ApiGatewayV2::Api"
CONNECT = "$connect"
_CONSEQUENCES = {CONNECT: "every handshake is refused", "$disconnect": "nothing runs when a connection ends"}


def websocket_apis(document: Document, functions: Mapping[str, object]) -> tuple[WebSocketApi, ...]:
    """Return the template's WebSocket APIs.

    A route or an authorizer that cannot run here gets a note and keeps its place, so that its messages reach no other
    route, and nobody is let in whom AWS would refuse. It always fails.
    """
    found = []
    for logical_id in document.of_type(SAM, CLOUDFORMATION):
        properties = document.properties(logical_id)
        if document.kind(logical_id) == SAM:
            found.append(_SamApi(document, functions, logical_id, properties).api())
        elif properties.text("ProtocolType", "HTTP") == "WEBSOCKET":
            found.append(_CloudFormationApi(document, functions, logical_id, properties).api())
    return tuple(found)


class _Api:
    """Common part of both forms."""

    def __init__(
        self, document: Document, functions: Mapping[str, object], logical_id: str, properties: Properties
    ) -> None:
        self.document = document
        self.functions = functions
        self.logical_id = logical_id
        self.properties = properties

    def _own_resources(self, kind: str) -> list[Properties]:
        found = map(self.document.properties, self.document.of_type(kind))
        return [each for each in found if each.text("ApiId") == api_id(self.logical_id)]

    def domains(self, stage: str) -> Iterator[str]:
        """Return the custom domain names that the template maps to a stage."""
        for mapping in self._own_resources("AWS::ApiGatewayV2::ApiMapping"):
            name, key = mapping.text("DomainName"), mapping.text("ApiMappingKey")
            if name and mapping.text("Stage") == stage:
                yield f"{name}/{key}".rstrip("/")

    def build(self, stages: tuple[Stage, ...], routes: Iterator[Route]) -> WebSocketApi:
        expression = self.properties.text("RouteSelectionExpression")
        if reason := route_selection_problem(expression):
            self.properties.note(
                f"`{self.logical_id}`: {reason}; every message goes to `$default`.", "RouteSelectionExpression"
            )
        return WebSocketApi(
            self.logical_id, api_id(self.logical_id), stages, expression, {route.key: route for route in routes}
        )

    def can_call(self, integration: Integration | None) -> bool:
        """Tell if an integration can be called."""
        return integration is not None and (
            not isinstance(integration, LambdaIntegration) or integration.function in self.functions
        )

    def unavailable(self, properties: Properties, subject: str, key: str) -> UnavailableIntegration:
        """Note that a route cannot run, and return what stands for its integration."""
        consequence = _CONSEQUENCES.get(key, "its messages are answered with `Internal server error`")
        properties.ignored(f"{subject}; {consequence}.")
        return UnavailableIntegration(subject)

    def with_authorization(
        self, route: Route, kind: str, authorizer: Callable[[], Authorizer], properties: Properties
    ) -> Route:
        """Return the route with its authorization: of the kinds that AWS has, only `NONE` lets everybody in."""
        if route.key != CONNECT or kind == "NONE":
            return route
        if kind == "AWS_IAM":
            return replace(route, iam=True)
        if kind == "CUSTOM":
            found = authorizer()
        else:
            found = Authorizer(kind, "", unavailable=f"there is no authorization of type {kind or '(none)'}")
        if found.unavailable:
            properties.ignored(f"`{self.logical_id}`: {found.unavailable}; every handshake is refused.")
        return replace(route, authorizer=found)

    def authorizer(self, name: str, reference: str, properties: Properties, variables: Mapping[str, str]) -> Authorizer:
        """Return an authorizer; one that is no function of the template is unavailable."""
        function = function_in(reference, variables)
        is_known = function.name in self.functions
        unavailable = "" if is_known else f"authorizer {name} is no function of the template"
        sources = tuple(properties.texts("IdentitySource"))
        return Authorizer(name, function.name, function.qualifier, sources, unavailable)


class _SamApi(_Api):
    def api(self) -> WebSocketApi:
        stage = stage_of(self.properties, self.properties.text("StageName", "default"))
        stage = replace(stage, domains=(*self._domains(), *self.domains(stage.name)))
        return self.build((stage,), self._routes(stage.variables))

    def _domains(self) -> list[str]:
        """Return the custom domain name of `Domain`, once for each of its paths."""
        domain = self.properties.part("Domain")
        name = domain.text("DomainName")
        paths = [path.strip("/") for path in domain.texts("BasePath")] or [""]
        return [f"{name}/{path}".rstrip("/") for path in paths if name]

    def _routes(self, variables: Mapping[str, str]) -> Iterator[Route]:
        routes = self.properties.part("Routes")
        for key in routes:
            properties = routes.part(key)
            function = function_in(properties.text("FunctionArn"), variables)
            timeout = properties.number("IntegrationTimeout", 29_000) / 1000
            integration: Integration = LambdaIntegration(function.name, function.qualifier, timeout)
            if not self.can_call(integration):
                subject = f"`{properties.label}`: the route leads to no function of the template"
                integration = self.unavailable(properties, subject, key)
            responds = bool(properties.text("RouteResponseSelectionExpression"))
            yield self._with_authorization(Route(key, integration, responds), variables)
        if self._auth_kind() != "NONE" and CONNECT not in routes:
            subject = f"`{self.logical_id}`: without a route `$connect`, SAM does not take its Auth"
            yield Route(CONNECT, self.unavailable(self.properties.part("Auth"), subject, CONNECT))

    def _auth_kind(self) -> str:
        auth = self.properties.part("Auth")
        return auth.text("AuthType") if list(auth) else "NONE"

    def _with_authorization(self, route: Route, variables: Mapping[str, str]) -> Route:
        auth = self.properties.part("Auth")
        name = auth.text("Name", f"{self.logical_id}Authorizer")
        return self.with_authorization(
            route, self._auth_kind(), lambda: self.authorizer(name, auth.text("AuthArn"), auth, variables), auth
        )


class _CloudFormationApi(_Api):
    def api(self) -> WebSocketApi:
        stages = tuple(self._stages())
        if not stages:
            self.properties.note(f"`{self.logical_id}`: the API has no stage; it gets one with the name `default`.")
            stages = (Stage("default"),)
        return self.build(stages, self._routes(stages[0].variables))

    def _stages(self) -> Iterator[Stage]:
        for properties in self._own_resources("AWS::ApiGatewayV2::Stage"):
            stage = stage_of(properties, properties.text("StageName", "default"))
            yield replace(stage, domains=tuple(self.domains(stage.name)))

    def _routes(self, variables: Mapping[str, str]) -> Iterator[Route]:
        integrations = IntegrationReader(self.document, variables)
        responses = {each.text("RouteId") for each in self._own_resources("AWS::ApiGatewayV2::RouteResponse")}
        for properties in self._own_resources("AWS::ApiGatewayV2::Route"):
            key = properties.text("RouteKey")
            integration = integrations.of(properties.text("Target").removeprefix("integrations/"))
            if not key:
                properties.ignored(f"`{self.logical_id}`: the route `{properties.label}` has no RouteKey; ignored.")
                continue
            if integration is None or not self.can_call(integration):
                subject = f"`{self.logical_id}`: the route `{key}` leads to nothing that is emulated"
                integration = self.unavailable(properties, subject, key)
            selects = bool(properties.text("RouteResponseSelectionExpression"))
            responds = selects or properties.label in responses
            yield self._with_authorization(Route(key, integration, responds), properties, variables)

    def _with_authorization(self, route: Route, properties: Properties, variables: Mapping[str, str]) -> Route:
        logical_id = properties.text("AuthorizerId")
        found = self.document.properties(logical_id)
        name = found.text("Name", logical_id)
        return self.with_authorization(
            route,
            properties.text("AuthorizationType", "NONE"),
            lambda: self.authorizer(name, found.text("AuthorizerUri"), found, variables),
            properties,
        )


def stage_of(properties: Properties, name: str) -> Stage:
    """Return a stage with its variables and throttling settings."""
    variables = properties.part("StageVariables")
    settings = properties.part("RouteSettings")
    throttles = {key: _throttle(settings.part(key)) for key in settings}
    return Stage(
        name,
        {key: variables.text(key) for key in variables},
        _throttle(properties.part("DefaultRouteSettings")),
        {key: throttle for key, throttle in throttles.items() if throttle},
    )


def _throttle(properties: Properties) -> Throttle | None:
    """Return a route's throttling settings; None if one of the two is missing: then the account's limits apply."""
    if not {"ThrottlingRateLimit", "ThrottlingBurstLimit"} <= set(as_mapping(properties.raw)):
        return None
    rate, burst = properties.number("ThrottlingRateLimit", 10_000), properties.number("ThrottlingBurstLimit", 5_000)
    return Throttle(rate, int(burst))
