"""Screening: the hooks of an assistant, applied to the texts of users that its model reads, and to its own texts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from handlers.chat.assistants import Assistant, HookContext, Refusal
from handlers.chat.assistants.hooks import DEFAULT_WINDOW, Hook, takes_context
from handlers.chat.concurrency import Runtime
from handlers.chat.log import logger
from handlers.chat.protocol import frames, parts
from handlers.chat.replies.attempt import Attempt
from handlers.chat.replies.files import Files, as_text, text_files
from handlers.chat.replies.hooks import HOOK_SECONDS, Hooked, HookFailed, Hooks
from handlers.chat.replies.prompt import Prompt
from handlers.chat.replies.screen import Screen

MAX_KNOWN = 1_000
"""Texts of users whose outcome an environment remembers."""


class Screening:
    """The screening of one environment. `hooks` runs the hooks.

    What a hook makes of a user's text is remembered: each later turn of the chat has that text in its prompt again.
    """

    def __init__(self, hooks: Hooks, runtime: Runtime) -> None:
        self.hooks = hooks
        self._runtime = runtime
        self._known: dict[bytes, str | Refusal] = {}

    def prompt(self, messages: Prompt, assistant: Assistant, attempt: Attempt) -> Prompt:
        """Return a prompt as its model may read it. Raises `Refusal` and `HookFailed` because of the question.

        Each earlier text of the user is checked too, as it is stored as the user wrote it. One that is refused is left
        out with its reply; and so are those for which the hook fails, or has no time left.
        """
        hook = assistant.on_question
        if hook is None:
            return messages
        check = self._check_of(hook, Hooked("on_question", assistant.id, hook, _question), attempt)
        *earlier, question = messages
        kept = [replace(question, text=self._remembered(check, question.text, assistant, attempt))]
        until = self._runtime.monotonic() + HOOK_SECONDS
        for asked, answered in zip(earlier[-2::-2], earlier[::-2], strict=True):
            try:
                left = until - self._runtime.monotonic()
                text = self._remembered(partial(check, seconds=left), asked.text, assistant, attempt)
            except (Refusal, HookFailed):
                logger.info("question_left_out")
            else:
                kept += [answered, replace(asked, text=text)]
        return tuple(reversed(kept))

    def files(self, files: Files, assistant: Assistant, attempt: Attempt) -> Files:
        """Return the contents of attachments as the model may read them: a text that is refused is left out.

        So is one for which the hook fails, or has no time left. No hook sees images.
        """
        hook = assistant.on_question
        if hook is None:
            return files
        check = self._check_of(hook, Hooked("on_question", assistant.id, hook, _question), attempt)
        until = self._runtime.monotonic() + HOOK_SECONDS
        kept = dict(files)
        for name, text in text_files(files):
            in_time = partial(check, seconds=max(0.0, until - self._runtime.monotonic()))
            try:
                kept[name] = as_text(self._remembered(in_time, text, assistant, attempt))
            except (Refusal, HookFailed):
                logger.info("attachment_left_out", attachment_id=name)
                del kept[name]
        return kept

    def screen(self, assistant: Assistant, attempt: Attempt) -> Screen | None:
        """Return the screen for one text of an assistant's answer, None if it needs none."""
        hook = assistant.on_answer
        if hook is None:
            return None
        hooked = Hooked("on_answer", assistant.id, hook, _text)
        return Screen(self._check_of(hook, hooked, attempt), assistant.answer_window or DEFAULT_WINDOW)

    def _check_of(self, hook: Hook, hooked: Hooked, attempt: Attempt) -> Callable[..., str]:
        """Return a hook as a function of a text, and of its seconds. It raises `Refusal` and `HookFailed`."""

        def check(text: str, seconds: float = HOOK_SECONDS) -> str:
            if seconds < 0:
                raise HookFailed("no time is left")
            began, seconds = self._runtime.monotonic(), min(seconds, HOOK_SECONDS, attempt.remaining())

            def remaining() -> float:
                return max(0.0, began + seconds - self._runtime.monotonic())

            context = HookContext(user_id=attempt.chat.user_id, chat_id=attempt.chat.chat_id, remaining=remaining)
            return self.hooks.run(hooked, text, *([context] if takes_context(hook) else []), seconds=seconds)

        return check

    def _remembered(self, check: Callable[[str], str], text: str, assistant: Assistant, attempt: Attempt) -> str:
        """Return what a check makes of a user's text, now or earlier. Raises what it raises."""
        named = "\0".join((assistant.id, attempt.chat.user_id, attempt.chat.chat_id, text))
        key = hashlib.sha256(named.encode("utf-8", "surrogatepass")).digest()
        if key not in self._known:
            while len(self._known) >= MAX_KNOWN:
                self._known.pop(next(iter(self._known)))
            try:
                self._known[key] = check(text)
            except Refusal as refusal:
                self._known[key] = Refusal(str(refusal))  # without the frames of the hook
        known = self._known[key]
        if isinstance(known, Refusal):
            raise known.with_traceback(None)
        return known


def _text(returned: object) -> str:
    """Return the text that a hook has returned, cleaned as all text is. Raises `TypeError` for anything else."""
    if not isinstance(returned, str):
        raise TypeError(f"a hook has returned a value of the type {type(returned).__name__}")
    return frames.clean(parts.whole_characters(returned))


def _question(returned: object) -> str:
    """Return the text to ask with. Raises `ValueError` for a blank one, which servers refuse."""
    if not (text := _text(returned)).strip():
        raise ValueError("a hook has returned a blank text")
    return text
