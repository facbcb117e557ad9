"""Faults as they strike: what the emulator's parts ask the plan through, and how a test changes it while they run."""

from __future__ import annotations

from collections.abc import Mapping

from parley.asgi import Response
from parley.emulator.options import EMBEDDED, Options
from parley.errors import StartError
from parley.faults.plan import Fault, Plan, PlanError
from parley.functions.invocation import Invocation
from parley.llm.server import ModelFailure
from parley.trace import Trace

FAULTS_PATH = "/_parley/faults"


class Injector:
    """Holds the plan of faults. What it lets go wrong is told to the trace: where and what, never a text."""

    def __init__(self, plan: Plan, trace: Trace) -> None:
        self._plan = plan
        self._trace = trace
        self._armed = False

    def arm(self) -> None:
        """Begin. What the emulator does before, to its own tables, is no opportunity."""
        self._armed = True

    def at(self, point: str, subject: str, **ids: str) -> Fault | None:
        """Return what is to go wrong at this opportunity. `ids` name it in the trace."""
        fault = self._plan.at(point, subject) if self._armed else None
        if fault is not None:
            self._trace.record("fault", point=point, do=fault.do, after=fault.after, **ids)
        return fault

    def at_run(self, invocation: Invocation) -> Fault | None:
        """Return what is to go wrong with the environment that is about to get this event."""
        name = invocation.function.name
        subject = f"{name} {invocation.payload.decode(errors='replace')}"
        return self.at("run", subject, function=name, request_id=invocation.request_id)

    def impossible(self, fault: Fault) -> None:
        """Tell the trace that a fault could not be carried out: there is no process to kill or to freeze."""
        why = "it was not made by a process of a function" if fault.point != "run" else "functions run inline"
        self._trace.record("note", text=f"Fault {fault.do} at {fault.point} is not possible: {why}.")

    def at_model(self, body: str) -> ModelFailure | None:
        """Return the failure that a request to the built-in model is to meet."""
        fault = self.at("model", body)
        return ModelFailure(fault.do, fault.seconds) if fault else None

    def answer(self, method: str, body: bytes) -> Response:
        """Answer a request for the plan itself: `GET` reads it, `PUT` replaces it, `POST` adds to it."""
        try:
            match method:
                case "GET":
                    pass
                case "PUT":
                    self._plan = Plan.of(body)
                case "POST":
                    self._plan.add(Plan.of(body).faults)
                case _:
                    return Response.of_json(405, {"message": "GET, PUT or POST"}, {"allow": "GET, PUT, POST"})
        except PlanError as error:
            return Response.of_json(400, {"message": str(error)})
        return Response.of_json(200, self._plan.report())


def prepare(options: Options, given: Mapping[str, str], trace: Trace) -> Injector | None:
    """Return what lets things go wrong, where that is wanted; `given` are variables. Raises `StartError`."""
    if options.faults is None:
        return None
    if options.dynamodb != EMBEDDED and given.get("AWS_ACCESS_KEY_ID"):
        raise StartError(
            "Faults are not for the tables of a real account: with --faults, AWS_ACCESS_KEY_ID must not be set. "
            "Unset it, here and in .env, for a DynamoDB Local, or leave out --dynamodb for the embedded one."
        )
    try:
        return Injector(Plan.of(options.faults.read_bytes()), trace)
    except (OSError, PlanError) as error:
        raise StartError(f"The plan of faults {options.faults} cannot be used: {error}. Correct it.") from None
