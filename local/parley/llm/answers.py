"""Answers of the built-in model: pure functions, so the same request gets the same text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import unescape
from itertools import count

from parley.llm.tool_calls import Call, Step, step

MAX_QUOTE_CHARS = 200
_OF_THE_SYSTEM = ("system", "developer")
MAX_LONG_TOKENS = 100_000

_TOKEN = re.compile(r" ?\w{1,12}| ?[^\w\s]{1,12}|\n+|\s")
_CYRILLIC = re.compile(r"[\u0400-\u04ff]")
_LONG_COMMAND = re.compile(r"/long (\d{1,6})")

_ENGLISH = """\
I am the built-in model: no neural network, only enough text to show a conversation as it streams. \
You wrote: “{quote}”{instructions}

Earlier messages that came with it, the system prompt aside: {earlier}. The whole way to this answer was \
real: your message was stored, handed to a worker, and what you read now came over HTTP, token by token, \
as it would from any OpenAI-compatible server.

To talk to a real model, set OPENAI_API_KEY (and OPENAI_BASE_URL and OPENAI_MODEL for another provider) \
in `.env` and start the emulator again."""

_RUSSIAN = """\
Я встроенная модель: не нейросеть, а лишь немного текста, чтобы показать, как ответ приходит по частям. \
Вы написали: «{quote}»{instructions}

Предыдущих сообщений в запросе, не считая системного: {earlier}. Весь путь до этого ответа настоящий: \
ваше сообщение сохранено, передано обработчику, а то, что вы читаете, пришло по HTTP, токен за токеном, \
как от любого сервера, совместимого с OpenAI.

Чтобы говорить с настоящей моделью, задайте OPENAI_API_KEY (а для другого поставщика ещё OPENAI_BASE_URL \
и OPENAI_MODEL) в файле `.env` и запустите эмулятор заново."""


_RETURNED = "The tool {name} returned: {result}"
_RETURNED_IN_RUSSIAN = "Инструмент {name} вернул: {result}"
_INSTRUCTIONS = {
    _ENGLISH: " My instructions, which I do not understand, are: “{}”",
    _RUSSIAN: " Мои указания, которых я не понимаю: «{}»",
}

_FILE = re.compile(r'<(?:file|image) name="([^"]{1,400})"')
_FILES = {
    _ENGLISH: " Files that came with it: {names}. Images that I was shown: {images}.",
    _RUSSIAN: " К сообщению приложены файлы: {names}. Мне показаны изображения: {images}.",
}


@dataclass(frozen=True, slots=True)
class PromptMessage:
    """A message of a request, with its content as plain text. One of the assistant may have calls of tools.

    `call_id` is the id of the call whose result it is. `images` say of each image its type and its size.
    """

    role: str
    text: str
    calls: tuple[Call, ...] = ()
    call_id: str = ""
    images: tuple[str, ...] = ()


def question(messages: Sequence[PromptMessage]) -> str:
    """Return the text to answer: the last user message, or the last message if no user message exists."""
    return next((message.text for message in reversed(messages) if message.role == "user"), messages[-1].text)


def command(messages: Sequence[PromptMessage]) -> str:
    """Return the last paragraph of the text to answer, which may be a command.

    Backends join two messages of the user that come without an answer between them: the second one is the command.
    """
    return question(messages).strip().rpartition("\n\n")[2].strip()


def next_step(messages: Sequence[PromptMessage]) -> Step | None:
    """Return what the last user message tells the model to call next, None if nothing."""
    return step(question(messages), sum(bool(message.calls) for message in _since_question(messages)))


def answer(messages: Sequence[PromptMessage]) -> str:
    """Answer the last user message in its language. `messages` must not be empty."""
    asked = question(messages)
    if returned := _returned(messages):
        return "\n".join(returned)
    if long := _LONG_COMMAND.fullmatch(command(messages)):
        return _long_answer(min(int(long[1]), MAX_LONG_TOKENS))
    text = _RUSSIAN if _CYRILLIC.search(asked) else _ENGLISH
    conversation = [message for message in messages if message.role not in _OF_THE_SYSTEM]
    given = " ".join(message.text for message in messages if message.role in _OF_THE_SYSTEM)
    instructions = _INSTRUCTIONS[text].format(_quote(given)) if given.strip() else ""
    instructions += _files(messages, text)
    return text.format(quote=_quote(asked), instructions=instructions, earlier=max(len(conversation) - 1, 0))


def _files(messages: Sequence[PromptMessage], language: str) -> str:
    """Return what came with the last message of the user: files that its text names, and images."""
    asked = next((message for message in reversed(messages) if message.role == "user"), messages[-1])
    names, images = [unescape(name) for name in _FILE.findall(asked.text)], asked.images
    if not names and not images:
        return ""
    return _FILES[language].format(names=", ".join(names) or "–", images=", ".join(images) or "–")


def _since_question(messages: Sequence[PromptMessage]) -> Sequence[PromptMessage]:
    """Return the messages after the last one of a user."""
    last = max((place for place, message in enumerate(messages) if message.role == "user"), default=-1)
    return messages[last + 1 :]


def _returned(messages: Sequence[PromptMessage]) -> list[str]:
    """Return a line for each result of a tool since the last user message."""
    since = _since_question(messages)
    names = {call.id: call.name for message in since for call in message.calls}
    form = _RETURNED_IN_RUSSIAN if _CYRILLIC.search(question(messages)) else _RETURNED
    return [
        form.format(name=names.get(message.call_id, "?"), result=message.text)
        for message in since
        if message.role == "tool"
    ]


def tokens(text: str) -> list[str]:
    """Split a text roughly as a tokenizer does: words with the space before them, punctuation, line breaks.

    The joined pieces are the text.
    """
    return _TOKEN.findall(text)


def _quote(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MAX_QUOTE_CHARS else line[:MAX_QUOTE_CHARS] + "…"


def _long_answer(length: int) -> str:
    pieces: list[str] = []
    for number in count(1):
        if len(pieces) >= length:
            break
        pieces += tokens(f"Sentence {number} of a long answer, written only to be long.\n")
    return "".join(pieces[:length])
