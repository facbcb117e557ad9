"""`parley remove` and the words after a failed deployment: what goes, what stays, what is left behind."""

from __future__ import annotations

import json

import pytest
from parley.errors import StartError
from parley.operations import removal, stack, stack_state
from parley.operations.findings import Level

TEMPLATE = json.dumps(
    {
        "Resources": {
            "Users": {"Type": "AWS::DynamoDB::Table", "DeletionPolicy": "RetainExceptOnCreate"},
            "Connections": {"Type": "AWS::DynamoDB::Table", "DeletionPolicy": "Delete"},
            "Letters": {"Type": "AWS::SQS::Queue", "DeletionPolicy": "Retain"},
            "Files": {"Type": "AWS::EFS::FileSystem", "DeletionPolicy": "Retain"},
            "Worker": {"Type": "AWS::Lambda::Function"},
        }
    }
)
NAME = {"StackName": "parley-dev", "ChangeSetName": "first"}


@pytest.fixture
def deployed(account, access):
    """Deploy the template; resources in `failing` cannot be created. Return the stack."""

    def deployed(**failing):
        account.stacks.failing = failing
        kind = "UPDATE" if account.stacks.names() else "CREATE"
        body = TEMPLATE if kind == "CREATE" else TEMPLATE.replace("AWS::EFS", "AWS::FSx")
        account.stacks.create_change_set({**NAME, "ChangeSetType": kind, "TemplateBody": body})
        account.stacks.execute_change_set(NAME)
        account.stacks.failing = {}
        return stack.get(access, "parley-dev")

    return deployed


def test_what_goes_and_what_stays_is_said(access, deployed):
    found = deployed()
    assert removal.announcement(access, found) == (
        "Stack parley-dev in eu-central-1 (CREATE_COMPLETE). Its removal deletes: 1 Table, 1 Function."
    )
    assert removal.left_over(stack.kept(access, found), access.region).splitlines() == [
        "It keeps these, with what is in them:",
        "  Users                        Users",
        "  Letters                      Letters",
        "  Files                        Files",
        "To delete them too, for ever:",
        "  aws dynamodb delete-table --table-name Users --region eu-central-1",
        "  aws sqs delete-queue --queue-url Letters --region eu-central-1",
        "  # AWS::EFS::FileSystem: delete Files by hand",
        "A table that is protected first needs aws dynamodb update-table --no-deletion-protection-enabled.",
    ]


def test_nothing_is_removed_without_the_stacks_name(deployed):
    found = deployed()
    for confirmed, said in (
        ("", "Nothing was removed. To remove it: make remove STAGE=dev CONFIRM=parley-dev"),
        (
            "yes",
            "Nothing was removed. CONFIRM=yes is not its name. To remove it: make remove STAGE=dev CONFIRM=parley-dev",
        ),
    ):
        with pytest.raises(StartError) as error:
            removal.check(found, "dev", confirmed)
        assert str(error.value) == said
    removal.check(found, "dev", "parley-dev")


def test_a_protected_stack_and_one_that_is_changed_are_refused(account, access, deployed):
    deployed()
    account.stacks.get("parley-dev").is_protected = True
    with pytest.raises(StartError, match="--no-enable-termination-protection --stack-name parley-dev"):
        removal.check(stack.get(access, "parley-dev"), "dev", "parley-dev")
    account.stacks.get("parley-dev").is_protected = False
    account.stacks.get("parley-dev").status = "UPDATE_IN_PROGRESS"
    with pytest.raises(StartError, match="somebody changes it now"):
        removal.check(stack.get(access, "parley-dev"), "dev", "parley-dev")


def test_a_removal_that_stops_half_way_says_what_is_still_there(account, access, deployed):
    found = deployed()
    account.stacks.failing = {"Connections": "The table is protected."}
    account.stacks.delete_stack(NAME)
    assert str(removal.unfinished(access, found)) == (
        "Stack parley-dev is DELETE_FAILED: its removal is not complete. Connections: The table is protected. "
        "Still there: Connections. Mend the cause, then make remove again."
    )


class TestAfterAFailedDeployment:
    def test_the_first_one_says_what_it_left_behind(self, access, deployed):
        deployed(Worker="No such role.")
        state, left = stack_state.after_failure("parley-dev", "dev", access)
        assert state.level is Level.ERROR
        assert "is ROLLBACK_COMPLETE: its first deployment failed" in state.text
        assert "Worker (AWS::Lambda::Function): No such role." in state.text
        assert state.step == "make remove STAGE=dev CONFIRM=parley-dev, then deploy again."
        assert left.text == "Left behind by the deployment: Letters (Letters), Files (Files)."

    def test_an_update_leaves_the_stack_as_it_was(self, access, deployed):
        deployed()
        deployed(Worker="No such role.")
        [state] = stack_state.after_failure("parley-dev", "dev", access)
        assert state.level is Level.OK
        assert state.text == (
            "Stack parley-dev works as before: it is UPDATE_ROLLBACK_COMPLETE. "
            "Worker (AWS::Lambda::Function): No such role."
        )

    def test_nothing_was_created(self, account, access):
        assert [each.text for each in stack_state.after_failure("parley-dev", "dev", access)] == [
            "Nothing was created: stack parley-dev has no resources."
        ]
        account.stacks.create_change_set({**NAME, "ChangeSetType": "CREATE", "TemplateBody": TEMPLATE})
        assert len(list(stack_state.after_failure("parley-dev", "dev", access))) == 1


def test_a_stack_that_is_not_there_is_named_with_its_region(access):
    with pytest.raises(StartError, match=r"There is no stack parley-x in eu-central-1\. Check its name and the region"):
        stack.get(access, "parley-x")
