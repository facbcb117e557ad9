"""The events of one connection to the conformance stack."""

import uuid


class ConnectionEvents:
    """A connection that came, said something and went, and the events of it."""

    def __init__(self, connect, stage="main", **query):
        tag = f"t{uuid.uuid4().hex}"
        client = connect(
            stage,
            {"tag": tag, **query},
            user_agent_header=None,
            compression="deflate",
            additional_headers=[("X-Colour", "red"), ("X-Colour", "blue")],
        )
        self.id = client.connection_id()
        client.leave()
        observer = connect()
        self.connect, self.message, self.disconnect = (
            observer.observed(self.id, kind)[0]["event"] for kind in ("CONNECT", "MESSAGE", "DISCONNECT")
        )
        self.all = (self.connect, self.message, self.disconnect)
        asked = observer.observed(self.id, "AUTHORIZE", 1 if stage == "guarded" else 0)
        self.authorize = [each["event"] for each in asked]

    @property
    def contexts(self):
        return [event["requestContext"] for event in self.all]
