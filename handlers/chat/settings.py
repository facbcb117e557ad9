"""Settings: the environment variables that `infra/template.yaml` sets, read and checked once at start.

No value keeps a function from starting. A value that breaks its rule is logged and becomes the default, and what the
function must not do then is refused with the names of the variables (docs/failures.md failure 36).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from urllib.parse import SplitResult, urlsplit

from handlers.chat.assistants.registry import Assistants
from handlers.chat.cost import Prices
from handlers.chat.errors import Misconfigured
from handlers.chat.limits.policy import Limits
from handlers.chat.log import LEVELS

MAX_MESSAGE_CHARS = 10_000
"""UTF-16 code units. At 3 bytes of UTF-8 each, `user_message` still fits into one 32 KB frame."""

MAX_CONCURRENT_REPLIES = 100
"""Each has a slot of about 100 bytes on the user's item, and a write costs a unit for each kilobyte of the item."""

DEFAULT_ATTACHMENT_MEGABYTES, MAX_ATTACHMENT_MEGABYTES = 5, 10
DEFAULT_PROMPT_IMAGES, MAX_PROMPT_IMAGES = 8, 20
"""A worker holds the images of a question several times, as bytes and as text."""

DEFAULT_TOOL_RESULT_BYTES = 32 * 1024
"""At most 250,000: an item of DynamoDB holds 400 KB, and a result is stored with its call."""
DEFAULT_APPROVAL_DAYS = 7
"""The most are 28: the steps of a turn, with the calls that wait, are kept for 30 days (`turns.steps.KEPT`)."""

MIN_SECRET_BYTES = 32
"""At least as long as the hash of HS256 (RFC 7518 section 3.2)."""

ACCESS = frozenset(
    {
        *("JWT_SECRET", "JWT_JWKS_URL", "JWT_ISSUER", "JWT_AUDIENCE", "JWT_USER_CLAIM"),
        *("AUTO_CREATE_USERS", "ALLOWED_ORIGINS"),
    }
)
"""The variables that decide who is let in. If one of them is wrong, nobody is."""

SSM, SECRETS_MANAGER = "ssm:", "secretsmanager:"
_PLACE = re.compile(rf"{SSM}(/[\w.-]+)+(:[\w.-]+)?|{SECRETS_MANAGER}[\w/+=.@-]+", re.ASCII)
"""The place of a secret: the name of a parameter, with its path, or of a secret. The template makes ARNs of it."""

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/?#@,A-Z]+")
"""An origin as browsers write it (RFC 6454 section 6.2): a text that differs in anything never matches one."""


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of one language that users see in chats. `language` is its code."""

    language: str
    new_chat: str
    typing: str
    apology: str
    refusal: str


RUSSIAN = Texts(
    language="ru",
    new_chat="Новый чат",
    typing="Ассистент печатает...",
    apology="Извините, произошла ошибка при обработке вашего сообщения.",
    refusal="На этот вопрос я не могу ответить.",
)
ENGLISH = Texts(
    language="en",
    new_chat="New chat",
    typing="Assistant is typing...",
    apology="Sorry, something went wrong while processing your message.",
    refusal="I cannot answer that.",
)
_LANGUAGES = {texts.language: texts for texts in (RUSSIAN, ENGLISH)}

APOLOGIES = tuple(texts.apology for texts in _LANGUAGES.values())
"""The apologies of all languages: an operator may change the language of a deployment that has chats."""


@dataclass(frozen=True, slots=True)
class ModelTimeouts:
    """The silence after which a model has failed: before the first piece of its text, and after any piece.

    The first includes the client's own retries, which it makes only before the first token.

    `progress_seconds` is the time without any text or thinking, however many comments come. Ten minutes: a request that
    DeepSeek queues gets comments so long, and is then closed (API docs, "Rate Limit"). OpenAI's clients wait as long.
    """

    first_token_seconds: float = 30.0
    next_token_seconds: float = 20.0
    progress_seconds: float = 600.0


@dataclass(frozen=True, slots=True)
class Pace:
    """The pace grows with the reply: each frame is billed, but people judge by the first words.

    After `unpaced_frames` frames of text it is `first` seconds, and grows evenly to `last` seconds until the reply's
    first text is `grown_seconds` old. It never falls, so a `last` below `first` means `first`. There is no pace at all
    if `first` is 0.
    """

    first: float = 0.0
    last: float = 0.0
    grown_seconds: float = 0.0
    unpaced_frames: int = 10

    def after(self, frames: int, age: float) -> float:
        """Return the time from a connection's newest frame to its next. `frames` says how many it has of the text."""
        # The first text waits for nothing, whatever the settings are.
        if frames < max(1, self.unpaced_frames) or not self.first:
            return 0.0
        growth = min(1.0, age / self.grown_seconds) if self.grown_seconds else 1.0
        longest = max(self.first, self.last)
        # The sum may be rounded to more than the longest pace.
        return min(longest, self.first + (longest - self.first) * growth)


class Reasoning(StrEnum):
    """The choice of what users see of the model's reasoning: nothing, or it while a reply runs, or stored parts too."""

    HIDDEN = "hidden"
    SHOWN = "shown"
    STORED = "stored"


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one function. A variable that the function does not have leaves a default, or an empty text.

    - `jwt_secret`: the secret, or the name of one (see `identity.secrets`).
    - `jwt_user_claim`: the claim that names the user; empty for the default of the way to sign.
    - `anonymous_seconds`: a connection without a user is closed after this time, 0 for never.
    - `message_chars`: the length of the longest user message, in UTF-16 code units.
    - `limits`: the limits of one user.
    - `history_chars`: the length of the longest prompt, in characters.
    - `relay_pace`: the shortest time between two frames of a reply.
    - `reasoning`: what users see of the model's reasoning.
    - `tool_result_bytes`: the bytes of one result of a tool.
    - `title_model`: the model that makes the titles of chats. If it is empty, they are the beginnings of the questions.
    - `allowed_origins`: scheme and host of the web pages whose scripts may connect and use the HTTP API.
    - `max_completion_tokens`: the most tokens that the model may write in one answer.
    - `management_endpoint`: the URL of the `@connections` API, with its stage.
    - `openai_temperature`: OpenAI's. It is not sent if it is None.
    - `prices`: the prices that the cost of a turn is estimated with.
    - `memory`: the memory of the function, in GB. Lambda tells it; None elsewhere.
    - `metrics_namespace`: the place of the metrics in CloudWatch. If it is empty, there are none.
    - `attachment_megabytes`: the size of the largest attachment, 0 if there may be none.
    - `prompt_images`: the most images that the model gets with one question, 0 if it takes none.
    - `approval_days`: the days that a user has to approve a call of a tool.
    - `assistants`: those of `handlers/assistants`. A function that needs none has the plain default one.
    """

    texts: Texts
    jwt_secret: str
    jwks_url: str
    jwt_issuer: str
    jwt_audience: str
    jwt_user_claim: str
    auto_create_users: bool
    anonymous_queue: str
    anonymous_seconds: int
    message_chars: int
    limits: Limits
    history_chars: int
    relay_pace: Pace
    generate_function: str
    deliver_function: str
    erase_function: str
    allowed_origins: tuple[str, ...]
    management_endpoint: str
    openai_base_url: str
    openai_model: str
    openai_temperature: float | None
    max_completion_tokens: int
    model_timeouts: ModelTimeouts
    prices: Prices
    memory: float | None
    metrics_namespace: str
    reasoning: Reasoning = Reasoning.HIDDEN
    attachment_megabytes: int = DEFAULT_ATTACHMENT_MEGABYTES
    prompt_images: int = DEFAULT_PROMPT_IMAGES
    tool_result_bytes: int = DEFAULT_TOOL_RESULT_BYTES
    approval_days: int = DEFAULT_APPROVAL_DAYS
    title_model: str = ""
    assistants: Assistants = field(default_factory=Assistants)

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Settings:
        """Read the settings from environment variables. Raises `Misconfigured` for the first that cannot be used.

        How tokens are verified is not checked here, because most functions do not know it: see `identity_problems`.
        """
        model = environ.get("OPENAI_MODEL", "").strip() or "gpt-4o"
        _check_key(environ.get("OPENAI_API_KEY", ""))
        _check_log_level(environ.get("POWERTOOLS_LOG_LEVEL", ""))
        return cls(
            texts=_texts(environ.get("CHAT_LANGUAGE") or "ru"),
            jwt_secret=environ.get("JWT_SECRET", ""),
            jwks_url=environ.get("JWT_JWKS_URL", ""),
            jwt_issuer=_exact(environ, "JWT_ISSUER"),
            jwt_audience=_exact(environ, "JWT_AUDIENCE"),
            jwt_user_claim=_exact(environ, "JWT_USER_CLAIM"),
            auto_create_users=_flag(environ, "AUTO_CREATE_USERS"),
            anonymous_queue=environ.get("ANONYMOUS_QUEUE_URL", ""),
            anonymous_seconds=_integer(environ, "ANONYMOUS_SECONDS", 60, 0, 900),
            message_chars=_integer(environ, "MESSAGE_CHARS", MAX_MESSAGE_CHARS, 1, MAX_MESSAGE_CHARS),
            limits=_limits(environ),
            history_chars=_integer(environ, "HISTORY_CHARS", 48_000, 1, 10_000_000),
            relay_pace=_pace(environ),
            reasoning=_reasoning(environ.get("REASONING") or Reasoning.HIDDEN),
            attachment_megabytes=_integer(
                environ, "ATTACHMENT_MEGABYTES", DEFAULT_ATTACHMENT_MEGABYTES, 0, MAX_ATTACHMENT_MEGABYTES
            ),
            prompt_images=_integer(environ, "PROMPT_IMAGES", DEFAULT_PROMPT_IMAGES, 0, MAX_PROMPT_IMAGES),
            tool_result_bytes=_integer(environ, "TOOL_RESULT_BYTES", DEFAULT_TOOL_RESULT_BYTES, 1_000, 250_000),
            approval_days=_integer(environ, "APPROVAL_DAYS", DEFAULT_APPROVAL_DAYS, 1, 28),
            title_model=environ.get("TITLE_MODEL", "").strip(),
            generate_function=environ.get("GENERATE_FUNCTION", ""),
            deliver_function=environ.get("DELIVER_FUNCTION", ""),
            erase_function=environ.get("ERASE_FUNCTION", ""),
            allowed_origins=_origins(environ),
            management_endpoint=_url(environ, "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI", ""),
            openai_base_url=_url(environ, "OPENAI_BASE_URL", "https://api.openai.com/v1"),
            openai_model=model,
            openai_temperature=_temperature(environ),
            max_completion_tokens=_integer(environ, "MAX_COMPLETION_TOKENS", 4_096, 1, 1_000_000),
            model_timeouts=ModelTimeouts(
                first_token_seconds=_number(environ, "OPENAI_FIRST_TOKEN_SECONDS", 30, 0.1, 800),
                next_token_seconds=_number(environ, "OPENAI_TOKEN_SECONDS", 20, 0.1, 800),
            ),
            prices=Prices.of(environ.get("TURN_PRICES", ""), model),
            memory=_memory(environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "")),
            metrics_namespace=environ.get("POWERTOOLS_METRICS_NAMESPACE", "").strip(),
        )

    @classmethod
    def check(cls, environ: Mapping[str, str], *, identifies_users: bool) -> tuple[Settings, dict[str, str]]:
        """Read the settings, with the default for each value that cannot be used. Return these variables too.

        Each comes with a text that says what to set it to. `identifies_users` says that the function verifies tokens.
        If a variable of `ACCESS` is wrong, the settings have no secret and no key set: they let nobody in.
        """
        usable, problems = dict(environ), dict[str, str]()
        while True:
            try:
                settings = cls.of(usable)
                break
            except Misconfigured as error:
                [variable] = error.variables
                if usable.pop(variable, None) is None:
                    raise
                problems[variable] = str(error)
        if identifies_users:
            problems = settings.identity_problems() | problems
        if ACCESS & problems.keys():
            settings = replace(settings, jwt_secret="", jwks_url="")
        return settings, problems

    def identity_problems(self) -> dict[str, str]:
        """Return the variables by which no token can be verified, each with a text that says what to set it to."""
        if bool(self.jwt_secret) == bool(self.jwks_url):
            text = "Set one of JWT_SECRET and JWT_JWKS_URL: how tokens are signed is one decision"
            return {"JWT_SECRET": text, "JWT_JWKS_URL": text}
        problems = dict[str, str]()
        try:
            check_key_set_url(self.jwks_url) if self.jwks_url else check_secret(self.jwt_secret)
        except Misconfigured as error:
            problems = dict.fromkeys(error.variables, str(error))
        if self.jwks_url and not self.jwt_issuer:
            problems["JWT_ISSUER"] = (
                "JWT_ISSUER is not set: with JWT_JWKS_URL, set it to the `iss` of the provider's tokens"
            )
        return problems


def refuse_wrong(problems: Mapping[str, str], variables: Collection[str] | None = None) -> None:
    """Raise `Misconfigured` if there is a problem with one of these variables, or with any at all if none are given."""
    wrong = {name: text for name, text in problems.items() if variables is None or name in variables}
    if wrong:
        raise Misconfigured(". ".join(dict.fromkeys(wrong.values())), *sorted(wrong))


# No text below may repeat a value that is, or may be by mistake, a secret.


def is_named(setting: str) -> bool:
    """Return True if a setting names a secret (`ssm:/path`, `secretsmanager:name`) instead of being the secret."""
    return setting.startswith((SSM, SECRETS_MANAGER))


def _check_place(setting: str, variable: str) -> None:
    if not _PLACE.fullmatch(setting):
        raise Misconfigured(f"{variable} names no secret; set it to {SSM}/path/name or {SECRETS_MANAGER}name", variable)


def check_secret(setting: str) -> None:
    """Raise `Misconfigured` if this is neither a long enough secret nor the place of one."""
    if is_named(setting):
        _check_place(setting, "JWT_SECRET")
    else:
        check_length(setting)


def check_length(secret: str) -> None:
    """Raise `Misconfigured` if a secret, by itself or from its place, is too short."""
    if len(secret.encode()) < MIN_SECRET_BYTES:
        raise Misconfigured(
            f"JWT_SECRET is shorter than {MIN_SECRET_BYTES} bytes; set it to a longer random text", "JWT_SECRET"
        )


def check_key_set_url(url: str) -> None:
    """Raise `Misconfigured` if keys must not be fetched from this URL: only https keeps them from being exchanged."""
    parts = _server(url)
    if parts is None or (parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "localhost")):
        raise Misconfigured("JWT_JWKS_URL cannot be used; set it to an https URL", "JWT_JWKS_URL")


def _server(url: str) -> SplitResult | None:
    """Return the parts of a URL of a server, http or https. None for any other text."""
    try:
        parts = urlsplit(url)
        is_server = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    return parts if is_server and url.isprintable() and " " not in url else None


def _check_key(key: str) -> None:
    key = key.strip()
    if is_named(key):
        _check_place(key, "OPENAI_API_KEY")
    elif not (key.isascii() and key.isprintable()):
        raise Misconfigured(
            "OPENAI_API_KEY has characters that no header can hold; copy the key again", "OPENAI_API_KEY"
        )


def _check_log_level(level: str) -> None:
    if level and level.upper() not in LEVELS:
        choice = ", ".join(LEVELS)
        raise Misconfigured(f"POWERTOOLS_LOG_LEVEL is {level!r}; set it to one of {choice}", "POWERTOOLS_LOG_LEVEL")


def _exact(environ: Mapping[str, str], name: str) -> str:
    """Return a text that is compared as it is: a blank around it, of a file for example, would let nobody in."""
    text = environ.get(name, "")
    if text != text.strip() or not text.isprintable():
        raise Misconfigured(f"{name} has white space around it, or control characters; take them out", name)
    return text


def _origins(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the origins of a list. A list of nothing is refused: without a list any page may connect."""
    listed = environ.get("ALLOWED_ORIGINS", "")
    origins = tuple(filter(None, map(str.strip, listed.split(","))))
    if not all(map(_ORIGIN.fullmatch, origins)) or bool(origins) != bool(listed):
        raise Misconfigured(
            f"ALLOWED_ORIGINS is {listed!r}; set it to origins such as https://chat.example.com, with commas between",
            "ALLOWED_ORIGINS",
        )
    return origins


def _texts(language: str) -> Texts:
    try:
        return _LANGUAGES[language]
    except KeyError:
        choice = " or ".join(_LANGUAGES)
        raise Misconfigured(f"CHAT_LANGUAGE is {language!r}; set it to {choice}", "CHAT_LANGUAGE") from None


def _reasoning(shown: str) -> Reasoning:
    try:
        return Reasoning(shown)
    except ValueError:
        choice = ", ".join(Reasoning)
        raise Misconfigured(f"REASONING is {shown!r}; set it to one of {choice}", "REASONING") from None


def _temperature(environ: Mapping[str, str]) -> float | None:
    """Return the temperature. None if the variable is there and empty: some models take no temperature."""
    return None if environ.get("OPENAI_TEMPERATURE") == "" else _number(environ, "OPENAI_TEMPERATURE", 0.7, 0.0, 2.0)


def _url(environ: Mapping[str, str], name: str, default: str) -> str:
    url = environ.get(name, "").strip() or default
    if url and _server(url) is None:
        raise Misconfigured(f"{name} is no http or https URL; set it to one", name)
    return url


def _flag(environ: Mapping[str, str], name: str) -> bool:
    text = environ.get(name) or "false"
    if text not in ("true", "false"):
        raise Misconfigured(f"{name} is {text!r}; set it to true or false", name)
    return text == "true"


def _pace(environ: Mapping[str, str]) -> Pace:
    return Pace(
        first=_number(environ, "RELAY_PACE_MS", 50, 0, 10_000) / 1000,
        last=_number(environ, "RELAY_LATE_PACE_MS", 100, 0, 10_000) / 1000,
        grown_seconds=_number(environ, "RELAY_LATE_SECONDS", 4, 0, 900),
        unpaced_frames=_integer(environ, "RELAY_UNPACED_FRAMES", 10, 0, 10_000),
    )


def _memory(megabytes: str) -> float | None:
    """Return a size in GB. Lambda's GB are 1,024 MB. None if the text is none of Lambda's."""
    return int(megabytes) / 1024 if megabytes.isdecimal() else None


def _limits(environ: Mapping[str, str]) -> Limits:
    return Limits(
        messages_per_minute=_integer(environ, "MESSAGES_PER_MINUTE", 20, 0, 60_000),
        messages_per_day=_integer(environ, "MESSAGES_PER_DAY", 0, 0, 10_000_000),
        tokens_per_day=_integer(environ, "TOKENS_PER_DAY", 0, 0, 10_000_000_000),
        connections_per_user=_integer(environ, "CONNECTIONS_PER_USER", 20, 0, 1_000),
        concurrent_replies=_integer(environ, "CONCURRENT_REPLIES", 3, 0, MAX_CONCURRENT_REPLIES),
        frames_per_second=_integer(environ, "FRAMES_PER_SECOND", 10, 0, 10_000),
        requests_per_minute=_integer(environ, "REQUESTS_PER_MINUTE", 120, 0, 60_000),
        chats_per_user=_integer(environ, "CHATS_PER_USER", 5_000, 0, 1_000_000),
    )


def _integer(environ: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    number = _number(environ, name, default, low, high)
    if number != int(number):
        raise Misconfigured(f"{name} is {environ[name]!r}; set it to a whole number", name)
    return int(number)


def _number(environ: Mapping[str, str], name: str, default: float, low: float, high: float) -> float:
    text = environ.get(name) or str(default)
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not low <= number <= high:
        raise Misconfigured(f"{name} is {text!r}; set it to a number from {low} to {high}", name)
    return number
