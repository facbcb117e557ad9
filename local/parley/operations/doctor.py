"""The examination of `parley doctor`: everything that can be known to be wrong before a deployment."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from parley.errors import StartError
from parley.operations import parameters, secrets, stack, stack_state
from parley.operations.access import CALL_ERRORS, NO_REGION, Access, failed, is_denied
from parley.operations.findings import Finding, error, ok, warning
from parley.operations.samconfig import StageConfig
from parley.template.document import Document
from parley.template.references import Stack as TemplateStack

_MAX_NAME = 128
UNRESERVED = 100
"""Concurrency that Lambda leaves to functions without a reservation.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
"""
_BUNDLES = 300 * 1024 * 1024
"""Bytes of code that one deployment may add. Lambda counts the code of all functions and versions."""
_API_RATE = ("apigateway", "L-8A5B8E43")
"""Requests a second of all APIs of the account in the region (Service Quotas: "Throttle rate")."""
_RATED = {"AWS::Serverless::WebSocketApi": "DefaultRouteSettings", "AWS::Serverless::HttpApi": "DefaultRouteSettings"}


def examine(
    config: StageConfig, template: Path, values: Mapping[str, str], access: Access, *, is_guided: bool = False
) -> Iterator[Finding]:
    """Yield the findings about a stage. `values` replace its parameters.

    With `is_guided` somebody is asked for the parameters that have no value. Raises `StartError` if the template cannot
    be read.
    """
    yield _name(config)
    declared = parameters.declared_in(template)
    given = {**config.parameters, **values}
    account = list(_account(access))
    yield from account
    if any(each.step for each in account):
        yield from parameters.findings(declared, given, declared, config.place)
        return
    try:
        found = stack.find(access, config.stack)
    except StartError as failure:
        yield error(str(failure), "Correct this first.")
        return
    there = _earlier_values(found, declared)
    wrong = list(parameters.findings(declared, given, declared if is_guided else there, config.place))
    if not wrong and not any(declared[name].get("NoEcho") for name in there.keys() - given.keys()):
        # Otherwise only CloudFormation knows all values: it shows no secret, and not whether there is one.
        wrong = list(parameters.broken_rules(template, {**there, **given}, config.place))
    yield from wrong or [ok(f"Parameters: the template accepts all {len(given)} that {config.file} and you set.")]
    yield stack_state.finding(config.stack, config.name, access, found)
    if not wrong:
        document = Document.read(template, {**there, **given}, {}, TemplateStack(config.stack))
        earlier = Document.read(template, there, {}, TemplateStack(config.stack))
        yield from _lambda(document, access, reserved_already=_reserved(earlier) if there else 0)
        yield from _rates(document, access)
        yield from secrets.findings(given, access)


def _earlier_values(found: stack.Stack | None, declared: parameters.Declared) -> dict[str, str]:
    """Return the parameters that keep the values of an earlier deployment."""
    if found is None or found.status == "REVIEW_IN_PROGRESS":
        return {}
    return {name: value for name, value in found.parameters.items() if name in declared}


def _name(config: StageConfig) -> Finding:
    """Check the name of the stack: CloudFormation's rule for it."""
    if len(config.stack) > _MAX_NAME:
        return error(
            f"{config.file}: the stack name of stage {config.name} has {len(config.stack)} characters.",
            f"Shorten stack_name to {_MAX_NAME} characters.",
        )
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*", config.stack):
        return error(
            f"{config.file}: {config.stack!r} cannot be the name of a stack.",
            "Start stack_name with a letter, and use letters, digits and hyphens only.",
        )
    return ok(f"Stack name: {config.stack}")


def _account(access: Access) -> Iterator[Finding]:
    """Check the region and the credentials."""
    region = access.region
    if region is None:
        yield error("Region: none.", NO_REGION)
        return
    known = _known_regions(access)
    if region not in known:
        yield error(
            f"Region: {region} is not a region with Lambda.",
            f"Set AWS_DEFAULT_REGION to one of {', '.join(known)}.",
        )
        return
    yield ok(f"Region: {region}")
    try:
        caller = access.client("sts").get_caller_identity()
    except CALL_ERRORS as failure:
        yield error("Credentials: not usable.", str(failed(failure, "Your identity")))
        return
    yield ok(f"Credentials: account {caller['Account']}, {caller['Arn']}")


def _known_regions(access: Access) -> list[str]:
    """Return the regions of all partitions that have Lambda, those of the common partition first."""
    partitions = access.session.get_available_partitions()
    return [
        name
        for each in partitions
        for name in sorted(access.session.get_available_regions("lambda", partition_name=each))
    ]


def _lambda(document: Document, access: Access, *, reserved_already: int) -> Iterator[Finding]:
    """Compare the reservations of the template with the account's concurrency, and the code with its storage."""
    try:
        settings = access.client("lambda").get_account_settings()
    except CALL_ERRORS as failure:
        yield _not_checked("Lambda's concurrency", failure, "lambda:GetAccountSettings")
        return
    limit, usage = settings["AccountLimit"], settings["AccountUsage"]
    total = int(limit["ConcurrentExecutions"])
    reserved = _reserved(document)
    free = int(limit["UnreservedConcurrentExecutions"]) + reserved_already - UNRESERVED
    if reserved > max(free, 0):
        yield error(
            f"Lambda: the template reserves {reserved} concurrent executions, and the account has "
            f"{max(free, 0)} to reserve (quota {total}, of which {UNRESERVED} must stay unreserved).",
            "Set the parameters of the reserved concurrency to 0, or ask for a higher quota (Service Quotas, Lambda, "
            "Concurrent executions).",
        )
    elif total < 1000:
        yield warning(
            f"Lambda: the account may run {total} executions at once. Each running reply takes one, each frame of a "
            "client one for a moment.",
            "It is enough to try it. Ask for a higher quota before users come (Service Quotas, Lambda, Concurrent "
            "executions).",
        )
    else:
        yield ok(f"Lambda: {total} concurrent executions, of which the template reserves {reserved}.")
    if limit["TotalCodeSize"] - usage["TotalCodeSize"] < _BUNDLES:
        left = (limit["TotalCodeSize"] - usage["TotalCodeSize"]) // 1024**2
        yield error(f"Lambda: {left} MiB of storage for code are left.", "Delete functions or versions in this region.")


def _reserved(document: Document) -> int:
    """Return the concurrency that all functions of a template reserve."""
    functions = document.of_type("AWS::Serverless::Function", "AWS::Lambda::Function")
    return sum(int(document.properties(name).number("ReservedConcurrentExecutions", 0)) for name in functions)


def _rates(document: Document, access: Access) -> Iterator[Finding]:
    """Compare the throttles of the stages with the account's quota."""
    names = document.of_type(*_RATED)
    parts = [document.properties(name).part(_RATED[document.kind(name)]) for name in names]
    asked = sum(part.number("ThrottlingRateLimit", 0) for part in parts)
    try:
        quota = _quota(access.client("service-quotas"))
    except CALL_ERRORS as failure:
        yield _not_checked("API Gateway's quota of requests", failure, "servicequotas:GetServiceQuota")
        return
    if asked > quota:
        yield warning(
            f"API Gateway: the stages allow {asked:g} requests a second, the account {quota:g} for all its APIs.",
            "Lower the throttles of the stages, or ask for more (Service Quotas, API Gateway, Throttle rate).",
        )
    else:
        yield ok(f"API Gateway: the stages allow {asked:g} requests a second of the account's {quota:g}.")


def _quota(quotas: Any) -> float:
    """Return the applied value of the quota, or AWS's default if the account has none of its own."""
    service, code = _API_RATE
    try:
        answer = quotas.get_service_quota(ServiceCode=service, QuotaCode=code)
    except quotas.exceptions.NoSuchResourceException:
        answer = quotas.get_aws_default_service_quota(ServiceCode=service, QuotaCode=code)
    return float(answer["Quota"]["Value"])


def _not_checked(what: str, failure: ClientError | BotoCoreError, right: str) -> Finding:
    """Return the finding for a quota that these credentials may not read, or that did not come."""
    if is_denied(failure):
        return warning(f"{what}: not checked.", f"These credentials lack {right}. A deployment does not need it.")
    return warning(f"{what}: not checked.", str(failed(failure, "The call")))
