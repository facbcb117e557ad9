"""The removal of a stack: what it deletes, what it keeps, and how to delete that too."""

from __future__ import annotations

from collections.abc import Sequence

from parley.errors import StartError
from parley.operations import stack
from parley.operations.access import Access
from parley.operations.stack import Resource, Stack

_DELETED_BY = {
    "AWS::DynamoDB::Table": "aws dynamodb delete-table --table-name {name}",
    "AWS::SQS::Queue": "aws sqs delete-queue --queue-url {name}",
    "AWS::Logs::LogGroup": "aws logs delete-log-group --log-group-name {name}",
    "AWS::S3::Bucket": "aws s3 rb s3://{name} --force",
}


def announcement(access: Access, found: Stack) -> str:
    """Return what the removal of a stack will do."""
    staying = stack.kept(access, found)
    ids = {each.logical_id for each in staying}
    going = [
        each for each in stack.resources(access, found) if each.logical_id not in ids and not _is_gone(each.status)
    ]
    kinds: dict[str, int] = {}
    for each in going:
        kinds[each.kind] = kinds.get(each.kind, 0) + 1
    counted = ", ".join(f"{count} {kind.rpartition('::')[2]}" for kind, count in sorted(kinds.items()))
    return f"Stack {found.name} in {access.region} ({found.status}). Its removal deletes: {counted or 'no resources'}."


def check(found: Stack, stage: str, confirmed: str) -> None:
    """Raise `StartError` if a stack cannot be removed now, or if nobody has confirmed it by its name."""
    if found.is_protected:
        raise StartError(
            f"Stack {found.name} is protected against removal. Lift that first: aws cloudformation "
            f"update-termination-protection --no-enable-termination-protection --stack-name {found.name}"
        )
    if found.status.endswith("_IN_PROGRESS") and found.status != "REVIEW_IN_PROGRESS":
        raise StartError(f"Stack {found.name} is {found.status}: somebody changes it now. Wait until that ends.")
    if confirmed != found.name:
        given = f"CONFIRM={confirmed} is not its name. " if confirmed else ""
        raise StartError(f"Nothing was removed. {given}To remove it: make remove STAGE={stage} CONFIRM={found.name}")


def left_over(kept: Sequence[Resource], region: str | None) -> str:
    """Return what stays, by name, and the commands that delete it."""
    if not kept:
        return "It keeps nothing."
    lines = [
        "It keeps these, with what is in them:",
        *(f"  {each.logical_id:<28} {each.name}" for each in kept),
        "To delete them too, for ever:",
        *(f"  {_command(each, region)}" for each in kept),
    ]
    if any(each.kind == "AWS::DynamoDB::Table" for each in kept):
        lines.append(
            "A table that is protected first needs aws dynamodb update-table --no-deletion-protection-enabled."
        )
    return "\n".join(lines)


def unfinished(access: Access, found: Stack) -> StartError:
    """Return the error for a removal that failed: what is still there, why, and the next step."""
    now = stack.find(access, found.id)
    status = "in an unknown state" if now is None else now.status
    reasons = [f"{each.logical_id}: {each.reason.rstrip('. ')}." for each in stack.failures(access, found)]
    there = [each.logical_id for each in stack.resources(access, found) if not _is_gone(each.status)]
    return StartError(
        f"Stack {found.name} is {status}: its removal is not complete. {' '.join(reasons)} "
        f"Still there: {', '.join(there) or 'nothing'}. Mend the cause, then make remove again."
    )


def _is_gone(status: str) -> bool:
    return status in ("DELETE_COMPLETE", "DELETE_SKIPPED")


def _command(resource: Resource, region: str | None) -> str:
    if resource.kind not in _DELETED_BY:
        return f"# {resource.kind}: delete {resource.name} by hand"
    return f"{_DELETED_BY[resource.kind].format(name=resource.name)} --region {region}"
