"""Access to an AWS account: clients for its services, and one text for each way in which a call can fail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004 - botocore's name
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
)

from parley.errors import StartError

CONFIG = Config(connect_timeout=3, read_timeout=20, retries={"total_max_attempts": 2})
CALL_ERRORS = (ClientError, BotoCoreError)

NO_REGION = (
    "No AWS region is set. Name one: export AWS_DEFAULT_REGION=eu-central-1, or `region` in infra/samconfig.toml."
)
NO_CREDENTIALS = (
    "No AWS credentials were found. Log in (aws configure, or aws sso login), or set AWS_PROFILE, "
    "or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
)
_REFUSED_CREDENTIALS = {
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_REFUSED_ACTION = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}


@dataclass(frozen=True, slots=True)
class Access:
    """An account and a region, by the credentials that boto3 finds. `region` and `profile` replace its defaults."""

    session: Any

    @classmethod
    def found(cls, region: str | None = None, profile: str | None = None) -> Access:
        """Return the access that the shell, the files of the AWS CLI and these two give. Raises `StartError`."""
        try:
            return cls(boto3.Session(region_name=region, profile_name=profile))
        except ProfileNotFound:
            raise StartError(f"There is no AWS profile {profile}. See ~/.aws/config and AWS_PROFILE.") from None

    @property
    def region(self) -> str | None:
        """The region; None if none is set."""
        region: str | None = self.session.region_name
        return region

    def client(self, service: str, **options: Any) -> Any:
        """Return a client of a service. Raises `StartError` without a region."""
        try:
            return self.session.client(service, config=CONFIG, **options)
        except NoRegionError:
            raise StartError(NO_REGION) from None


def failed(error: ClientError | BotoCoreError, what: str) -> StartError:
    """Return the error for a call that failed: what was done, why not, and the next step."""
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return StartError(NO_CREDENTIALS)
    if isinstance(error, SSOError):
        return StartError(f"{what}: the login has ended ({error}). Run aws sso login.")
    if isinstance(error, ConnectionError):
        where = getattr(error, "kwargs", {}).get("endpoint_url") or "AWS"
        return StartError(f"{what}: no answer from {where}. Check the region, the network and the proxy.")
    if not isinstance(error, ClientError):
        return StartError(f"{what}: {str(error).rstrip('.')}.")
    if code_of(error) in _REFUSED_CREDENTIALS:
        return StartError(
            f"{what}: AWS refuses the credentials ({code_of(error)}). Log in again, or check AWS_PROFILE and the keys."
        )
    if is_denied(error):
        return StartError(f"{what}: these credentials may not do that. {message_of(error)}. Ask for this right.")
    return StartError(f"{what}: {message_of(error)} ({code_of(error)}).")


def code_of(error: ClientError) -> str:
    """Return the code of an error of AWS's."""
    return str(error.response.get("Error", {}).get("Code", ""))


def message_of(error: ClientError) -> str:
    """Return the text of an error of AWS's, without its full stop."""
    return str(error.response.get("Error", {}).get("Message", error)).rstrip(". ")


def is_denied(error: Exception) -> bool:
    """Tell if a call failed because the credentials do not have the right to it."""
    return isinstance(error, ClientError) and code_of(error) in _REFUSED_ACTION
