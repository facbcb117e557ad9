"""Settings for tests that send faster than people do."""

from handlers.chat.concurrency import Runtime
from handlers.chat.limits.frame_rate import FrameRateLimiter

_MESSAGES = ("MESSAGES_PER_MINUTE", "MESSAGES_PER_DAY", "TOKENS_PER_DAY", "CONCURRENT_REPLIES")
_CONNECTIONS = ("CONNECTIONS_PER_USER", "FRAMES_PER_SECOND")

_HTTP = ("REQUESTS_PER_MINUTE", "CHATS_PER_USER")

UNLIMITED = dict.fromkeys((*_MESSAGES, *_CONNECTIONS, *_HTTP), "0")

NO_FRAME_LIMIT = FrameRateLimiter(0, Runtime())
