"""A client of SQS that keeps what is sent."""

from __future__ import annotations


class RecordingQueue:
    """Keeps the messages that are sent to SQS."""

    def __init__(self):
        self.sent = []

    def send_message(self, **message):
        self.sent.append(message)
