"""Requests as IAM sees them: an action, the resource, and the values of condition keys. No I/O but the clock."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from parley.account import ACCOUNT_ID, REGION, secret_arn
from parley.iam.conditions import Context
from parley.iam.identity import session_id
from parley.iam.policies import Request
from parley.iam.requirements import ANY_SUFFIX, Permission


class Requests:
    """Makes requests. `deployed_names` are examples of names that CloudFormation generates, by logical id."""

    def __init__(self, deployed_names: Mapping[str, str]) -> None:
        self._deployed_names = deployed_names

    def of(self, role: str, function: str, permission: Permission) -> Request:
        """Return the request for a permission that a function needs in its role."""
        forms = () if permission.resource is None else tuple(self._forms(permission.resource))
        return Request(permission.action, forms, _context(role, function, permission))

    def _forms(self, resource: str) -> Iterator[str]:
        """Return the ARN of a resource here, and the one that it would have with a name that CloudFormation generates.

        So a policy may name resources by the beginning that such names have, `${AWS::StackName}-*`. A secret has the
        ARN that `Ref` returns, too.
        """
        yield resource
        *start, last = resource.split(":", 5)
        if last.startswith("secret:") and last.endswith(ANY_SUFFIX):
            yield secret_arn(last.removeprefix("secret:").removesuffix(ANY_SUFFIX))
        deployed = re.sub(r"[^:/]+", lambda match: self._deployed_names.get(match[0], match[0]), last)
        if deployed != last:
            yield ":".join((*start, deployed))


def _context(role: str, function: str, permission: Permission) -> Context:
    now = datetime.now(UTC)
    return {
        "aws:principalarn": (f"arn:aws:iam::{ACCOUNT_ID}:role/{role}",),
        "aws:principalaccount": (ACCOUNT_ID,),
        "aws:principaltype": ("AssumedRole",),
        "aws:userid": (session_id(function),),
        "aws:resourceaccount": (ACCOUNT_ID,),
        "aws:requestedregion": (REGION,),
        # The emulator's own address is http; on AWS the SDKs use https.
        "aws:securetransport": ("true",),
        "aws:viaawsservice": ("true" if permission.via else "false",),
        "aws:principalisawsservice": ("false",),
        "aws:currenttime": (now.isoformat(),),
        "aws:epochtime": (str(int(now.timestamp())),),
        "kms:calleraccount": (ACCOUNT_ID,),
        **({"kms:viaservice": (f"{permission.via}.{REGION}.amazonaws.com",)} if permission.via else {}),
    }
