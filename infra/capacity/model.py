"""Work of a turn, a ping and a connection, and the load of many connections.

The load is the work of each event times how often it happens. The model knows no queues, no peaks and no cold starts:
read its figures as those of an even day.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import inf


@dataclass(frozen=True, slots=True)
class Design:
    """What the code and the template decide. Tests compare it with both."""

    pace_seconds: float = 0.05
    late_pace_seconds: float = 0.1
    late_after_seconds: float = 4
    """The age of a reply's text at which its pace has grown from `pace_seconds` to `late_pace_seconds`."""
    unpaced_frames: int = 10
    young_poll_seconds: float = 0.25
    young_seconds: float = 1
    poll_seconds: float = 0.9
    certain_seconds: float = 2
    lease_seconds: float = 5
    """The age of a lease at which it is renewed. The renewal is a write that shows the chat."""
    worker_memory_mb: int = 512
    prod_workers: int = 500
    """`WorkerConcurrency` of the preset `prod`."""
    socket_throttle_rate: int = 500
    broadcast_chains: int = 4
    broadcast_page: int = 500
    broadcast_posts_per_second: float = 250
    """Of one chain."""


@dataclass(frozen=True, slots=True)
class Use:
    """What people do: one turn of `turn_every` seconds for each connection, and so on. The reply is English."""

    turn_every: float = 600
    ping_every: float = 300
    reconnect_every: float = 115 * 60
    first_token_seconds: float = 1
    reply_tokens: int = 500
    tokens_per_second: float = 100
    reply_bytes: int = 2_000
    prompt_tokens: int = 2_000
    prompt_read_units: int = 3
    """Read units of the messages of a prompt: four replies of 2,000 bytes and five questions, in one query."""


@dataclass(frozen=True, slots=True)
class Work:
    """What one event takes. `frames` are billed messages in both directions, `requests` count against quotas.

    `lambda_seconds` is the sum over the invocations, `gb_seconds` the same times their memory.
    """

    frames: float = 0
    requests: float = 0
    invocations: float = 0
    lambda_seconds: float = 0
    worker_seconds: float = 0
    """The part of `lambda_seconds` that workers take."""
    gb_seconds: float = 0
    write_units: float = 0
    message_units: float = 0
    """The part of `write_units` that the messages table takes."""
    read_units: float = 0
    poll_units: float = 0
    """The part of `read_units` that the worker's looks at the chats table take."""
    log_bytes: float = 0
    sent_bytes: float = 0
    stored_bytes: float = 0
    sqs_requests: float = 0

    def __add__(self, other: Work) -> Work:
        return Work(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))

    def __mul__(self, times: float) -> Work:
        return Work(*(getattr(self, each.name) * times for each in fields(self)))


# Measured on 26 November 2026 with the emulator (10 ms a post, 2 cores, Python 3.11) unless they say "assumed".
WORKER_OVERHEAD_SECONDS = 0.12
"""Seconds of a worker that are not the model's: 5.07 to 5.12 s for a reply that takes 5 s."""
WORKER_CPU_SECONDS = 0.30
"""CPU of a worker for a reply of 500 tokens. Its memory was 87 MiB."""
FRAME_BYTES = 135
"""Bytes of a frame of a reply without its text: 18,800 bytes for 110 frames and two times 1,961 bytes of text."""
ANSWER_SECONDS = 0.08
"""Seconds of `default` for a message. Assumed: 5 ms a call of DynamoDB, 12 a transaction, 10 a post, 15 an Invoke."""
PLATFORM_LOG_BYTES = 500
"""Bytes of Lambda's own lines of one invocation. Assumed: `platform.start` and `platform.report`."""
PART_SECONDS = 0.2
"""Seconds of a part of a broadcast beside its posts: a page's read, the Invoke, the wait for the next invocation.
Assumed, for the most part the time that Lambda's queue takes."""
DELIVER_GB = 0.5
"""Memory of `DeliverFunction`."""
ROW_BYTES = 300
"""Bytes of a connection's row. Reads of a broadcast may be late, so each 8 KB take a unit."""
METRIC_BYTES = 2_500
"""Bytes of the lines that one turn's metrics are made of (docs/metrics.md)."""
TURN_WRITE_UNITS, TURN_MESSAGE_UNITS = 17, 6
"""Write units of a turn with the default limits and a reply of up to 1 KB, and those of its three items in the messages
table. Each further KB of the reply takes 2 more there, and each 5 seconds of it 1 elsewhere."""
TURN_READ_UNITS = 5
"""Read units of a turn besides the prompt and the worker's looks: connection, chat (twice), user, a possible repeat."""
ITEM_BYTES = 300
"""Bytes of a message's item without its text."""


def a_turn(design: Design, use: Use) -> Work:
    """Return the work of one message with a `clientMessageId` and its reply, for one device."""
    reply_seconds = use.reply_tokens / use.tokens_per_second
    worker_seconds = use.first_token_seconds + reply_seconds + WORKER_OVERHEAD_SECONDS
    posts = 3 + _token_frames(design, use)  # and the acknowledgement, the start, the end
    polls = poll_units(design, worker_seconds)
    longer = 2 * (-(-(use.reply_bytes + ITEM_BYTES) // 1024) - 1)
    return Work(
        frames=posts + 1,
        requests=posts + 1,
        invocations=2,
        lambda_seconds=worker_seconds + ANSWER_SECONDS,
        worker_seconds=worker_seconds,
        gb_seconds=worker_seconds * design.worker_memory_mb / 1024 + ANSWER_SECONDS,
        write_units=TURN_WRITE_UNITS + longer + worker_seconds // design.lease_seconds,
        message_units=TURN_MESSAGE_UNITS + longer,
        read_units=TURN_READ_UNITS + use.prompt_read_units + polls,
        poll_units=polls,
        log_bytes=1_600 + METRIC_BYTES + 2 * PLATFORM_LOG_BYTES,
        sent_bytes=posts * FRAME_BYTES + 2 * use.reply_bytes,
        stored_bytes=use.reply_bytes + 1_200,
    )


def _token_frames(design: Design, use: Use) -> float:
    """Return the frames that carry the text of a reply: some at once, the others at the pace, which grows."""
    token = 1 / use.tokens_per_second
    frames = min(design.unpaced_frames, use.reply_tokens)
    at, end = frames * token, use.reply_tokens * token
    while (left := end - at) > token / 2:
        growth = min(1.0, at / design.late_after_seconds) if design.late_after_seconds else 1.0
        growing = max(0.0, design.late_pace_seconds - design.pace_seconds) * growth
        pace = design.pace_seconds + growing if design.pace_seconds else 0.0
        # A pace that has come to its end stays: so much of a long reply needs no steps.
        if growth == 1.0:
            return frames + round(left / max(pace, token))
        at += max(pace, token)
        frames += 1
    return frames


def poll_units(design: Design, seconds: float) -> float:
    """Return the read units of a worker's looks at the chat in this time, if its item has up to 4 KB.

    A look takes half a unit, a certain one a whole unit, and a renewal of the lease none.
    """
    units, at, certain, renewed = 0.0, 0.0, -inf, 0.0
    while (at := at + (design.young_poll_seconds if at < design.young_seconds else design.poll_seconds)) < seconds:
        pause = design.young_poll_seconds if at < design.young_seconds else design.poll_seconds
        if at - renewed >= design.lease_seconds:
            renewed = certain = at
        elif at - certain + pause > design.certain_seconds:
            certain, units = at, units + 1
        else:
            units += 0.5
    return units


A_PING = Work(
    frames=2,
    requests=2,
    invocations=1,
    lambda_seconds=0.025,
    gb_seconds=0.025,
    read_units=2,
    log_bytes=550 + PLATFORM_LOG_BYTES,
    sent_bytes=100,
)
"""A `ping` and its `pong`. The seconds are assumed, like those of `ANSWER_SECONDS`."""

A_CONNECTION = Work(
    frames=4,  # greeting, join_chat, authenticated, chat_joined
    requests=5,
    invocations=5,  # connect, deliver, default, expire, disconnect
    lambda_seconds=0.25,
    gb_seconds=0.17,
    write_units=1 + 6 + 5,
    read_units=5 + 3 + 1 + 1,
    log_bytes=500 + 5 * PLATFORM_LOG_BYTES,
    sent_bytes=16_000,
    sqs_requests=3,
)
"""A handshake, `join_chat` with a page of history, and the end. The seconds and the bytes of the page are assumed."""


def a_broadcast(connections: float, design: Design) -> Work:
    """Return the work of one frame to so many connections."""
    parts = -(-connections // design.broadcast_page)
    lambda_seconds = connections / design.broadcast_posts_per_second + parts * PART_SECONDS
    return Work(
        frames=connections,
        requests=connections,
        invocations=parts + 1,
        lambda_seconds=lambda_seconds,
        gb_seconds=lambda_seconds * DELIVER_GB,
        read_units=connections * ROW_BYTES / 8192,
        log_bytes=parts * (300 + PLATFORM_LOG_BYTES),
        sent_bytes=connections * FRAME_BYTES,
    )


def broadcast_seconds(connections: float, design: Design) -> float:
    """Return the seconds until the last of so many connections has heard a broadcast."""
    return a_broadcast(connections, design).lambda_seconds / design.broadcast_chains


@dataclass(frozen=True, slots=True)
class Load:
    """What a number of connections needs, in a second. `work` is the sum of everything."""

    connections: float
    turns: float
    new_connections: float
    socket_events: float
    """Events of the route `$default`, which has the most."""
    work: Work

    @property
    def environments(self) -> float:
        """The Lambda environments that are busy at once."""
        return self.work.lambda_seconds


def load(connections: float, design: Design, use: Use) -> Load:
    """Return the load of so many connections."""
    turns, pings, new = (connections / each for each in (use.turn_every, use.ping_every, use.reconnect_every))
    work = a_turn(design, use) * turns + A_PING * pings + A_CONNECTION * new
    return Load(connections, turns, new, turns + pings + new, work)
