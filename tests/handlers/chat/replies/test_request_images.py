"""Images in requests: how they are sent, and what follows if a model does not take them."""

from dataclasses import replace
from itertools import pairwise

import pytest

from handlers.chat.records import Attachment, Role
from handlers.chat.replies.files import NOT_SHOWN
from handlers.chat.replies.messages import PromptMessage
from handlers.chat.replies.request import Dialect, Refusal, Request, after

PNG = "data:image/png;base64,QUJD"


def said(text, *names):
    images = tuple(Attachment(name, name, "image/png", 3) for name in names)
    return PromptMessage(Role.USER, text, attachments=images)


ASKED = Request(
    (said("Look", "a"), PromptMessage(Role.ASSISTANT, "A cat"), said("And these?", "b", "c")),
    instructions="Be brief.",
    files={"a": PNG, "b": PNG, "c": PNG},
)
TEXT = Request((PromptMessage(Role.USER, "Hi"),))

NO_IMAGES = [
    # OpenAI, of a model without vision (vllm-project/vllm/issues/11629)
    (400, {"error": {"message": "Invalid content type. image_url is only supported by certain models.", "code": None}}),
    # DeepSeek (yilewang/llm-for-zotero/issues/143, jxxghp/MoviePilot/issues/5863)
    (400, {"error": {"message": "Failed to deserialize: messages[13]: unknown variant image_url, expected text at 1"}}),
    (400, {"error": {"message": "messages[137]: unknown variant `image_url`, expected `text`"}}),
    # Ollama (ollama/ollama/issues/17301)
    (400, {"error": {"message": "this model does not support image input (ref: b8bd630e)"}}),
    # OpenRouter and Xiaomi (nexu-io/nexu/issues/875, JohnnyZ93/oai-compatible-copilot/issues/229)
    (404, {"error": {"message": "No endpoints found that support image input", "code": 404}}),
    # llama.cpp (ggml-org/llama.cpp/issues/12947)
    (500, {"error": {"message": 'Failed to parse messages: Unsupported content part type: "image_url"'}}),
    # made up, in the words of other servers
    (400, {"error": {"message": "some-text-model is not a multimodal model"}}),
    (500, {"error": {"message": "image input is not supported - hint: you may need to provide the mmproj"}}),
    (400, {"error": {"message": "'messages.0' : content must be a string"}}),
]


def urls(request):
    return [
        part["image_url"]["url"]
        for message in request.conversation()
        if isinstance(message["content"], list)
        for part in message["content"]
        if part["type"] == "image_url"
    ]


def test_images_are_sent_with_their_messages():
    roles = [(message["role"], type(message["content"])) for message in ASKED.conversation()]
    assert roles == [("system", str), ("user", list), ("assistant", str), ("user", list)]
    assert urls(ASKED) == [PNG] * 3


def test_a_model_without_messages_of_the_system_reads_the_instructions_before_the_images():
    first, *_ = replace(ASKED, dialect=Dialect(system=False)).conversation()
    assert first["content"][0]["text"].startswith("Be brief.\n\nLook")
    assert len(first["content"]) == 2


@pytest.mark.parametrize(("status", "body"), NO_IMAGES, ids=range(len(NO_IMAGES)))
def test_a_model_that_takes_no_images_is_asked_without_them_and_from_then_on(status, body):
    refusal = Refusal.of(status, body)
    changed = after(ASKED, refusal)
    assert changed.dialect == Dialect(images=0)
    assert urls(changed) == []
    assert all(isinstance(message["content"], str) for message in changed.conversation())
    assert str(changed.conversation()).count(NOT_SHOWN) == 3
    assert after(TEXT, refusal) is None


@pytest.mark.parametrize(
    ("text", "left"), [("At most 2 image(s) may be provided in one prompt.", 2), ("at most 0 images", 0)]
)
def test_the_newest_images_are_sent_if_there_may_be_fewer(text, left):
    changed = after(ASKED, Refusal.of(400, {"error": {"message": text}}))
    assert (changed.dialect.images, changed.images) == (left, ["b", "c"][:left])


def test_a_number_that_changes_nothing_is_lowered():
    refusal = Refusal.of(400, {"error": {"message": "At most 9 images"}})
    request, counts = ASKED, []
    while request := after(request, refusal):
        counts.append(len(request.images))
    assert counts == [2, 1, 0]


@pytest.mark.parametrize(
    "text", ["Cannot decode or download image , ", "messages: image exceeds 5 MB maximum", "Something else"]
)
def test_an_image_that_is_refused_does_not_end_the_chat_and_says_nothing_of_the_model(text):
    # Fireworks (machine-theory/lm-council/issues/14)
    changed = after(ASKED, Refusal.of(400, {"error": {"message": text}}))
    assert (urls(changed), changed.dialect) == ([], ASKED.dialect)


def test_a_prompt_that_is_too_long_loses_older_messages_then_long_texts_then_images():
    files = {**ASKED.files, "d": "\n" + "x" * 9_000}
    long = Attachment("d", "d.txt", "text/plain", 9_000)
    last = replace(ASKED.messages[-1], attachments=(*ASKED.messages[-1].attachments, long))
    request = replace(ASKED, messages=(*ASKED.messages[:-1], last), files=files)
    refusal = Refusal.of(400, {"error": {"code": "context_length_exceeded", "message": "too long"}})
    series = [request]
    while request := after(request, refusal):
        series.append(request)
    sizes = [len(str(each.conversation())) for each in series]
    assert all(before > then for before, then in pairwise(sizes))
    assert [(len(each.messages), len(each.files["d"]) > 9_000, len(urls(each))) for each in series] == [
        (3, True, 3),
        (1, True, 2),
        (1, False, 2),
        (1, False, 0),
    ]
