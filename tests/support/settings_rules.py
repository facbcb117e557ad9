"""Rules of the settings, as tables: for each variable, values that keep its rule and values that break it."""

SECRET = "s" * 32
PROVIDER = {"JWT_JWKS_URL": "https://id.example/keys", "JWT_ISSUER": "https://id.example/"}

RULES = {
    "CHAT_LANGUAGE": (["", "ru", "en"], ["de", "RU", " en"]),
    "REASONING": (["", "hidden", "shown", "stored"], ["Shown", "yes", " hidden"]),
    "TOOL_RESULT_BYTES": (["1000", "250000"], ["999", "250001", "32 KB"]),
    "APPROVAL_DAYS": (["1", "28"], ["0", "29", "1.5", "a week"]),
    "AUTO_CREATE_USERS": (["", "true", "false"], ["yes", "True", "1"]),
    "ANONYMOUS_SECONDS": (["", "0", "60", "900"], ["-1", "901", "1.5", "x"]),
    "MESSAGE_CHARS": (["1", "10000"], ["0", "10001", "x"]),
    "MESSAGES_PER_MINUTE": (["0", "60000"], ["-1", "60001", "1.5"]),
    "MESSAGES_PER_DAY": (["0", "10000000"], ["-1", "10000001", "x"]),
    "TOKENS_PER_DAY": (["0", "10000000000"], ["-1", "10000000001", "x"]),
    "CONNECTIONS_PER_USER": (["0", "1000"], ["-1", "1001", "x"]),
    "CONCURRENT_REPLIES": (["0", "100"], ["-1", "101"]),
    "FRAMES_PER_SECOND": (["0", "10000"], ["-1", "10001", "x"]),
    "REQUESTS_PER_MINUTE": (["0", "60000"], ["-1", "60001", "x"]),
    "CHATS_PER_USER": (["0", "1000000"], ["-1", "1000001", "x"]),
    "ATTACHMENT_MEGABYTES": (["0", "10"], ["-1", "11", "1.5"]),
    "PROMPT_IMAGES": (["0", "20"], ["-1", "21", "x"]),
    "MAX_COMPLETION_TOKENS": (["1", "1000000"], ["0", "1000001"]),
    "HISTORY_CHARS": (["1", "10000000"], ["0", "10000001", "1,000"]),
    "RELAY_PACE_MS": (["0", "0.5", "10000"], ["-1", "10001", "nan"]),
    "RELAY_LATE_PACE_MS": (["0", "0.5", "10000"], ["-1", "10001", "nan"]),
    "RELAY_LATE_SECONDS": (["0", "0.5", "900"], ["-1", "901", "inf"]),
    "RELAY_UNPACED_FRAMES": (["0", "10000"], ["-1", "10001", "1.5"]),
    "OPENAI_BASE_URL": (["", "http://127.0.0.1:9/v1\n"], ["api.openai.com/v1", "http://a b/", "http://a:0", "sk-1"]),
    "OPENAI_TEMPERATURE": (["", "0", "2"], ["-0.1", "2.1", "hot"]),
    "OPENAI_FIRST_TOKEN_SECONDS": (["0.1", "800"], ["0", "801", "inf"]),
    "OPENAI_TOKEN_SECONDS": (["0.1", "800"], ["0", "801", "inf"]),
    "OPENAI_API_KEY": (
        ["", "sk-1\n", "ssm:/a", "ssm:/a/b-c.d_e:3", "secretsmanager:parley/openai"],
        ["ключ", "sk\n1", "ssm:", "ssm:a", "ssm:/a//b", "ssm:/a b", "secretsmanager:", "secretsmanager:arn:aws:x"],
    ),
    "TURN_PRICES": (
        ["", "{}", '{"write_units": 0}', '{"frames": "1.5"}'],
        [
            "[1]",
            "{",
            '{"x": 1}',
            '{"frames": -1}',
            '{"frames": NaN}',
            '{"frames": 1e999}',
            "[" * 20_000,
        ],
    ),
    "ALLOWED_ORIGINS": (
        ["", "https://a.example", "https://a.example, http://localhost:5173,", "chrome-extension://abc"],
        [",", " ", "*", "a.example", "https://a.example/", "https://A.example", "https://a.example https://b.example"],
    ),
    "POWERTOOLS_LOG_LEVEL": (["", "DEBUG", "warning"], ["verbose", "WARN "]),
    "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI": (
        ["https://a.example/live"],
        ["a.example/live", "wss://a.example/live"],
    ),
    "JWT_AUDIENCE": (["", "*", "parley"], [" ", "parley\n", " parley"]),
    "JWT_USER_CLAIM": (["", "oid", "https://a.example/user"], ["oid ", "\toid"]),
}
"""The values of each variable that keep its rule, at the edges too, and values that break it."""

IDENTITY_RULES = [
    ({}, ["JWT_JWKS_URL", "JWT_SECRET"]),
    ({"JWT_SECRET": ""}, ["JWT_JWKS_URL", "JWT_SECRET"]),
    ({"JWT_SECRET": "x" * 31}, ["JWT_SECRET"]),
    ({"JWT_SECRET": "é" * 15}, ["JWT_SECRET"]),
    ({"JWT_SECRET": "x" * 32}, []),
    ({"JWT_SECRET": "é" * 16}, []),
    ({"JWT_SECRET": "ssm:/parley/jwt-secret"}, []),
    ({"JWT_SECRET": "ssm:parley"}, ["JWT_SECRET"]),
    ({"JWT_SECRET": "secretsmanager:" + "arn:" * 10}, ["JWT_SECRET"]),
    ({"JWT_SECRET": SECRET} | PROVIDER, ["JWT_JWKS_URL", "JWT_SECRET"]),
    (PROVIDER, []),
    (PROVIDER | {"JWT_ISSUER": ""}, ["JWT_ISSUER"]),
    (PROVIDER | {"JWT_ISSUER": "https://id.example/\n"}, ["JWT_ISSUER"]),
    (PROVIDER | {"JWT_JWKS_URL": "http://127.0.0.1:9/keys"}, []),
    (PROVIDER | {"JWT_JWKS_URL": "http://id.example/keys"}, ["JWT_JWKS_URL"]),
    (PROVIDER | {"JWT_JWKS_URL": "https://"}, ["JWT_JWKS_URL"]),
    ({"JWT_JWKS_URL": "keys"}, ["JWT_ISSUER", "JWT_JWKS_URL"]),
]
WRONG = {name: outside[0] for name, (_, outside) in RULES.items()}
