"""The command `parley`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from parley import proxies
from parley.cli import administration, executing, installing, keeping, looking, operations, reaching
from parley.cli.options import Decorator, explained, options, pairs, printable, printable_lines


class _Commands(click.Group):
    """The commands. What is not UTF-8 is refused, but as data, and as an argument of another program."""

    _TAKE_BYTES = ("exec", "invoke", "post")

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the arguments of the command line. Raises `click.UsageError`."""
        for arg in args if args and args[0] not in self._TAKE_BYTES else ():
            # Python has a surrogate for each byte of an argument that it cannot decode.
            if any("\ud800" <= character <= "\udfff" for character in arg):
                raise click.UsageError(f"The argument {printable(arg)} has bytes that are not UTF-8.", ctx)
        return super().parse_args(ctx, args)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(package_name="parley-aws")
def main() -> None:
    """Run WebSocket APIs for API Gateway on this machine, and talk to them."""
    proxies.exempt(os.environ)


def _setting(option: str, variable: str, *names: str, **more: Any) -> Decorator:
    """Return an option that an environment variable can set too, so that `make run` takes it."""
    return click.option(option, *names, envvar=variable, show_envvar=True, **more)


_SECONDS = click.FloatRange(0, min_open=True)


_TEMPLATE_OPTIONS = options(
    _setting(
        "--template",
        "PARLEY_TEMPLATE",
        type=click.Path(path_type=Path),
        show_default="the one in this folder",
        help="The template to read, or the folder that has it: SAM, CloudFormation, or as the CDK, the Serverless "
        "Framework or `sam build` writes it.",
    ),
    _setting(
        "--parameter",
        "PARLEY_PARAMETERS",
        "parameters",
        multiple=True,
        callback=pairs,
        metavar="NAME=VALUE",
        help="Value of a parameter of the template. May be given several times.",
    ),
    _setting(
        "--import",
        "PARLEY_IMPORTS",
        "imports",
        multiple=True,
        callback=pairs,
        metavar="NAME=VALUE",
        help="Export of another stack, for Fn::ImportValue. May be given several times.",
    ),
)

_SERVER_OPTIONS = options(
    _setting(
        "--port", "PORT", type=click.IntRange(0, 65_535), default=8000, help="Port of the emulator; 0 for a free one."
    ),
    _setting("--host", "PARLEY_HOST", default="127.0.0.1", help="Address to listen on."),
    _setting(
        "--expose",
        "PARLEY_EXPOSE",
        is_flag=True,
        help="With --host: let other machines call Invoke, @connections, DynamoDB, the trace and the built-in model, "
        "and not only the template's APIs.",
    ),
)

_SERVICE_OPTIONS = options(
    _setting("--stage", "PARLEY_STAGE", show_default="the template's", help="Name of the stage."),
    _setting(
        "--env",
        "PARLEY_ENV",
        "variables",
        multiple=True,
        callback=pairs,
        metavar="[FUNCTION.]NAME=VALUE",
        help="A variable of all functions or of one, also one that the template does not declare. May be given several "
        "times.",
    ),
    _setting(
        "--dynamodb",
        "PARLEY_DYNAMODB",
        default="embedded",
        help="`embedded` for Dynoxide (moto if it is not installed), `moto`, or the URL of another DynamoDB.",
    ),
    _setting(
        "--functions",
        "PARLEY_FUNCTIONS",
        type=click.Choice(["process", "inline"]),
        default="process",
        help="`process`: each environment is a process, as on AWS. "
        "`inline`: functions in Python are threads of the emulator, for a debugger.",
    ),
    _setting(
        "--python",
        "PARLEY_PYTHON",
        type=click.Path(path_type=Path),
        show_default="the project's .venv if it has the Runtime's version, else a Python of that version",
        help="Virtual environment or program that runs functions in Python, with its packages.",
    ),
    _setting(
        "--environments",
        "PARLEY_ENVIRONMENTS",
        type=click.IntRange(1),
        show_default="what memory allows, 10 to 50",
        help="Maximum number of environments of one function. Further invocations wait.",
    ),
    _setting(
        "--freeze/--no-freeze",
        "PARLEY_FREEZE",
        default=True,
        show_default="--freeze",
        help="Let environments stand still between events, as on AWS: their threads sleep until the next event.",
    ),
    _setting(
        "--reload/--no-reload",
        "PARLEY_RELOAD",
        default=True,
        show_default="--reload",
        help="Load what changes on disk: code, libraries, layers, .env and the template. Connections stay open.",
    ),
    _setting(
        "--users",
        "PARLEY_USERS",
        default="alice,bob",
        help="Users who exist from the start, separated by commas.",
    ),
)

_STATE_OPTIONS = options(
    _setting(
        "--data",
        "PARLEY_DATA",
        type=click.Path(path_type=Path),
        default=Path(".parley"),
        help="Folder for tables, queues and accepted events, which the next run finds again. Git ignores it.",
    ),
    _setting(
        "--no-data",
        "PARLEY_NO_DATA",
        is_flag=True,
        help="Keep nothing: tables and queues are in memory, and gone when the emulator ends.",
    ),
    _setting(
        "--record",
        "PARLEY_RECORD",
        is_flag=True,
        help="Record the events and answers of functions and the posts, for `parley trace`, `replay` and `save`. "
        "Tokens and secrets are redacted.",
    ),
)

_LIMIT_OPTIONS = options(
    _setting(
        "--idle-timeout",
        "PARLEY_IDLE_TIMEOUT",
        type=_SECONDS,
        default=600,
        help="Seconds without a message after which a connection is closed.",
    ),
    _setting(
        "--connection-limit",
        "PARLEY_CONNECTION_LIMIT",
        type=_SECONDS,
        default=7200,
        help="Seconds after which every connection is closed.",
    ),
    _setting(
        "--integration-timeout",
        "PARLEY_INTEGRATION_TIMEOUT",
        type=_SECONDS,
        default=29,
        help="Seconds that a route's function has to answer.",
    ),
    _setting(
        "--post-latency",
        "PARLEY_POST_LATENCY_MS",
        type=click.FloatRange(0),
        default=0,
        help="Milliseconds added to every @connections call, for the network to AWS.",
    ),
    _setting(
        "--retry-delay",
        "PARLEY_RETRY_DELAY",
        type=click.FloatRange(0),
        default=60,
        help="Seconds before the first retry of an asynchronous invocation. The second retry waits twice as long.",
    ),
    _setting(
        "--tokens-per-second",
        "PARLEY_TOKENS_PER_SECOND",
        type=click.FloatRange(0),
        default=40,
        help="Speed of the built-in model; 0 for no pauses.",
    ),
)

_LOG_OPTIONS = options(
    _setting(
        "--quiet",
        "PARLEY_QUIET",
        "-q",
        is_flag=True,
        help="Log only the lines of functions, and what goes wrong.",
    ),
    _setting(
        "--verbose",
        "PARLEY_VERBOSE",
        "-v",
        is_flag=True,
        help="Log everything: also frames, calls of AWS's services, starts of functions, and each post by itself.",
    ),
)

_BEHAVIOUR_OPTIONS = options(
    _setting(
        "--faults",
        "PARLEY_FAULTS",
        type=click.Path(path_type=Path),
        help="JSON file with a fault plan: the failures to inject. See docs/emulator/faults.md.",
    ),
    _setting(
        "--test-api",
        "PARLEY_TEST_API",
        is_flag=True,
        help="Let tests reset the emulator, let time pass, and change the fault plan: /_parley/reset, clock, faults. "
        "Nothing is kept (--no-data).",
    ),
    _setting(
        "--reorder",
        "PARLEY_REORDER",
        type=int,
        help="Seed for reordering: messages of a connection overtake each other.",
    ),
    _setting(
        "--duplicates",
        "PARLEY_DUPLICATES",
        type=click.FloatRange(0, 1),
        default=0,
        help="Probability that an asynchronous event is delivered twice, as Lambda may do.",
    ),
    _setting(
        "--iam",
        "PARLEY_IAM",
        type=click.Choice(["report", "enforce", "off"]),
        default="report",
        help="Compare the calls of functions with the roles that the template gives them. `report`: log what a role "
        "lacks. `enforce`: also refuse the call as AWS does. At the end the unused grants are listed.",
    ),
    _setting(
        "--verify-signatures",
        "PARLEY_VERIFY_SIGNATURES",
        is_flag=True,
        help="Check the signatures of AWS_IAM handshakes and of @connections calls.",
    ),
    _setting(
        "--origin",
        "PARLEY_ORIGINS",
        "origins",
        multiple=True,
        metavar="ORIGIN",
        help="Origin of web pages that may use the APIs, besides pages of this machine; `*` for all. May be given "
        "several times.",
    ),
    _setting(
        "--assume",
        "PARLEY_ASSUME",
        multiple=True,
        help="NAME=VALUE: a behaviour of AWS's that is not known for sure. See docs/emulator/differences.md.",
    ),
)


@main.command()
@options(
    *(_SERVER_OPTIONS, _TEMPLATE_OPTIONS, _SERVICE_OPTIONS, _STATE_OPTIONS),
    *(_LIMIT_OPTIONS, _BEHAVIOUR_OPTIONS, _LOG_OPTIONS),
)
@click.option("--until-stdin-ends", is_flag=True, hidden=True, help="End when standard input does: with the parent.")
@explained
def up(quiet: bool, verbose: bool, until_stdin_ends: bool, **values: Any) -> None:
    """Start the emulator on a template, until Ctrl-C."""
    from parley.cli import up
    from parley.emulator.options import Options

    if quiet and verbose:
        raise click.UsageError(
            "--quiet and --verbose exclude each other. Leave one out (PARLEY_QUIET, PARLEY_VERBOSE)."
        )
    detail = "quiet" if quiet else "verbose" if verbose else "normal"
    up.run(Options.of_command_line(values), detail, with_parent=until_stdin_ends)


@main.command()
@_TEMPLATE_OPTIONS
@click.option("--json", "machine", is_flag=True, help="Print everything, as JSON.")
@explained
def template(template: Path | None, parameters: dict[str, str], imports: dict[str, str], machine: bool) -> None:
    """Print what the emulator reads from a template. Parts that it does not support are listed at the end."""
    from parley.cli import describe

    found = describe.read_template(template, parameters, imports)
    click.echo(describe.as_json(found) if machine else printable_lines(describe.as_text(found)))


@main.command()
@click.argument("user")
def token(user: str) -> None:
    """Print a token for USER. It is valid for 12 hours, and signed with JWT_SECRET or your development secret."""
    click.echo(_token_for(user))


@main.command()
@click.option("--url", show_default="ws://127.0.0.1:PORT/ws/chat", help="URL of the WebSocket API.")
@click.option("--user", default="alice", help="User to chat as. The token is made here.")
@click.option("--token", "given_token", envvar="PARLEY_TOKEN", show_envvar=True, help="Token to use instead of --user.")
@click.option("--chat", "chat_id", help="Id of a chat to continue. Without it, a new chat is created.")
@click.option("--port", default=8000, envvar="PORT", show_envvar=True, help="Port of the emulator.")
@click.option("--http-url", show_default="http://127.0.0.1:PORT", help="URL of the HTTP API, for the list of chats.")
@click.option("--cost", "costs", is_flag=True, help="Show the cost of each reply, if the server sends it.")
@click.option("--assistant", help="Assistant that answers in new chats. Without it, the server's default one.")
def chat(
    url: str | None,
    user: str,
    given_token: str | None,
    chat_id: str | None,
    port: int,
    http_url: str | None,
    costs: bool,
    assistant: str | None,
) -> None:
    """Chat in the terminal. `/help` lists the commands. Ctrl-C stops a running reply; without one it ends the chat."""
    try:
        from parley.terminal import chat as terminal
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"`parley chat` needs {error.name}, which is not installed here: pip install 'parley-aws[client]'"
        ) from None

    url = url or f"ws://127.0.0.1:{port}/ws/chat"
    given = given_token or _token_for(user)
    sys.exit(terminal.run(url, given, chat_id, http_url=http_url, costs=costs, assistant=assistant))


def _token_for(user: str) -> str:
    from parley import dev_tokens
    from parley.emulator.options import overrides

    return dev_tokens.token(user, dev_tokens.secret(overrides(os.environ, Path.cwd())))


for group in (administration, executing, installing, keeping, looking, operations, reaching):
    for command in group.COMMANDS:
        main.add_command(command)
