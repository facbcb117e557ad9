"""Environment variables of functions on a developer's machine: the template's, with this machine in AWS's place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

from parley import dev_tokens, proxies
from parley.account import REGION
from parley.emulator.certificate import Certificate, certificate
from parley.emulator.developer import check_given, for_functions, given_to, refused_overrides
from parley.emulator.hosts import Hosts, custom_domains, prefixes
from parley.emulator.options import Options
from parley.emulator.paths import DYNAMODB_PATH, EVENTS, MODEL_PATH, SERVICES_PATH, path_of
from parley.emulator.service_integrations import with_endpoints
from parley.functions.variables import FUNCTIONS_KEYS, FUNCTIONS_SECRET
from parley.template.model import PROVIDED, Function, Integration, LambdaIntegration, Template, WebSocketApi

_CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_MANAGEMENT = "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI"


@dataclass(frozen=True, slots=True)
class FunctionVariables:
    """The variables of a template's functions. `overrides` are the developer's own."""

    options: Options
    overrides: Mapping[str, str]
    certificate: Certificate

    @classmethod
    def on_this_machine(cls, options: Options, overrides: Mapping[str, str]) -> Self:
        """Return the variables with this machine's certificate. It is made now if there is none."""
        return cls(options, overrides, certificate(options.address.host, overrides))

    @property
    def built_in_model(self) -> bool:
        """True if the built-in model answers: the developer names no other one, by key or by URL."""
        return not (self.overrides.get("OPENAI_API_KEY") or self.overrides.get("OPENAI_BASE_URL"))

    def provision(self, template: Template) -> Template:
        """Return the template with the final variables of every function, and with the stage that the options name.

        A variable that a function declares gets the developer's value, else the template's, else the emulator's own.
        Variables of `--env` need no declaration. The endpoints of DynamoDB, Lambda and `@connections` are always the
        emulator's. In every value the hosts of the template's own APIs,
        and the custom domain names of its WebSocket APIs, become this machine. A developer's value that a
        deployment would refuse gets a note. Raises `StartError` for a variable of a function that does not exist.
        """
        check_given(template, self.options.functions)
        urls = self._endpoints("")
        endpoints = {service: urls[f"AWS_ENDPOINT_URL_{service.upper()}"] for service in ("dynamodb", "sqs", "sns")}
        apis = with_endpoints(self._staged(template.websocket_apis), endpoints)
        paths = prefixes(template)
        hosts = Hosts(self.options.address.url, paths, custom_domains(apis, paths))
        functions = {
            name: replace(
                function,
                # An executable has nobody who reads this variable, and removes it.
                environment=self._variables(function, apis, hosts)
                | ({} if function.language == PROVIDED else hosts.variables()),
            )
            for name, function in template.functions.items()
        }
        notes = (*template.notes, *refused_overrides(template, self.overrides))
        return replace(template, functions=functions, websocket_apis=apis, notes=notes)

    def _staged(self, apis: tuple[WebSocketApi, ...]) -> tuple[WebSocketApi, ...]:
        """Return the APIs, with the first API's first stage named as the options say."""
        stage = self.options.template.stage
        if not stage or not apis:
            return apis
        first, *stages = apis[0].stages
        return (replace(apis[0], stages=(replace(first, name=stage), *stages)), *apis[1:])

    def of_clients(self, template: Template, websocket_url: str | None) -> dict[str, str]:
        """Return the variables by which a program beside the emulator finds it: its own, and those that SDKs read."""
        stage = _management_path(template.websocket_apis, "")
        keys = {"AWS_ACCESS_KEY_ID": "emulator", "AWS_SECRET_ACCESS_KEY": "emulator"}
        own = {"PARLEY_URL": self.options.address.url}
        if websocket_url:
            own["PARLEY_WEBSOCKET_URL"] = websocket_url
        if template.http_apis:
            own["PARLEY_HTTP_URL"] = self.options.address.url
        region = {"AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION}
        return own | keys | region | self._endpoints(stage) | self.credentials()

    def secret(self, access_key: str) -> str | None:
        """Return the secret of a function's access key or of the developer's own; None for any other key."""
        if access_key.startswith(FUNCTIONS_KEYS):
            return FUNCTIONS_SECRET
        own_key, own_secret = (self.overrides.get(name) for name in _CREDENTIALS[:2])
        return own_secret if access_key == own_key else None

    def _variables(self, function: Function, apis: Sequence[WebSocketApi], hosts: Hosts) -> dict[str, str]:
        declared = {name: hosts.localised(value) for name, value in function.environment.items()}
        own, given = for_functions(self.overrides), given_to(function, self.options.functions)
        variables = {name: own.get(name, value) for name, value in declared.items()} | given
        if proxies.names_a_proxy(variables):
            proxies.exempt(variables, self.options.address.host)
        for name, value in self._defaults().items():
            if name in variables and (not variables[name] or self._is_model_endpoint(name)):
                variables[name] = value
        if variables.get("JWT_SECRET") == "" and not self.overrides.get("JWT_JWKS_URL"):
            variables["JWT_SECRET"] = dev_tokens.secret(self.overrides)
        variables |= given
        trust = {name: value for name, value in self.certificate.variables().items() if name not in variables}
        endpoints = self._endpoints(_management_path(apis, function.name))
        kept = {name: value for name, value in variables.items() if name not in endpoints or _may_be_elsewhere(name)}
        return trust | endpoints | kept | self.credentials()

    @property
    def _through_emulator(self) -> bool:
        """True if requests to DynamoDB go through the emulator: to the embedded one, or because it may refuse them."""
        return self.options.embeds_dynamodb or self.options.intercepts_dynamodb

    def credentials(self) -> dict[str, str]:
        """Return credentials and region for a DynamoDB elsewhere; nothing if requests go through the emulator."""
        if self._through_emulator:
            return {}
        if not self.overrides.get("AWS_ACCESS_KEY_ID"):
            # DynamoDB Local keeps the tables of each access key apart, so all functions need the same key.
            return {"AWS_ACCESS_KEY_ID": "emulator", "AWS_SECRET_ACCESS_KEY": "emulator"}
        region = self.overrides.get("AWS_REGION") or self.overrides.get("AWS_DEFAULT_REGION") or REGION
        own = {name: self.overrides.get(name, "") for name in _CREDENTIALS}
        return own | {"AWS_REGION": region, "AWS_DEFAULT_REGION": region}

    def _defaults(self) -> dict[str, str]:
        """Return values for variables that neither the developer nor the template gives one."""
        model = {"OPENAI_BASE_URL": f"{self.options.address.url}{MODEL_PATH}"} if self.built_in_model else {}
        return {"OPENAI_API_KEY": "none-needed", **model}

    def _is_model_endpoint(self, name: str) -> bool:
        return name == "OPENAI_BASE_URL" and self.built_in_model

    def _endpoints(self, management_path: str) -> dict[str, str]:
        url = self.options.address.url
        return {
            "AWS_ENDPOINT_URL_DYNAMODB": f"{url}{DYNAMODB_PATH}" if self._through_emulator else self.options.dynamodb,
            "AWS_ENDPOINT_URL_DYNAMODB_STREAMS": f"{url}{DYNAMODB_PATH}"
            if self._through_emulator
            else self.options.dynamodb,
            "AWS_ENDPOINT_URL_LAMBDA": url,
            "AWS_ENDPOINT_URL_SQS": f"{url}{SERVICES_PATH}/sqs",
            "AWS_ENDPOINT_URL_SNS": f"{url}{SERVICES_PATH}/sns",
            "AWS_ENDPOINT_URL_S3": f"{url}{SERVICES_PATH}/s3",
            "AWS_ENDPOINT_URL_EVENTBRIDGE": f"{url}{SERVICES_PATH}/{EVENTS}",
            "AWS_ENDPOINT_URL_SSM": f"{url}{SERVICES_PATH}/ssm",
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": f"{url}{SERVICES_PATH}/secretsmanager",
            "AWS_ENDPOINT_URL": f"{url}{SERVICES_PATH}",
            _MANAGEMENT: f"{url}{management_path}",
        }


def _may_be_elsewhere(endpoint: str) -> bool:
    """Return whether a template may set this endpoint: all but those of the services that the emulator is for."""
    return endpoint not in ("AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_LAMBDA", _MANAGEMENT)


def _management_path(apis: Sequence[WebSocketApi], function: str) -> str:
    """Return the path of the stage that a function most likely posts to: of the API that invokes it, else the first."""
    invoking = (api for api in apis for route in api.routes.values() if _invokes(route.integration, function))
    api = next(invoking, apis[0] if apis else None)
    return path_of(apis, api, api.stages[0]) if api else ""


def _invokes(integration: Integration, function: str) -> bool:
    return isinstance(integration, LambdaIntegration) and integration.function == function


def allowed_origins(template: Template) -> set[str]:
    """Return the origins that functions of a template allow in the way of Parley's: in `ALLOWED_ORIGINS`."""
    lists = (function.environment.get("ALLOWED_ORIGINS", "") for function in template.functions.values())
    return {origin.strip() for listed in lists for origin in listed.split(",")} - {""}


def has_users(template: Template) -> bool:
    """Return whether a template is a chat: then the emulator adds users to its table and makes tokens for them."""
    return _any_declares(template, "USERS_TABLE")


def uses_model(template: Template) -> bool:
    """Return whether a function of a template asks an OpenAI-compatible model."""
    return _any_declares(template, "OPENAI_BASE_URL") or _any_declares(template, "OPENAI_API_KEY")


def _any_declares(template: Template, name: str) -> bool:
    return any(name in function.environment for function in template.functions.values())
