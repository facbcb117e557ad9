"""EventBridge: rules that send to functions and queues, at their times or for the events of their bus."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from parley.account import ACCOUNT_ID, REGION
from parley.clock import Clock
from parley.functions.invoke_api import RawResponse
from parley.template import event_patterns
from parley.template.model import Rule, Target
from parley.template.schedules import as_text
from parley.trace import Trace

Event = dict[str, Any]

_END_OF_TIME = 253_402_300_800
"""The end of the year 9999, in seconds since the epoch: Python and ISO 8601 have no later one."""

_MAX_ENTRIES = 10
_MAX_ENTRY_BYTES = 256 * 1024
_LONGEST_SLEEP = 60.0
"""The seconds after which a schedule looks at the clock again: a machine may have been asleep."""

_VARIABLE = re.compile(r"<([^<>]+)>")
_STEP = re.compile(r"\.([^.\[\]]+)|\[([0-9]+)\]")
_TARGET = "AWSEvents."


class UnknownRule(Exception):
    """There is no rule of this name."""


class Rules:
    """The rules of a template. `deliver` sends a payload to the function or queue with an ARN, and names its source."""

    def __init__(
        self,
        rules: Iterable[Rule],
        buses: Iterable[str],
        deliver: Callable[[str, bytes, str], None],
        trace: Trace,
        clock: Clock,
    ) -> None:
        self._rules = tuple(rules)
        self._buses = set(buses)
        self._deliver = deliver
        self._trace = trace
        self._clock = clock
        self._due: dict[str, float | None] = {}
        self._tasks: list[tuple[Rule, asyncio.Task[None]]] = []

    def start(self) -> None:
        """Let the schedules begin, once."""
        self.renew(self._rules, self._buses)

    def renew(self, rules: Iterable[Rule], buses: Iterable[str]) -> None:
        """Take these rules and buses from now on. Schedules that were there already go on."""
        self._rules, self._buses = tuple(rules), set(buses)
        for rule, task in self._tasks:
            if rule not in self._rules:
                task.cancel()
                self._due.pop(rule.arn, None)
        self._tasks = [(rule, task) for rule, task in self._tasks if rule in self._rules]
        going = [rule for rule, _ in self._tasks]
        new = (rule for rule in self._rules if rule.schedule and rule not in going)
        self._tasks += [(rule, asyncio.create_task(self._keep(rule))) for rule in new]

    def stop(self) -> None:
        """End the schedules."""
        while self._tasks:
            _, task = self._tasks.pop()
            task.cancel()

    async def _keep(self, rule: Rule) -> None:
        """Send at the times of a rule's schedule. Times that passed while the machine slept count once."""
        now = self._clock.time()
        while rule.schedule and (due := rule.schedule.after(now)) is not None:
            self._due[rule.arn] = due
            while (wait := due - self._clock.time()) > 0:
                await self._clock.sleep(min(wait, _LONGEST_SLEEP))
            self._run(rule, due, "schedule")
            now = max(due, self._clock.time())
        self._due[rule.arn] = None

    def listed(self) -> list[dict[str, Any]]:
        """Return the rules as the emulator's own API tells of them. `next` is in seconds since the epoch."""
        return [
            {
                "name": rule.name,
                "names": list(dict.fromkeys(rule.names)),
                "logicalId": rule.names[1],
                "schedule": rule.expression,
                "next": self._due.get(rule.arn),
                "pattern": rule.pattern,
                "bus": rule.bus,
                "targets": [target.arn for target in rule.targets],
            }
            for rule in self._rules
        ]

    def trigger(self, name: str) -> list[str]:
        """Run a rule with a schedule now, and return the ARNs of its targets.

        A name that several rules have must be told apart by the logical id. Raises `UnknownRule`.
        """
        found = [rule for rule in self._rules if rule.schedule and name in rule.names]
        if len(found) != 1:
            known = ", ".join(rule.names[1] for rule in (found or self._rules) if rule.schedule) or "none"
            problem = "Several schedules have" if found else "No schedule has"
            raise UnknownRule(f"{problem} the name {name}. There are {known}.")
        self._run(found[0], self._clock.time(), "trigger")
        return [target.arn for target in found[0].targets]

    def _run(self, rule: Rule, moment: float, cause: str) -> None:
        self._send(rule, _scheduled(rule, moment), cause)

    def _send(self, rule: Rule, event: Event, cause: str) -> None:
        names = [target.arn.rpartition(":function:")[2].rpartition(":sqs:")[2] for target in rule.targets]
        self._trace.record("rule", rule=rule.name, cause=cause, targets=names)
        for target in rule.targets:
            self._deliver(target.arn, payload(rule, target, event), f"The rule {rule.name}")

    def put(self, event: Event, bus: str = "default") -> None:
        """Send an event to the targets of each rule of a bus whose pattern it matches."""
        for rule in self._rules:
            if rule.pattern is not None and rule.bus == bus and event_patterns.matches(rule.pattern, event):
                self._send(rule, event, "event")

    def put_of_service(self, event: Event) -> None:
        """Send an event of one of AWS's services, which says its kind, source, resources and detail."""
        kind, source, detail = event["detail-type"], event["source"], event["detail"]
        self.put(_event(kind, source, self._clock.time(), event["resources"], detail))

    def answer(self, headers: Mapping[str, str], body: bytes) -> RawResponse:
        """Answer a request of EventBridge's API: PutEvents. An error for every other operation."""
        operation = next((value for name, value in headers.items() if name.lower() == "x-amz-target"), "")
        if operation != f"{_TARGET}PutEvents":
            return _refusal(
                "NotInEmulator", f"The emulator has no {operation or 'such operation'}, only PutEvents.", 501
            )
        try:
            entries = json.loads(body)["Entries"]
            if not isinstance(entries, list) or not all(map(_is_entry, entries)):
                raise TypeError
        except (ValueError, KeyError, TypeError, RecursionError):
            return _refusal("SerializationException", "There is no list of Entries, or a field has a wrong type.")
        if not 1 <= len(entries) <= _MAX_ENTRIES:
            text = f"1 validation error detected: Value at 'entries' must have from 1 to {_MAX_ENTRIES} members"
            return _refusal("ValidationException", text)
        results = [self._entry(entry) for entry in entries]
        failed = sum("ErrorCode" in result for result in results)
        return _json(200, {"FailedEntryCount": failed, "Entries": results})

    def _entry(self, entry: Event) -> dict[str, str]:
        """Put one entry on its bus. Return its id, or the error that it has in EventBridge's words."""
        for name in ("Source", "DetailType", "Detail"):
            if not entry.get(name):
                text = f"Parameter {name} is not valid. Reason: {name} is a required argument."
                return {"ErrorCode": "InvalidArgument", "ErrorMessage": text}
        # JSON may have half of a surrogate pair.
        if sum(len(str(value).encode("utf-8", "surrogatepass")) for value in entry.values()) > _MAX_ENTRY_BYTES:
            text = f"The size of an entry may be {_MAX_ENTRY_BYTES} bytes at most."
            return {"ErrorCode": "InvalidArgument", "ErrorMessage": text}
        try:
            detail = json.loads(entry["Detail"])
        except (ValueError, RecursionError):
            detail = None
        if not isinstance(detail, dict):
            return {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}
        bus = (entry.get("EventBusName") or "default").rpartition("/")[2]
        if bus not in self._buses:
            self._trace.record("note", text=f"An event was put on the bus {bus}. The template has none of this name.")
        event = self._event(entry, detail)
        self.put(event, bus)
        return {"EventId": event["id"]}

    def _event(self, entry: Event, detail: Event) -> Event:
        moment = entry.get("Time")
        time = float(moment) if isinstance(moment, int | float) else self._clock.time()
        return _event(entry["DetailType"], entry["Source"], time, entry.get("Resources") or [], detail)


def _is_entry(entry: Any) -> bool:
    """Tell if a value may be an entry by the types of its fields. `Time` ends with the year 9999."""
    if not isinstance(entry, dict):
        return False
    given = {name: value for name, value in entry.items() if value is not None}
    resources, moment = given.get("Resources", []), given.get("Time")
    texts = [given.get(name, "") for name in ("Source", "DetailType", "Detail", "EventBusName")]
    return (
        isinstance(resources, list)
        and all(isinstance(text, str) for text in (*texts, *resources))
        and (not isinstance(moment, int | float) or 0 <= moment < _END_OF_TIME)
    )


def _event(kind: str, source: str, moment: float, resources: list[str], detail: Any) -> Event:
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": kind,
        "source": source,
        "account": ACCOUNT_ID,
        "time": as_text(moment),
        "region": REGION,
        "resources": resources,
        "detail": detail,
    }


def _scheduled(rule: Rule, moment: float) -> Event:
    """Return the event of a schedule. The Scheduler's own has its detail as a text."""
    source, detail = ("aws.scheduler", "{}") if rule.is_scheduler else ("aws.events", {})
    return _event("Scheduled Event", source, moment, [rule.arn], detail)


def payload(rule: Rule, target: Target, event: Event) -> bytes:
    """Return what a target gets of an event, as JSON."""
    if target.input is not None:
        text = _with_attributes(rule, target.input, event) if rule.is_scheduler else target.input
        # A text that is not JSON reaches a function as a JSON text.
        return text.encode() if _is_json(text) else json.dumps(text).encode()
    if target.template:
        return _transformed(rule, target, event).encode()
    if target.path:
        return json.dumps(_selected(event, target.path)).encode()
    return json.dumps(event).encode()


def _with_attributes(rule: Rule, text: str, event: Event) -> str:
    """Return the input of a schedule with the values of the Scheduler's context attributes."""
    values = {
        "schedule-arn": rule.arn,
        "scheduled-time": event["time"],
        "execution-id": event["id"],
        "attempt-number": "1",
    }
    for name, value in values.items():
        text = text.replace(f"<aws.scheduler.{name}>", value)
    return text


def _transformed(rule: Rule, target: Target, event: Event) -> str:
    """Return an input template with the values that its paths select (user guide, "Input transformation")."""
    own = {
        "aws.events.rule-arn": rule.arn,
        "aws.events.rule-name": rule.name,
        "aws.events.event.ingestion-time": event["time"],
        "aws.events.event": {name: value for name, value in event.items() if name != "detail"},
        "aws.events.event.json": event,
    }
    values = own | {name: _selected(event, path) for name, path in target.paths.items()}
    text = "".join(_substituted(target.template, values))
    return text if _is_json(text) else json.dumps(text)


def _substituted(template: str, values: Mapping[str, Any]) -> Iterator[str]:
    """Yield a template's parts. Inside quotation marks a value is text; elsewhere it is JSON, as EventBridge does."""
    end, is_quoted = 0, False
    for match in _VARIABLE.finditer(template):
        before = template[end : match.start()]
        is_quoted ^= len(re.findall(r'(?<!\\)"', before)) % 2 == 1
        end = match.end()
        yield before
        if match[1] not in values:
            yield match[0]
            continue
        value = values[match[1]]
        if not is_quoted:
            yield '""' if value is None else json.dumps(value)
        elif value is not None:
            yield json.dumps(value if isinstance(value, str) else json.dumps(value))[1:-1]
    yield template[end:]


def _selected(event: Event, path: str) -> Any:
    """Return what a JSON path such as `$.detail.items[0]` selects; None if there is nothing."""
    value: Any = event
    for name, index in _STEP.findall(path.removeprefix("$")):
        if name and isinstance(value, dict):
            value = value.get(name)
        elif index and isinstance(value, list) and len(index) < 10 and int(index) < len(value):
            value = value[int(index)]
        else:
            return None
    return value


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _json(status: int, content: Any) -> RawResponse:
    return status, {"content-type": "application/x-amz-json-1.1"}, json.dumps(content).encode()


def _refusal(code: str, message: str, status: int = 400) -> RawResponse:
    return _json(status, {"__type": code, "message": message})
