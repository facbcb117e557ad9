"""Meaning of a stack's state for the next deployment or removal."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from parley.errors import StartError
from parley.operations import stack
from parley.operations.access import Access
from parley.operations.findings import Finding, error, ok, warning
from parley.operations.stack import Stack

_SHOWN_FAILURES = 3

_STATES = {
    "REVIEW_IN_PROGRESS": "an earlier deployment stopped before it created anything",
    "ROLLBACK_COMPLETE": "its first deployment failed, and what it had created was deleted again",
    "ROLLBACK_FAILED": "its first deployment failed, and some of what it had created could not be deleted",
    "CREATE_FAILED": "its first deployment failed, and what it had created is still there",
    "DELETE_FAILED": "its removal stopped half-way: some resources could not be deleted",
    "UPDATE_ROLLBACK_FAILED": "an update failed, and the state before it could not be restored",
    "UPDATE_FAILED": "an update failed, and was not rolled back",
}
_REMOVE_FIRST = {"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"}
"""States from which CloudFormation updates no stack."""


def finding(name: str, stage: str, access: Access, found: Stack | None) -> Finding:
    """Return the finding about a stack: whether it can be deployed now, and if not, the next step."""
    if found is None:
        return ok(f"Stack: there is no {name} in {access.region} yet. The first deployment creates it.")
    status = found.status
    text = f"Stack {name} in {access.region} is {status}: {_STATES.get(status, '')}".rstrip(": ") + "."
    if status in _REMOVE_FIRST:
        return error(
            _with_failures(text, access, found), f"make remove STAGE={stage} CONFIRM={name}, then deploy again."
        )
    if status == "UPDATE_ROLLBACK_FAILED":
        step = f"Mend the cause, then aws cloudformation continue-update-rollback --stack-name {name}."
        return error(_with_failures(text, access, found), step)
    if status == "REVIEW_IN_PROGRESS":
        return warning(text, "Deploy again: this is no obstacle. Or make remove deletes the empty stack.")
    if status.endswith("_IN_PROGRESS"):
        return error(f"Stack {name} in {access.region} is {status}: somebody changes it now.", "Wait until that ends.")
    return ok(f"Stack {name} in {access.region} is {status}.")


def after_failure(name: str, stage: str, access: Access) -> Iterator[Finding]:
    """Yield what is there after a deployment that failed: nothing, what the stack is, and what it left behind."""
    found = stack.find(access, name)
    if found is None or found.status == "REVIEW_IN_PROGRESS":
        yield ok(f"Nothing was created: stack {name} has no resources.")
        return
    if found.status in ("UPDATE_ROLLBACK_COMPLETE", "UPDATE_COMPLETE", "CREATE_COMPLETE"):
        yield ok(_with_failures(f"Stack {name} works as before: it is {found.status}.", access, found))
    else:
        yield finding(name, stage, access, found)
    left = [each for each in stack.resources(access, found) if each.status == "DELETE_SKIPPED"]
    if left:
        yield warning(
            f"Left behind by the deployment: {', '.join(f'{each.logical_id} ({each.name})' for each in left)}.",
            "Delete them if nothing in them is needed.",
        )


def _with_failures(text: str, access: Access, found: Stack) -> str:
    """Return a text with the reasons of the newest failures."""
    try:
        failures = list(islice(stack.failures(access, found), _SHOWN_FAILURES))
    except StartError:
        return text
    reasons = [f"{each.logical_id} ({each.kind}): {each.reason.rstrip('. ')}." for each in failures if each.reason]
    return " ".join([text, *reasons])
