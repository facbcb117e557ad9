"""A transport of an HTTP server, for tests of the writes that it gets."""


class RecordingTransport:
    """A transport that keeps what is done with it."""

    def __init__(self):
        self.done = []

    def write(self, data):
        self.done.append(data)

    def close(self):
        self.done.append("closed")

    def is_closing(self):
        return "closed" in self.done
