"""Messages: the body says what happens. Answers are posted, for most routes have no other way to the client."""

import json
import os
import time

from connections import call, post, send
from observed import keep, kept

QUOTED = 1_000
"""Characters of a long body that an echo has."""


def handler(event, context):
    order = order_in(event.get("body"))
    ROUTES.get(event["requestContext"]["routeKey"], act)(event, order)
    if "returns" in order:
        return order["returns"]
    return {"statusCode": order.get("status", 200), "body": "what the function returned"}


def order_in(body):
    try:
        order = json.loads(body)
    except (ValueError, TypeError):
        return {}
    return order if isinstance(order, dict) else {}


def say(event, kind, **content):
    post(event, json.dumps({"type": kind, **content}).encode())


def act(event, order):
    """Keep the event, do what the body says, and tell of it."""
    keep(event)
    context, body = event["requestContext"], event["body"]
    together = len(kept(context["connectionId"], "MESSAGE", order["await"])) if "await" in order else None
    time.sleep(order.get("sleep", 0))
    if order.get("raise"):
        raise RuntimeError("asked for")
    if order.get("exit"):
        os._exit(3)
    for number in range(order.get("posts", 0)):
        say(event, "post", n=number)
    if not order.get("quiet"):
        seen = {"route": context["routeKey"], "connectionId": context["connectionId"], "together": together}
        say(event, "echo", n=order.get("n"), body=body[:QUOTED], length=len(body), **seen)


def observed(event, order):
    found = kept(order["subject"], order["kind"], order.get("count", 1))
    say(event, "observed", found=found)


def manage(event, order):
    say(event, "managed", **(send if order.get("raw") else call)(event, order))


def apis(event, order):
    urls = {name.removesuffix("_URL").lower(): url for name, url in os.environ.items() if name.endswith("_URL")}
    say(event, "apis", urls=urls)


ROUTES = {"observed": observed, "manage": manage, "apis": apis}
