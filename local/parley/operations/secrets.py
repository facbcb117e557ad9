"""Secrets that parameters only name: whether they are there. A function without its secret answers with errors only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from botocore.exceptions import ClientError

from parley.operations.access import CALL_ERRORS, Access, code_of, failed, is_denied
from parley.operations.findings import Finding, error, ok, warning

_MISSING = {"ParameterNotFound", "ParameterVersionNotFound", "ResourceNotFoundException"}
_CREATED_BY = {
    "ssm": 'aws ssm put-parameter --type SecureString --name {name} --value "$(cat FILE)"',
    "secretsmanager": "aws secretsmanager create-secret --name {name} --secret-string file://FILE",
}


def findings(values: Mapping[str, str], access: Access) -> Iterator[Finding]:
    """Yield a finding for each parameter that names a secret, `ssm:/name` or `secretsmanager:name`."""
    for parameter, value in values.items():
        service, colon, name = value.partition(":")
        if colon and service in _CREATED_BY:
            yield _finding(parameter, service, name, access)


def _finding(parameter: str, service: str, name: str, access: Access) -> Finding:
    client = access.client(service)
    try:
        # Its value is not decrypted, and not looked at.
        client.get_parameter(Name=name) if service == "ssm" else client.describe_secret(SecretId=name)
    except CALL_ERRORS as failure:
        if isinstance(failure, ClientError) and code_of(failure) in _MISSING:
            return error(
                f"{parameter} is {service}:{name}, and there is no such secret in {access.region}.",
                f"Create it: {_CREATED_BY[service].format(name=name.partition(':')[0])} --region {access.region}",
            )
        if is_denied(failure):
            return warning(
                f"{parameter}: not checked whether {service}:{name} exists.", "These credentials may not read it."
            )
        return error(f"{parameter}: {service}:{name} cannot be looked up.", str(failed(failure, "The call")))
    return ok(f"{parameter}: {service}:{name} exists.")
