"""Messages of topics and events of buckets, on their way from moto to functions and to EventBridge."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import wraps
from threading import Thread
from typing import Any
from xml.sax.saxutils import escape

from parley.account import ACCOUNT_ID, REGION
from parley.template.model import Bucket, Notification

DEFAULT_BUS = f"arn:aws:events:{REGION}:{ACCOUNT_ID}:event-bus/default"
"""The ARN of EventBridge's default bus, to which services send."""

BUCKETS = "The bucket "
"""The beginning of the name of a bucket as the source of an event."""

Notify = Callable[[str, Mapping[str, Any], str], None]
"""Sends an event to the function or bus with an ARN, and names its source."""


def create_bucket(s3: Any, bucket: Bucket) -> None:
    """Create a bucket of the template, with its notifications. Raises ValueError if moto refuses it."""
    _checked(s3("PUT", {}, b"", f"/{bucket.name}"), bucket)
    parts = [
        f"<{each.kind}Configuration><{each.kind}>{escape(each.arn)}</{each.kind}>"
        + "".join(f"<Event>{escape(event)}</Event>" for event in each.events)
        + _key_filter(each)
        + f"</{each.kind}Configuration>"
        for each in bucket.notifications
    ]
    if bucket.notifies_bus:
        parts.append("<EventBridgeConfiguration></EventBridgeConfiguration>")
    if parts:
        body = f"<NotificationConfiguration>{''.join(parts)}</NotificationConfiguration>".encode()
        _checked(s3("PUT", {}, body, f"/{bucket.name}?notification"), bucket)


def _key_filter(notification: Notification) -> str:
    rules = "".join(
        f"<FilterRule><Name>{name}</Name><Value>{escape(value)}</Value></FilterRule>"
        for name, value in (("prefix", notification.prefix), ("suffix", notification.suffix))
        if value
    )
    return f"<Filter><S3Key>{rules}</S3Key></Filter>" if rules else ""


def _checked(answer: Any, bucket: Bucket) -> None:
    status, _, content = answer
    if int(status) >= 400:
        text = content.decode(errors="replace") if isinstance(content, bytes) else str(content)
        raise ValueError(f"the bucket {bucket.name} was refused ({status}): {text[:300]}")


def deliver_messages(notify: Notify, note: Callable[[str], None]) -> None:
    """Make topics send to functions: moto itself would look for functions of its own. Filters are moto's.

    `note` tells the developer of a message that an HTTP endpoint did not take. It is called in another thread.
    """
    from moto.sns.models import Subscription as Subscribed

    original = getattr(Subscribed.publish, "__wrapped__", Subscribed.publish)

    def post(subscription: Any, message: str, message_id: str, **more: Any) -> None:
        try:
            original(subscription, message, message_id, **more)
        except OSError as error:  # those of requests, too
            note(f"The topic {subscription.topic.name} did not reach {subscription.endpoint}: {error}")

    @wraps(original)
    def publish(self: Any, message: str, message_id: str, **more: Any) -> None:
        if self.protocol in ("http", "https"):
            # Not in this thread: moto waits for the endpoint, which may be this emulator and need a service.
            Thread(target=post, args=(self, message, message_id), kwargs=more, daemon=True).start()
            return
        if self.protocol != "lambda":
            original(self, message, message_id, **more)
            return
        matcher = self._filter_policy_matcher
        if matcher is not None and not matcher.matches(more.get("message_attributes"), message):
            return
        if more.get("message_structure") == "json":
            message = self._parse_message_structure(message, self.protocol)
        record = _sns_record(self, message, message_id, more.get("subject"), more.get("message_attributes") or {})
        notify(self.endpoint, {"Records": [record]}, f"The topic {self.topic.name}")

    Subscribed.publish = publish  # type: ignore[method-assign, assignment]


def deliver_notifications(notify: Notify) -> None:
    """Make buckets send to functions and to EventBridge's default bus."""
    from moto.s3 import notifications

    def invoke(account_id: str, event_body: dict[str, Any], fn_arn: str, region_name: str) -> None:
        bucket = event_body["Records"][0]["s3"]["bucket"]["name"]
        notify(fn_arn, {"Records": [_s3_record(each) for each in event_body["Records"]]}, f"{BUCKETS}{bucket}")

    def put_event(account_id: str, bucket: Any, event_name: Any, key: Any) -> None:
        kind, detail = notifications._detail_type(event_name), _s3_detail(bucket, event_name, key)
        event = {
            "detail-type": kind,
            "source": "aws.s3",
            "resources": [f"arn:aws:s3:::{bucket.name}"],
            "detail": detail,
        }
        notify(DEFAULT_BUS, event, f"{BUCKETS}{bucket.name}")

    notifications._invoke_awslambda = invoke
    notifications._send_event_bridge_message = put_event


def is_untrue(event: Mapping[str, Any], query: str) -> bool:
    """Tell if moto says of a request what S3 does not: tags of an object without any, a put of a multipart upload."""
    name = event["Records"][0]["eventName"] if "Records" in event else event["detail-type"]
    if "Tag" in name:
        return "tagging" not in query
    is_put = name.endswith(":Put") or event.get("detail", {}).get("reason") == "PutObject"
    return is_put and "uploadId=" in query


def _s3_record(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record of S3's with the fields that moto leaves out (user guide, "Event message structure")."""
    owner, found = {"ownerIdentity": {"principalId": "EMULATOR"}}, record["s3"]["object"]
    return {
        **record,
        "userIdentity": {"principalId": "EMULATOR"},
        "requestParameters": {"sourceIPAddress": "127.0.0.1"},
        "responseElements": {"x-amz-request-id": "EMULATOR", "x-amz-id-2": "EMULATOR"},
        "s3": {
            **record["s3"],
            "bucket": {**record["s3"]["bucket"], **owner},
            # Keys are encoded, but their slashes are not.
            "object": {**found, "key": found["key"].replace("%2F", "/"), "sequencer": _sequencer()},
        },
    }


def _s3_detail(bucket: Any, event_name: str, key: Any) -> dict[str, Any]:
    # s3:ObjectCreated:Put is an event of the reason PutObject.
    reason = {"Put": "PutObject", "Copy": "CopyObject", "Post": "POST Object", "Delete": "DeleteObject"}
    last = str(getattr(event_name, "value", event_name)).rpartition(":")[2]
    return {
        "version": "0",
        "bucket": {"name": bucket.name},
        "object": {"key": key.name, "size": key.size, "etag": key.etag.strip('"'), "sequencer": _sequencer()},
        "request-id": "EMULATOR",
        "requester": ACCOUNT_ID,
        "source-ip-address": "127.0.0.1",
        "reason": reason.get(last, last),
    }


def _sequencer() -> str:
    """Return a text that is greater for each later event."""
    return f"{time.time_ns():016X}"


def _sns_record(
    subscription: Any, message: str, message_id: str, subject: str | None, attributes: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a message in the form in which functions get it. Its signature is no real one."""
    url = f"https://sns.{REGION}.amazonaws.com/"
    return {
        "EventSource": "aws:sns",
        "EventVersion": "1.0",
        "EventSubscriptionArn": subscription.arn,
        "Sns": {
            "Type": "Notification",
            "MessageId": message_id,
            "TopicArn": subscription.topic.arn,
            "Subject": subject,
            "Message": message,
            "Timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "SignatureVersion": "1",
            "Signature": "EXAMPLE",
            "SigningCertUrl": f"{url}SimpleNotificationService-0000000000000000000000.pem",
            "UnsubscribeUrl": f"{url}?Action=Unsubscribe&SubscriptionArn={subscription.arn}",
            "MessageAttributes": {
                name: {"Type": each["Type"], "Value": _attribute(each)} for name, each in attributes.items()
            },
        },
    }


def _attribute(attribute: Mapping[str, Any]) -> Any:
    value = attribute["Value"]
    return value.decode() if isinstance(value, bytes) else value
