"""What the emulator says of itself when it is ready."""

from __future__ import annotations

from parley import dev_tokens
from parley.emulator.application import Emulator
from parley.emulator.options import EMBEDDED, Options
from parley.emulator.paths import WEBSOCKET_PATH
from parley.emulator.variables import chats, uses_model


def greeting(emulator: Emulator, secret: str) -> str:
    """Return what the emulator says when it is ready."""
    parts = [emulator.template.notes, _urls(emulator)]
    if chats(emulator.template) and emulator.options.users:
        parts.append(_users(emulator.options, secret))
    return "\n".join(line for part in parts for line in part) + "\n"


def _urls(emulator: Emulator) -> list[str]:
    options = emulator.options
    host = options.url.removeprefix("http://")
    sockets = [(path, f"ws://{host}{path}") for path in emulator.mounts]
    calls = [f"{options.url}{path}/@connections/{{connectionId}}" for path, _ in sockets if path != WEBSOCKET_PATH]
    lines = [
        f"Parley is up on {options.url}  (Ctrl-C ends it)",
        "",
        *_listed("WebSocket", [url for _, url in sockets]),
        *_listed("HTTP API", [f"{options.url}{path}" for path in emulator.http_paths]),
        *_listed("@connections", calls),
        f"  DynamoDB      {'embedded, in memory' if options.dynamodb == EMBEDDED else options.dynamodb}",
    ]
    if uses_model(emulator.template):
        model = "built in; set OPENAI_API_KEY, OPENAI_BASE_URL, OPENAI_MODEL for another"
        lines.append(
            f"  Model         {model if emulator.built_in_model else 'as OPENAI_BASE_URL and OPENAI_MODEL say'}"
        )
    return [*lines, f"  Trace         {options.url}/_parley/trace"]


def _listed(name: str, values: list[str]) -> list[str]:
    """Return a line for each value, the first one after its name."""
    return [f"  {name if index == 0 else '':<14}{value}" for index, value in enumerate(values)]


def _users(options: Options, secret: str) -> list[str]:
    user = options.users[0]
    return [
        f"  Users         {', '.join(options.users)}",
        f"  Token         {dev_tokens.token(user, secret)}",
        "",
        f"Chat in another terminal:  .venv/bin/parley chat --user {user}",
    ]
