"""The environment variables that functions see on a developer's machine."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dotenv import dotenv_values

from parley.account import REGION
from parley.aws_services import SERVICES_PATH
from parley.dev_tokens import DEVELOPMENT_SECRET
from parley.emulator.certificate import Certificate
from parley.emulator.options import EMBEDDED, Options
from parley.emulator.paths import path_of
from parley.functions.variables import FUNCTIONS_KEYS, FUNCTIONS_SECRET
from parley.template.model import Function, Integration, LambdaIntegration, Template, WebSocketApi

CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
DYNAMODB_PATH = "/_parley/dynamodb"
INVOKE_PATH = "/2015-03-31/functions/"
MODEL_PATH = "/v1"
_MANAGEMENT = "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI"


def given(environ: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Return what the developer says about variables: `.env` in this folder and, over it, the shell."""
    return {name: value for name, value in dotenv_values(folder / ".env").items() if value is not None} | dict(environ)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What stands in for the cloud around the functions of a template."""

    options: Options
    given: Mapping[str, str]
    certificate: Certificate

    @property
    def built_in_model(self) -> bool:
        """Tell whether the built-in model answers: nobody named another, by key or by address."""
        return not (self.given.get("OPENAI_API_KEY") or self.given.get("OPENAI_BASE_URL"))

    def furnish(self, template: Template) -> Template:
        """Return the template with the final variables of every function, and with the stage that the options name.

        A variable that a function declares takes the developer's value, else the template's, else the
        emulator's own. The endpoints of AWS's services are always the emulator's, and so are the hosts of the
        template's own APIs wherever a variable names them.
        """
        apis = self._staged(template.websocket_apis)
        ids = [api.api_id for api in apis] + [api.api_id for api in template.http_apis]
        hosts = [f"{each}.execute-api." for each in ids]
        functions = {
            name: replace(function, environment=self._variables(function, apis, hosts))
            for name, function in template.functions.items()
        }
        return replace(template, functions=functions, websocket_apis=apis)

    def _staged(self, apis: tuple[WebSocketApi, ...]) -> tuple[WebSocketApi, ...]:
        """Return the APIs, the first one's first stage named as the options say."""
        if not self.options.stage or not apis:
            return apis
        first, *stages = apis[0].stages
        return (replace(apis[0], stages=(replace(first, name=self.options.stage), *stages)), *apis[1:])

    def secret(self, access_key: str) -> str | None:
        """Return the secret of an access key: one of a function's, or the developer's own; None for any other."""
        if access_key.startswith(FUNCTIONS_KEYS):
            return FUNCTIONS_SECRET
        return self.given.get(CREDENTIALS[1]) if access_key == self.given.get(CREDENTIALS[0]) else None

    def _variables(self, function: Function, apis: Sequence[WebSocketApi], hosts: Iterable[str]) -> dict[str, str]:
        declared = {name: self._here(value, hosts) for name, value in function.environment.items()}
        variables = {name: self.given.get(name) or value for name, value in declared.items()}
        for name, value in self._stand_ins().items():
            if name in variables and (not variables[name] or self._is_model_endpoint(name)):
                variables[name] = value
        trust = {name: value for name, value in self.certificate.variables().items() if name not in variables}
        endpoints = self._endpoints(_management_path(apis, function.name))
        own = {name: value for name, value in variables.items() if name not in endpoints or self._is_elsewhere(name)}
        return trust | endpoints | own | self.credentials()

    def _is_elsewhere(self, name: str) -> bool:
        """Tell whether a service's endpoint is the template's own: all but those that are what the emulator is for."""
        return name not in ("AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_LAMBDA", _MANAGEMENT)

    def _here(self, value: str, hosts: Iterable[str]) -> str:
        """Return a variable's value with this machine in the place of the APIs' hosts on AWS."""
        here = self.options.url.partition("://")[2]
        for host in hosts:
            value = re.sub(rf"{re.escape(host)}[\w-]+\.amazonaws\.com(\.cn)?", here, value)
        return value

    @property
    def _through_emulator(self) -> bool:
        """Whether DynamoDB's requests go through the emulator: to the embedded one, or to be met by faults."""
        return self.options.dynamodb == EMBEDDED or self.options.faults is not None

    def credentials(self) -> dict[str, str]:
        """Return the developer's own credentials and region for a DynamoDB elsewhere, nothing for the embedded one."""
        if self._through_emulator:
            return {}
        if not self.given.get("AWS_ACCESS_KEY_ID"):
            # DynamoDB Local keeps the tables of each access key apart.
            return {"AWS_ACCESS_KEY_ID": "emulator", "AWS_SECRET_ACCESS_KEY": "emulator"}
        region = self.given.get("AWS_REGION") or self.given.get("AWS_DEFAULT_REGION") or REGION
        own = {name: self.given.get(name, "") for name in CREDENTIALS}
        return own | {"AWS_REGION": region, "AWS_DEFAULT_REGION": region}

    def _stand_ins(self) -> dict[str, str]:
        model = {"OPENAI_BASE_URL": f"{self.options.url}{MODEL_PATH}"} if self.built_in_model else {}
        secret = {} if self.given.get("JWT_JWKS_URL") else {"JWT_SECRET": DEVELOPMENT_SECRET}
        return {"OPENAI_API_KEY": "none-needed", **secret, **model}

    def _is_model_endpoint(self, name: str) -> bool:
        return name == "OPENAI_BASE_URL" and self.built_in_model

    def _endpoints(self, management_path: str) -> dict[str, str]:
        url = self.options.url
        return {
            "AWS_ENDPOINT_URL_DYNAMODB": f"{url}{DYNAMODB_PATH}" if self._through_emulator else self.options.dynamodb,
            "AWS_ENDPOINT_URL_LAMBDA": url,
            "AWS_ENDPOINT_URL_SQS": f"{url}{SERVICES_PATH}/sqs",
            "AWS_ENDPOINT_URL_SSM": f"{url}{SERVICES_PATH}/ssm",
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": f"{url}{SERVICES_PATH}/secretsmanager",
            "AWS_ENDPOINT_URL": f"{url}{SERVICES_PATH}",
            _MANAGEMENT: f"{url}{management_path}",
        }


def _management_path(apis: Sequence[WebSocketApi], function: str) -> str:
    """Return the path of the stage that a function most likely posts to: of the API that has it, else of the first."""
    having = (api for api in apis for route in api.routes.values() if _leads_to(route.integration, function))
    api = next(having, apis[0] if apis else None)
    return path_of(apis, api, api.stages[0]) if api else ""


def _leads_to(integration: Integration, function: str) -> bool:
    return isinstance(integration, LambdaIntegration) and integration.function == function


def chats(template: Template) -> bool:
    """Tell whether a template is a chat whose users the emulator adds and makes tokens for."""
    return _any_declares(template, "USERS_TABLE")


def uses_model(template: Template) -> bool:
    """Tell whether a function of a template asks an OpenAI-compatible model."""
    return _any_declares(template, "OPENAI_BASE_URL") or _any_declares(template, "OPENAI_API_KEY")


def _any_declares(template: Template, name: str) -> bool:
    return any(name in function.environment for function in template.functions.values())
