"""The model of a deployment, also of one whose settings are wrong.

A worker that could not start would leave its chat silent, until Lambda has tried it three times in three minutes. So a
wrong setting or an unreadable key is a failure of the model: the worker starts, and each reply is the apology.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from handlers.chat.errors import Misconfigured, ModelFailed
from handlers.chat.identity import secrets
from handlers.chat.log import logger
from handlers.chat.replies.llm import Model, ModelAnswer
from handlers.chat.replies.prompt import Question
from handlers.chat.settings import Settings, is_named


class UnusableModel:
    """A model that cannot be asked, because of its settings. Each answer fails at once."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def answer(self, question: Question) -> ModelAnswer:
        """Return an answer that has failed."""
        return ModelAnswer.failed(ModelFailed(self._reason, billed=False))


AnyModel = Model | UnusableModel


def model_of(settings: Settings, problems: Mapping[str, str], key: str) -> AnyModel:
    """Return the model of a deployment. `key` is the key of its server, or the name of a secret.

    `problems` are the variables whose values cannot be used, with a text for each.
    """
    if problems:
        return UnusableModel(f"wrong settings: {', '.join(sorted(problems))}")
    try:
        return Model.of(settings, _key(key.strip()))
    except Exception as error:
        # The libraries check what they read from the environment, such as the URL of a proxy.
        logger.exception("model_not_built")
        return UnusableModel(f"the client of the model's server cannot be built: {type(error).__name__}")


def _key(setting: str) -> str | Callable[[], Awaitable[str]]:
    if not is_named(setting):
        return setting
    # Read now, because Lambda gives a starting environment more CPU. It is kept for some minutes.
    with suppress(Misconfigured):
        secrets.value_of(setting)

    async def read() -> str:
        try:
            return (await asyncio.to_thread(secrets.value_of, setting)).strip()
        except Misconfigured as error:
            raise ModelFailed(str(error), billed=False) from None

    return read
