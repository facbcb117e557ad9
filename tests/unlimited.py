"""Settings for tests that send faster than people do."""

UNLIMITED = {
    name: "0"
    for name in (
        "MESSAGES_PER_MINUTE",
        "MESSAGES_PER_DAY",
        "TOKENS_PER_DAY",
        "CONNECTIONS_PER_USER",
        "CONCURRENT_REPLIES",
        "FRAMES_PER_SECOND",
    )
}
