"""`parley smoke`: the smoke test of a deployment, step by step in the terminal."""

from __future__ import annotations

import time
from pathlib import Path

import click

from parley.cli.options import printable
from parley.errors import StartError
from parley.operations import samconfig, stack
from parley.operations.access import Access
from parley.terminal import smoke


def urls(stack_name: str | None, stage: str | None, config_file: Path) -> tuple[str, str | None]:
    """Return the URLs of the WebSocket API and of the HTTP API of a stack, or of a stage's. Raises `StartError`."""
    if stage:
        config = samconfig.read(config_file, stage)
        found = stack.get(Access.found(config.region, config.profile), config.stack)
    elif stack_name:
        found = stack.get(Access.found(), stack_name)
    else:
        raise StartError("Name what to test: --url wss://…, or --stack NAME, or --stage STAGE.")
    return found.output("WebSocketUrl"), found.outputs.get("HttpUrl")


def converse(url: str, http_url: str | None, token: str, patience: float) -> None:
    """Have the conversation, and delete its chat if there is an HTTP API. Raises `StartError` for a step that fails."""
    try:
        conversation = smoke.converse(url, token, report=smoke.Report(_step), patience=patience)
        if http_url:
            began = time.monotonic()
            smoke.delete_chat(http_url, token, conversation.chat_id)
            _step("the chat is deleted", time.monotonic() - began)
    except smoke.SmokeFailure as failure:
        raise StartError(printable(f"{url}: {failure}")) from None
    click.echo(f"{url} works.")


def _step(name: str, seconds: float) -> None:
    click.echo(f"ok  {name:<28}{seconds * 1000:6.0f} ms")
