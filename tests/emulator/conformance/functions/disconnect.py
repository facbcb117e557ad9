"""`$disconnect`: keeps its event."""

from observed import keep


def handler(event, context):
    keep(event)
