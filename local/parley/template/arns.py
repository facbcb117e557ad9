"""Function references in templates: ARNs, integration URIs and names, with qualifiers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from parley.account import ACCOUNT_ID, REGION
from parley.template.model import LATEST

_INVOCATION = re.compile(r"functions/(?P<arn>.+?)/invocations")
_VARIABLE = re.compile(r"\$\{stageVariables\.(\w+)\}")


@dataclass(frozen=True, slots=True)
class FunctionReference:
    """A function by its name, and the qualifier of the reference."""

    name: str
    qualifier: str = LATEST


def function_in(reference: str, variables: Mapping[str, str] | None = None) -> FunctionReference:
    """Return the function that an integration's URI, an ARN or a plain name refers to.

    `variables` are those of the stage; the name may contain them. The name is empty if `reference` refers to no
    function.
    """
    reference = _VARIABLE.sub(lambda match: (variables or {}).get(match[1], ""), reference)
    match = _INVOCATION.search(reference)
    arn = match["arn"] if match else reference
    parts = arn.split(":")
    if len(parts) >= 7 and parts[5] == "function":
        return FunctionReference(parts[6], parts[7] if len(parts) > 7 and parts[7] else LATEST)
    name, _, qualifier = arn.partition(":")
    return FunctionReference(name, qualifier or LATEST) if re.fullmatch(r"[\w-]*", name) else FunctionReference("")


def function_arn(name: str, qualifier: str = LATEST) -> str:
    """Return the ARN of a function, or of its alias or version."""
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:{name}"
    return arn if qualifier == LATEST else f"{arn}:{qualifier}"
