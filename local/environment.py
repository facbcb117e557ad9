"""The environment variables that functions see on a developer's machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from dotenv import dotenv_values

from local.identity import DEVELOPMENT_SECRET
from local.options import EMBEDDED, Options
from local.template.model import Template

CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
DYNAMODB_PATH = "/_parley/dynamodb"
INVOKE_PATH = "/2015-03-31/functions/"
MODEL_PATH = "/v1"


def given(environ: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Return what the developer says about variables: `.env` in this folder and, over it, the shell."""
    return {name: value for name, value in dotenv_values(folder / ".env").items() if value is not None} | dict(environ)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What stands in for the cloud around the functions of a template."""

    options: Options
    given: Mapping[str, str]

    @property
    def built_in_model(self) -> bool:
        """Tell whether the built-in model answers: nobody named another, by key or by address."""
        return not (self.given.get("OPENAI_API_KEY") or self.given.get("OPENAI_BASE_URL"))

    def furnish(self, template: Template, stage: str) -> Template:
        """Return the template with the final variables of every function.

        A variable that a function declares takes the developer's value, else the template's, else the
        emulator's own. The endpoints of AWS's services are always the emulator's.
        """
        functions = {
            name: replace(function, environment=self._variables(function.environment, stage))
            for name, function in template.functions.items()
        }
        return replace(template, functions=functions)

    def _variables(self, declared: Mapping[str, str], stage: str) -> dict[str, str]:
        variables = {name: self.given.get(name) or value for name, value in declared.items()}
        for name, value in self._stand_ins().items():
            if name in variables and (not variables[name] or self._is_model_endpoint(name)):
                variables[name] = value
        return variables | self._endpoints(stage) | self.credentials()

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
        region = self.given.get("AWS_REGION") or self.given.get("AWS_DEFAULT_REGION") or "us-east-1"
        own = {name: self.given.get(name, "") for name in CREDENTIALS}
        return own | {"AWS_REGION": region, "AWS_DEFAULT_REGION": region}

    def _stand_ins(self) -> dict[str, str]:
        model = {"OPENAI_BASE_URL": f"{self.options.url}{MODEL_PATH}"} if self.built_in_model else {}
        return {"JWT_SECRET": DEVELOPMENT_SECRET, "OPENAI_API_KEY": "none-needed", **model}

    def _is_model_endpoint(self, name: str) -> bool:
        return name == "OPENAI_BASE_URL" and self.built_in_model

    def _endpoints(self, stage: str) -> dict[str, str]:
        url = self.options.url
        return {
            "AWS_ENDPOINT_URL_DYNAMODB": f"{url}{DYNAMODB_PATH}" if self._through_emulator else self.options.dynamodb,
            "AWS_ENDPOINT_URL_LAMBDA": url,
            "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI": f"{url}/{stage}",
        }
