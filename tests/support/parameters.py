"""The parameters of the template, each with values that it takes and that it refuses, and how functions read it."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from unittest.mock import patch

import httpx2

from handlers.chat.settings import Settings, refuse_wrong

SECRET = "a-secret-of-forty-characters-for-testing"
ISSUER, KEYS = "https://id.example", "https://id.example/keys.json"
KEY_SET = {"JWT_JWKS_URL": KEYS, "JWT_ISSUER": ISSUER}

Environment = dict[str, str]


def read_settings(environ: Environment) -> None:
    """Read the settings as a function that verifies tokens does."""
    refuse_wrong(Settings.check(environ, identifies_users=True)[1])


def read_proxy(environ: Environment) -> None:
    """Build the HTTP client of the model's library. It reads the proxy's variables, and raises for wrong ones."""
    try:
        # Certificates would take a tenth of a second, and no request is made.
        with patch.dict(os.environ, {"HTTPS_PROXY": "http://a.example", **environ}), httpx2.Client(verify=False):
            pass
    except (httpx2.InvalidURL, ImportError) as error:
        raise ValueError(str(error)) from error


def read_endpoint(environ: Environment) -> None:
    """Read the URL that the template makes of the stage's name."""
    read_settings({**environ, "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI": f"https://api.example/{environ['STAGE']}"})


@dataclass(frozen=True)
class Row:
    """Values of a parameter that both sides accept, and values that both refuse.

    `variable` is the functions' variable; None if only AWS reads the parameter. `stricter` are values that only the
    template refuses, each with the reason. `read` raises an exception for a value that the functions refuse.
    """

    variable: str | None
    good: tuple[str, ...]
    bad: tuple[str, ...]
    stricter: Mapping[str, str] = field(default_factory=dict)
    read: Callable[[Environment], object] = read_settings


_ONE_WAY = "one way to write a number is enough"
_OTHER_WAYS = dict.fromkeys([" 1", "1 ", "+1", "1e0", "1_0"], _ONE_WAY) | {"": "the default is written in the template"}


def whole(variable: str, low: int, high: int, stricter: Mapping[str, str] | None = None) -> Row:
    """Return the row of a whole number."""
    stricter = stricter or {}
    chance = random.Random(variable)
    between = [chance.randint(low, high) for _ in range(20)]
    powers = [power for power in itertools.takewhile(lambda n: n <= high, (10**n for n in range(12))) if power >= low]
    good = map(str, [low, low + 1, *between, *powers, *(power - 1 for power in powers if power > low), high - 1, high])
    bad = (str(low - 1), str(high + 1), str(high * 10), "1.5", "x", "-1", "nan", "inf", "1,0")
    return Row(variable, tuple(good), tuple(each for each in bad if each not in stricter), {**_OTHER_WAYS, **stricter})


def seconds(variable: str) -> Row:
    bad = ("0", "0.05", "800.1", "801", "1000", "x", "-1", "nan", "1,5")
    short = {"0.5": "a model that is silent for less than a second has not failed", "800.0": _ONE_WAY}
    return Row(variable, ("1", "1.5", "9.99", "20", "99.5", "799.9", "800"), bad, {**_OTHER_WAYS, **short})


def one_of(variable: str | None, *allowed: str) -> Row:
    return Row(variable, allowed, ("other", allowed[0].swapcase(), f"{allowed[0]} "))


def aws(good: tuple[str, ...], bad: tuple[str, ...]) -> Row:
    return Row(None, good, bad)


def bounded(low: int, high: int) -> Row:
    """Return the row of a number that only AWS reads."""
    return aws((str(low), str((low + high) // 2), str(high)), (str(low - 1), str(high + 1), "x", ""))


_NO_SUCH_PLACE = (
    *("ssm:", "ssm:name", "ssm:/", "ssm:name-that-is-longer-than-thirty-two-characters", "ssm:/a b"),
    *("ssm:/name:", "ssm:arn:aws:ssm:eu-central-1:1:parameter/a", "secretsmanager:", "secretsmanager:a b"),
    "secretsmanager:arn:aws:secretsmanager:eu-central-1:123456789012:secret:parley-AbCdEf",
)
PLACES = ("ssm:/name", "ssm:/parley/prod/key", "ssm:/name:3", "secretsmanager:parley", "secretsmanager:a/b_c+=.@-d")
_URLS = ("https://model.example/v1", "https://model.example", "https://m.example:8443/v1/?a=b", "https://10.0.0.1/")
_NO_URLS = (
    "model.example/v1",
    "ftp://model.example",
    "https://",
    "https:///v1",
    "https://a.example:0/",
    "https://a:x/",
    "https://a b.example/",
    "https://a.example/ v1",
)
_ODD_URLS = {
    "https://user:word@a.example/": "a log would hold the password",
    "https://a.example:60001/": "60000 to 65535 are for clients",
    "https://[::1]/": "write the name of the host",
    "https://ä.example/": "write the name as it is in the DNS",
}
_INEXACT = (" a", "a ", "a\n")
_EXACT = dict.fromkeys(["a b", "ä"], "no provider writes that into its tokens")

ROWS = {
    "StageName": Row(
        "STAGE",
        ("live", "prod-1_A", "x" * 128),
        (),
        {"": "API Gateway", "a/b": "API Gateway", "x" * 129: "API Gateway", "$default": "API Gateway"},
        read_endpoint,
    ),
    "JwtSecret": Row(
        "JWT_SECRET",
        ("", SECRET, "x" * 32, "ä" * 32, "ssmssmssmssmssmssmssmssmssmssmssm", *PLACES),
        ("x", "x" * 31, *_NO_SUCH_PLACE),
        {"ä" * 16: "a pattern counts characters, the functions count bytes"},
    ),
    "JwtJwksUrl": Row(
        "JWT_JWKS_URL",
        ("", KEYS, *_URLS),
        (*_NO_URLS, " https://id.example/keys", "http://id.example/keys"),
        {**_ODD_URLS, "http://127.0.0.1/keys": "there is nothing on a function's own machine"},
    ),
    "JwtIssuer": Row("JWT_ISSUER", ("", ISSUER, "https://id.example/", "me"), _INEXACT, _EXACT),
    "JwtAudience": Row("JWT_AUDIENCE", ("", "*", "my-app", "https://api.example/"), _INEXACT, _EXACT),
    "JwtUserClaim": Row("JWT_USER_CLAIM", ("", "sub", "cognito:username", "https://a.example/id"), _INEXACT, _EXACT),
    "SecretsKeyArn": aws(
        (
            "",
            "arn:aws:kms:eu-central-1:123456789012:key/12345678-1234-1234-1234-123456789012",
            "arn:aws-cn:kms:cn-north-1:123456789012:key/mrk-1234",
        ),
        ("12345678-1234-1234-1234-123456789012", "alias/mine", "arn:aws:kms:eu-central-1:123456789012:alias/mine", "*"),
    ),
    "AnonymousSeconds": whole("ANONYMOUS_SECONDS", 0, 900),
    "AutoCreateUsers": one_of("AUTO_CREATE_USERS", "true", "false"),
    "AllowedOrigins": Row(
        "ALLOWED_ORIGINS",
        ("", "https://chat.example.com", "http://localhost:3000, https://a.example", "https://a.example,capacitor://x"),
        ("*", "chat.example.com", "https://chat.example.com/", "https://Chat.example.com", " ", ","),
        {
            "https://a.example,": "no comma at the end",
            "https://ä.example": "browsers send the name as it is in the DNS",
        },
    ),
    "OpenAiApiKey": Row(
        "OPENAI_API_KEY",
        ("sk-key", "none", *PLACES),
        (*_NO_SUCH_PLACE, "ä"),
        {"": "a server that needs no key takes any", "a b": "no key has one"},
    ),
    "OpenAiBaseUrl": Row(
        "OPENAI_BASE_URL",
        (*_URLS, "http://model.internal:8000/v1"),
        _NO_URLS,
        {**_ODD_URLS, "": "the default is written in the template", " https://a.example/": "no blanks around it"},
    ),
    "OpenAiModel": Row(
        "OPENAI_MODEL",
        ("gpt-4o", "meta-llama/Llama-3.1-8B:free", "my model", "a[b]^`{c}~#!"),
        (),
        dict.fromkeys(["", " ", " gpt-4o", "gpt-4o\n"], "no blanks around it")
        | dict.fromkeys(['my "model"', "a\\b"], "it would break the JSON of the dashboard"),
    ),
    "TitleModel": Row(
        "TITLE_MODEL",
        ("", "gpt-4o-mini", "my model"),
        (),
        dict.fromkeys([" ", " gpt-4o", "gpt-4o\n"], "no blanks around it"),
    ),
    "OpenAiTemperature": Row(
        "OPENAI_TEMPERATURE",
        ("", "0", "0.7", "1", "1.99", "2", "2.0"),
        ("2.1", "3", "-0.1", "x", "nan", "0,7"),
        dict.fromkeys(["1e0", ".5", "00.5", "1."], _ONE_WAY),
    ),
    "MaxCompletionTokens": whole("MAX_COMPLETION_TOKENS", 1, 1_000_000),
    "Instructions": Row(
        "INSTRUCTIONS",
        ("", "Be brief.", "Отвечай кратко.\n\tНа русском.", 'Say "tea" & <more>, 100% of the time.', "x" * 1000),
        (),
        {"x" * 1001: "the variables of a function have 4 KB together", "a\x00": "no variable can hold it"},
    ),
    "ToolResultBytes": Row(
        "TOOL_RESULT_BYTES",
        ("1000", "1001", "9999", "10000", "32768", "99999", "100000", "199999", "200000", "249999", "250000"),
        ("999", "250001", "2500000", "1.5", "x", "-1", "nan", "1,000"),
        dict.fromkeys([" 1000", "01000", "1_000"], _ONE_WAY),
    ),
    "Reasoning": one_of("REASONING", "hidden", "shown", "stored"),
    "ApprovalDays": whole("APPROVAL_DAYS", 1, 28),
    "ChatLanguage": one_of("CHAT_LANGUAGE", "ru", "en"),
    "HistoryChars": whole("HISTORY_CHARS", 1, 10_000_000),
    "PromptImages": whole("PROMPT_IMAGES", 0, 20),
    "FirstTokenSeconds": seconds("OPENAI_FIRST_TOKEN_SECONDS"),
    "TokenSeconds": seconds("OPENAI_TOKEN_SECONDS"),
    "Prices": Row(
        "TURN_PRICES",
        ("", "{}", '{"frames": 1.0}', '{ "read_units":0.125, "write_units" : 0 }'),
        (
            *(
                "[1]",
                "1",
                "x",
                '{"frame": 1}',
                '{"frames": "x"}',
                '{"frames": [1]}',
                '{"frames": 01}',
                '{"frames": 1,}',
            ),
            *('{"frames": -1}', '{"frames": Infinity}'),
        ),
        dict.fromkeys(['{"frames": "1"}', '{"frames": 1e0}'], _ONE_WAY),
    ),
    "HttpsProxy": Row(
        "HTTPS_PROXY",
        ("", "http://proxy.example:3128", "https://user:word@proxy.example:3128/"),
        ("ftp://proxy.example", "http://proxy.example:x", "socks5://proxy.example", "http://::?@0"),
        {"proxy.example:3128": _ONE_WAY, "http://proxy.example/path": "a proxy has no path"},
        read_proxy,
    ),
    "NoProxy": Row(
        "NO_PROXY",
        ("", "*", ".amazonaws.com,.amazonaws.com.cn", "model.internal, 10.0.0.1:8000"),
        (),
        dict.fromkeys(["a b", "a,,b", "https://a", "[::1]"], "no host is written like that"),
        read_proxy,
    ),
    "MessageChars": whole("MESSAGE_CHARS", 1, 10_000),
    "MessagesPerMinute": whole("MESSAGES_PER_MINUTE", 0, 60_000),
    "MessagesPerDay": whole("MESSAGES_PER_DAY", 0, 10_000_000),
    "TokensPerDay": whole("TOKENS_PER_DAY", 0, 10_000_000_000),
    "ConnectionsPerUser": whole("CONNECTIONS_PER_USER", 0, 1_000),
    "ConcurrentReplies": whole("CONCURRENT_REPLIES", 0, 100),
    "FramesPerSecond": whole("FRAMES_PER_SECOND", 0, 10_000),
    "RequestsPerMinute": whole("REQUESTS_PER_MINUTE", 0, 60_000),
    "AttachmentMegabytes": whole("ATTACHMENT_MEGABYTES", 0, 10),
    "ChatsPerUser": whole("CHATS_PER_USER", 0, 1_000_000),
    "RelayPaceMs": whole("RELAY_PACE_MS", 0, 10_000, {"1.5": "no clock is that exact"}),
    "RelayLatePaceMs": whole("RELAY_LATE_PACE_MS", 0, 10_000, {"1.5": "no clock is that exact"}),
    "RelayLateSeconds": whole("RELAY_LATE_SECONDS", 0, 900, {"1.5": "nobody sees half a second there"}),
    "RelayUnpacedFrames": whole("RELAY_UNPACED_FRAMES", 0, 10_000),
    "LogLevel": Row(
        "POWERTOOLS_LOG_LEVEL",
        ("DEBUG", "INFO", "WARNING", "ERROR"),
        ("other", "WARN"),
        {"debug": _ONE_WAY, "": "the default is written in the template", "CRITICAL": "no event has this level"},
    ),
    "Metrics": one_of(None, "true", "false"),
    "LogRetentionDays": aws(("1", "30", "3653"), ("0", "2", "31", "x", "")),
    "Tracing": one_of(None, "Active", "PassThrough"),
    "AlarmEmail": aws(("", "on-call@example.com"), ("on-call", "@example.com", "a b@example.com", "a@example")),
    "DeletionProtection": one_of(None, "true", "false"),
    "WorkerMemory": bounded(512, 10_240),
    "WorkerConcurrency": bounded(0, 100_000),
    "DeliverConcurrency": bounded(0, 100_000),
    "SocketThrottleRate": bounded(1, 100_000),
    "SocketThrottleBurst": bounded(1, 100_000),
    "HttpThrottleRate": bounded(1, 100_000),
    "HttpThrottleBurst": bounded(1, 100_000),
}
