"""The options of `parley up`, and the developer's own variables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from dotenv import dotenv_values

from parley.errors import StartError
from parley.functions.machine import most_environments
from parley.gateway.assumptions import Assumptions
from parley.gateway.quotas import Quotas, TimeLimits
from parley.host_check import is_loopback
from parley.iam.access import Mode
from parley.template.projects import template_of

EMBEDDED, MOTO = "embedded", "moto"
"""The values of `dynamodb` for a DynamoDB of the emulator's own: the best that is installed, or moto."""

_VARIABLE = re.compile(r"(?:[\w-]+\.)?[A-Za-z_]\w*", re.ASCII)
_RESERVED = {
    *("_HANDLER", "_X_AMZN_TRACE_ID", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_EXECUTION_ENV", "AWS_ACCESS_KEY"),
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR"),
}
"""Names of Lambda's own: developer guide, "Defined runtime environment variables"."""

DEFAULT_PORT = 8000
"""The port of the emulator, and of the commands that call it, if nothing else is said."""


@dataclass(frozen=True, slots=True)
class Address:
    """The address that the emulator listens on.

    With `exposed` other machines reach everything, where they reach the address; otherwise the template's APIs only.
    """

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    exposed: bool = False

    @property
    def is_loopback(self) -> bool:
        """True if nobody but this machine reaches the address."""
        return is_loopback(self.host)

    @property
    def url(self) -> str:
        """The root of everything that is served, as a client on this machine reaches it."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104 - compared, not bound
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"


@dataclass(frozen=True, slots=True)
class TemplateOptions:
    """The template, the values of its parameters, the exports of other stacks, and a name for the first stage.

    `python` is the virtual environment or the program that runs all functions in Python.
    """

    path: Path = Path("infra/template.yaml")
    parameters: Mapping[str, str] = field(default_factory=dict)
    imports: Mapping[str, str] = field(default_factory=dict)
    stage: str | None = None
    python: Path | None = None


@dataclass(frozen=True, slots=True)
class FunctionOptions:
    """The options of the Lambda service.

    `environments` is the most that one function has, `retry_delay` the seconds before the first retry of an
    asynchronous invocation, `duplicates` the probability that one is delivered twice. With `freezes` environments stand
    still between events. `variables` are given to all functions, or to one as `Function.NAME`.
    """

    mode: Literal["process", "inline"] = "process"
    environments: int = field(default_factory=most_environments)
    retry_delay: float = 60.0
    duplicates: float = 0.0
    freezes: bool = True
    variables: Mapping[str, str] = field(default_factory=dict)

    def variables_of_all(self) -> dict[str, str]:
        """Return the variables that are given to all functions."""
        return {name: value for name, value in self.variables.items() if "." not in name}


@dataclass(frozen=True, slots=True)
class GatewayOptions:
    """The options of API Gateway.

    `post_latency` is in milliseconds. `reorder` is the seed by which messages of a connection overtake each other;
    None keeps their order. With `verify_signatures` a signature must also be correct. `origins` are those of pages that
    may use the APIs, besides the pages of this machine.
    """

    limits: TimeLimits = field(default_factory=TimeLimits)
    quotas: Quotas = field(default_factory=Quotas)
    assumptions: Assumptions = field(default_factory=Assumptions)
    post_latency: float = 0.0
    reorder: int | None = None
    verify_signatures: bool = False
    origins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Options:
    """The options of `parley up`, with their defaults.

    `dynamodb` is `EMBEDDED`, `MOTO` or the URL of a DynamoDB, `users` exist from the start, `tokens_per_second` is the
    pace of the built-in model, `faults` the file with the fault plan, and `iam` what follows from a missing permission.
    `data` is the folder for what is kept, None to keep nothing. With `record` payloads are recorded. With `test_api`
    tests may reset the emulator, let time pass, and change the fault plan. With `reloads` changed code is loaded while
    the emulator runs.
    """

    template: TemplateOptions = field(default_factory=TemplateOptions)
    address: Address = field(default_factory=Address)
    functions: FunctionOptions = field(default_factory=FunctionOptions)
    gateway: GatewayOptions = field(default_factory=GatewayOptions)
    dynamodb: str = EMBEDDED
    users: tuple[str, ...] = ("alice", "bob")
    tokens_per_second: float = 40.0
    faults: Path | None = None
    iam: Mode = "report"
    data: Path | None = None
    record: bool = False
    test_api: bool = False
    reloads: bool = True

    @property
    def embeds_dynamodb(self) -> bool:
        """True if the DynamoDB is the emulator's own, and not one at a URL."""
        return self.dynamodb in (EMBEDDED, MOTO)

    @property
    def intercepts_dynamodb(self) -> bool:
        """True if requests to a DynamoDB elsewhere go through the emulator: for faults, or to enforce permissions."""
        return self.faults is not None or self.iam == "enforce"

    @classmethod
    def of_command_line(cls, values: Mapping[str, Any]) -> Self:
        """Return the options from the command line's values, by the names of its options. Raises `StartError`."""
        limits = TimeLimits(
            idle=values["idle_timeout"],
            connection=values["connection_limit"],
            integration=values["integration_timeout"],
        )
        return cls(
            template=TemplateOptions(
                template_of(values["template"]),
                values["parameters"],
                values["imports"],
                values["stage"],
                values["python"],
            ),
            address=Address(values["host"], values["port"], values["expose"]),
            functions=FunctionOptions(
                values["functions"],
                values["environments"] or most_environments(),
                values["retry_delay"],
                values["duplicates"],
                values["freeze"],
                _variables(values["variables"]),
            ),
            gateway=GatewayOptions(
                limits=limits,
                assumptions=_assumptions(values["assume"]),
                post_latency=values["post_latency"],
                reorder=values["reorder"],
                verify_signatures=values["verify_signatures"],
                origins=tuple(values["origins"]),
            ),
            dynamodb=values["dynamodb"],
            users=tuple(user for user in map(str.strip, values["users"].split(",")) if user),
            tokens_per_second=values["tokens_per_second"],
            faults=values["faults"],
            iam=values["iam"],
            # A reset for a test empties every table, so what tests do is never kept.
            data=None if values["no_data"] or values["test_api"] else values["data"],
            record=values["record"],
            test_api=values["test_api"],
            reloads=values["reload"],
        )


def _variables(given: Mapping[str, str]) -> Mapping[str, str]:
    """Return the variables of `--env` as they are. Raises `StartError` for one that no function can have."""
    for each in given:
        name = each.rpartition(".")[2]
        if not _VARIABLE.fullmatch(each):
            raise StartError(f"--env {each} is not of the form NAME=VALUE or Function.NAME=VALUE. Correct it.")
        if name in _RESERVED or name.startswith("AWS_LAMBDA_"):
            raise StartError(f"--env {each}: Lambda sets {name} itself, so it cannot be given. Leave it out.")
    return given


def _assumptions(given: Iterable[str]) -> Assumptions:
    try:
        return Assumptions.of(given)
    except ValueError as error:
        raise StartError(str(error)) from None


class DeveloperVariables(dict[str, str]):
    """Variables of the developer. `meant` are those of the project: of `.env` and of `--env`."""

    def __init__(self, shell: Mapping[str, str], file: Mapping[str, str], given: Mapping[str, str]) -> None:
        super().__init__({**file, **shell, **given})
        self.meant: Mapping[str, str] = {**file, **given}


def overrides(environ: Mapping[str, str], folder: Path, given: Mapping[str, str] | None = None) -> DeveloperVariables:
    """Return the developer's variables: of `.env` in this folder, over them those of the shell, over them `given`."""
    file = {name: value for name, value in dotenv_values(folder / ".env").items() if value is not None}
    return DeveloperVariables(environ, file, given or {})
