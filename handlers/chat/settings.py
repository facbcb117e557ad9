"""Settings: the environment variables that `infra/template.yaml` sets, read once at start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from handlers.chat.cost import Prices
from handlers.chat.errors import Misconfigured
from handlers.chat.limits.policy import Limits

MAX_MESSAGE_CHARS = 10_000
"""UTF-16 code units. At 3 bytes of UTF-8 each, `user_message` still fits into one 32 KB frame."""

MAX_CONCURRENT_REPLIES = 100
"""Each has a slot of about 100 bytes on the user's item, and a write costs a unit for each kilobyte of the item."""


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of one language that users see in chats."""

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
class Settings:
    """The settings of one function. A variable that the function does not have leaves a default, or an empty text.

    - `jwt_secret`: the secret, or the name of one (see `identity.secrets`).
    - `jwt_user_claim`: the claim that names the user; empty for the default of the way to sign.
    - `anonymous_seconds`: a connection without a user is closed after this time, 0 for never.
    - `message_chars`: the length of the longest user message, in UTF-16 code units.
    - `limits`: the limits of one user.
    - `history_chars`: the length of the longest prompt, in characters.
    - `relay_pace`: the shortest time between two frames of a reply, in seconds.
    - `allowed_origins`: scheme and host of the web pages whose scripts may connect and use the HTTP API.
    - `max_completion_tokens`: the most tokens that the model may write in one answer.
    - `management_endpoint`: the URL of the `@connections` API, with its stage.
    - `openai_temperature`: OpenAI's. It is not sent if it is None.
    - `prices`: the prices that the cost of a turn is estimated with.
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
    relay_pace: float
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

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Settings:
        """Read the settings from environment variables. Raises `Misconfigured` for a value that cannot be used."""
        model = environ.get("OPENAI_MODEL", "").strip() or "gpt-4o"
        return cls(
            texts=_texts(environ.get("CHAT_LANGUAGE") or "ru"),
            jwt_secret=environ.get("JWT_SECRET", ""),
            jwks_url=environ.get("JWT_JWKS_URL", ""),
            jwt_issuer=environ.get("JWT_ISSUER", ""),
            jwt_audience=environ.get("JWT_AUDIENCE", ""),
            jwt_user_claim=environ.get("JWT_USER_CLAIM", ""),
            auto_create_users=_flag(environ, "AUTO_CREATE_USERS"),
            anonymous_queue=environ.get("ANONYMOUS_QUEUE_URL", ""),
            anonymous_seconds=_integer(environ, "ANONYMOUS_SECONDS", 60, 0, 900),
            message_chars=_integer(environ, "MESSAGE_CHARS", MAX_MESSAGE_CHARS, 1, MAX_MESSAGE_CHARS),
            limits=_limits(environ),
            history_chars=_integer(environ, "HISTORY_CHARS", 48_000, 1, 10_000_000),
            relay_pace=_number(environ, "RELAY_PACE_MS", 50, 0, 10_000) / 1000,
            generate_function=environ.get("GENERATE_FUNCTION", ""),
            deliver_function=environ.get("DELIVER_FUNCTION", ""),
            erase_function=environ.get("ERASE_FUNCTION", ""),
            allowed_origins=tuple(filter(None, map(str.strip, environ.get("ALLOWED_ORIGINS", "").split(",")))),
            management_endpoint=environ.get("AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI", ""),
            openai_base_url=_url(environ, "OPENAI_BASE_URL", "https://api.openai.com/v1"),
            openai_model=model,
            openai_temperature=_temperature(environ),
            max_completion_tokens=_integer(environ, "MAX_COMPLETION_TOKENS", 4_096, 1, 1_000_000),
            model_timeouts=ModelTimeouts(
                first_token_seconds=_number(environ, "OPENAI_FIRST_TOKEN_SECONDS", 30, 0.1, 800),
                next_token_seconds=_number(environ, "OPENAI_TOKEN_SECONDS", 20, 0.1, 800),
            ),
            prices=Prices.of(environ.get("TURN_PRICES", ""), model),
        )

    @classmethod
    def check(cls, environ: Mapping[str, str]) -> tuple[Settings, dict[str, str]]:
        """Read the settings, with the default for each value that cannot be used. Return these variables too.

        Each comes with a text that says what to set it to. The text may have the value in it.
        """
        usable, problems = dict(environ), dict[str, str]()
        while True:
            try:
                return cls.of(usable), problems
            except Misconfigured as error:
                if usable.pop(error.variable, None) is None:
                    raise
                problems[error.variable] = str(error)


def _texts(language: str) -> Texts:
    try:
        return _LANGUAGES[language]
    except KeyError:
        choice = " or ".join(_LANGUAGES)
        raise Misconfigured(f"CHAT_LANGUAGE is {language!r}; set it to {choice}", "CHAT_LANGUAGE") from None


def _temperature(environ: Mapping[str, str]) -> float | None:
    """Return the temperature. None if the variable is there and empty: some models take no temperature."""
    return None if environ.get("OPENAI_TEMPERATURE") == "" else _number(environ, "OPENAI_TEMPERATURE", 0.7, 0.0, 2.0)


def _url(environ: Mapping[str, str], name: str, default: str) -> str:
    url = environ.get(name, "").strip() or default
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise Misconfigured(f"{name} is {url!r}; set it to an http or https URL", name)
    return url


def _flag(environ: Mapping[str, str], name: str) -> bool:
    text = environ.get(name) or "false"
    if text not in ("true", "false"):
        raise Misconfigured(f"{name} is {text!r}; set it to true or false", name)
    return text == "true"


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
