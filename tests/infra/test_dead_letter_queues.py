"""Dead-letter queues of the template: `parley dlq` finds each, and where its events go back to."""

from parley.operations.dead_letters import queues
from parley.operations.stack import Stack

from tests.support.sam import resources, text_of, transformed


def outputs():
    """Return the outputs with the logical ids of what they name."""
    return {name: each["Value"].get("Ref", "") for name, each in transformed()["Outputs"].items()}


def of(arn):
    """Return the logical id of the resource whose ARN this is."""
    return text_of(arn).partition(".")[0]


def found():
    return {each.url: each for each in queues(Stack("parley", "", "CREATE_COMPLETE", "", outputs(), {}, False))}


def test_each_queue_of_dead_letters_is_found():
    every = {name for name in resources(transformed(), "AWS::SQS::Queue") if name.endswith("DeadLetterQueue")}
    assert set(found()) == every


def test_events_go_back_to_the_function_that_could_not_handle_them():
    for name, function in resources(transformed(), "AWS::Lambda::Function").items():
        target = function["Properties"].get("DeadLetterConfig", {}).get("TargetArn")
        if target:
            assert found()[of(target)].function == name


def test_messages_of_another_queue_are_moved_by_sqs():
    template = transformed()
    sources = {
        of(queue["Properties"]["RedrivePolicy"]["deadLetterTargetArn"])
        for queue in resources(template, "AWS::SQS::Queue").values()
        if "RedrivePolicy" in queue["Properties"]
    }
    assert sources == {url for url, each in found().items() if each.function is None}
