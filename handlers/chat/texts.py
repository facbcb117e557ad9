"""Texts for people, in Russian (the default) and English."""

from __future__ import annotations

from dataclasses import dataclass

from handlers.chat.errors import Misconfigured


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of one language."""

    new_chat: str
    typing: str
    apology: str


RUSSIAN = Texts(
    new_chat="Новый чат",
    typing="Ассистент печатает...",
    apology="Извините, произошла ошибка при обработке вашего сообщения.",
)
ENGLISH = Texts(
    new_chat="New chat",
    typing="Assistant is typing...",
    apology="Sorry, something went wrong while processing your message.",
)
_LANGUAGES = {"ru": RUSSIAN, "en": ENGLISH}


def texts_in(language: str) -> Texts:
    """Return the texts of a language (`CHAT_LANGUAGE`). Raises `Misconfigured` for one that is not here."""
    try:
        return _LANGUAGES[language]
    except KeyError:
        choice = " or ".join(_LANGUAGES)
        raise Misconfigured(f"CHAT_LANGUAGE is {language!r}; set it to {choice}") from None
