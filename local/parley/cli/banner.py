"""The text that the emulator prints when it is ready."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from parley import dev_tokens
from parley.emulator import pages
from parley.emulator.application import Emulator
from parley.emulator.options import DEFAULT_PORT, Address, Options
from parley.emulator.paths import OWN_PATH, TRACE_PATH, WEBSOCKET_PATH
from parley.emulator.variables import has_users, uses_model
from parley.template.projects import others


def banner(emulator: Emulator, overrides: Mapping[str, str]) -> str:
    """Return the text that the emulator prints when it is ready. `overrides` are the developer's variables."""
    parts = [emulator.template.notes, _warnings(emulator.options.address), _urls(emulator)]
    if has_users(emulator.template) and emulator.options.users:
        parts.append(_users(emulator.options, dev_tokens.secret(overrides)))
    return "\n".join(line for part in parts for line in part) + "\n"


def _warnings(address: Address) -> list[str]:
    """Return the lines on what other machines can do, if they reach the emulator."""
    if address.is_loopback:
        return []
    reached = f"Warning: other machines reach {address.host}."
    if address.exposed:
        return [f"{reached} With --expose they can invoke every function, read the trace and change the tables.", ""]
    return [
        f"{reached} They can use the WebSocket and HTTP APIs. Invoke, @connections, DynamoDB, the trace and the "
        "built-in model answer this machine only; --expose opens them too.",
        "",
    ]


def _urls(emulator: Emulator) -> list[str]:
    url = emulator.options.address.url
    dynamodb = emulator.database.description if emulator.database else emulator.options.dynamodb
    host = url.removeprefix("http://")
    sockets = [(path, f"ws://{host}{path}") for path in emulator.mounts]
    management = [f"{url}{path}/@connections/{{connectionId}}" for path, _ in sockets if path != WEBSOCKET_PATH]
    endpoints = emulator.http_endpoints
    lines = [
        f"Parley is up on {url}  (Ctrl-C ends it)",
        "",
        f"  Template      {_template(emulator.options.template.path)}",
        *_listed("WebSocket", [address for _, address in sockets]),
        *_listed("HTTP API", [f"{url}{path or '/'}" for path, kind in endpoints if kind == "http"]),
        *_listed("REST API", [f"{url}{path}" for path, kind in endpoints if kind == "rest"]),
        *_listed("Function URL", [f"{url}{path or '/'}" for path, kind in endpoints if kind == "url"]),
        *_listed("@connections", management),
        f"  DynamoDB      {dynamodb}",
    ]
    if uses_model(emulator.template):
        built_in = "built in; set OPENAI_API_KEY, OPENAI_BASE_URL, OPENAI_MODEL for another"
        other = "as OPENAI_BASE_URL and OPENAI_MODEL say"
        lines.append(f"  Model         {built_in if emulator.built_in_model else other}")
    if emulator.options.record:
        lines.append("  Record        events, answers and posts, without tokens and secrets: parley trace --payloads")
    return [*lines, *_pages(emulator), f"  Trace         {url}{TRACE_PATH}"]


def _pages(emulator: Emulator) -> list[str]:
    """Return the addresses of the pages, or the next step if they are not built."""
    if not pages.are_built():
        return [f"  Pages         {pages.NOT_BUILT}"]
    url = emulator.options.address.url
    chat = [f"  Chat          {url}/"] if emulator.template.chat_page else []
    return [*chat, f"  Console       {url}{OWN_PATH}"]


def _template(path: Path) -> str:
    """Return the template's path, and those of templates beside it that the emulator could have taken as well."""
    beside = ", ".join(map(str, others(path)))
    return f"{path}  (also there: {beside}; --template names another)" if beside else str(path)


def _listed(name: str, values: list[str]) -> list[str]:
    """Return a line for each value, the first one after its name."""
    return [f"  {name if index == 0 else '':<14}{value}" for index, value in enumerate(values)]


def _users(options: Options, secret: str) -> list[str]:
    user = options.users[0]
    return [
        f"  Users         {', '.join(options.users)}",
        f"  Token         {dev_tokens.token(user, secret)}",
        "",
        f"Chat in another terminal:  {_command()} chat --user {user}{_port(options.address.port)}",
    ]


def _port(port: int) -> str:
    """Return the option for a port that `parley chat` does not take by itself."""
    return "" if port == DEFAULT_PORT else f" --port {port}"


def _command() -> str:
    """Return this program as the developer called it: `parley` if the shell finds it, else its path."""
    called = sys.argv[0]
    return "parley" if called == shutil.which("parley") else called
