"""Fault injection: the emulator's parts ask here at each opportunity, and a test changes the plan while they run."""

from __future__ import annotations

from parley.asgi import Response, whole_number
from parley.faults.plan import POINTS, Fault, Plan, PlanError
from parley.trace import Trace


class Injector:
    """The holder of the fault plan. The trace records the point and the action of each fault, never a text.

    `plan` is the text of the plan at the start. Raises `PlanError`.
    """

    def __init__(self, plan: bytes, trace: Trace) -> None:
        self._at_start = plan
        self._plan = Plan.of(plan)
        self._trace = trace
        self._armed = False

    def arm(self) -> None:
        """Start to inject faults. Before, no call counts: the emulator itself creates its tables then."""
        self._armed = True

    @property
    def is_idle(self) -> bool:
        """True if nothing can fail now: the plan has no faults."""
        return not self._plan.faults

    def reset(self) -> None:
        """Return to the plan of the start."""
        self._plan = Plan.of(self._at_start)

    def at(self, point: str, subject: str, **ids: str) -> Fault | None:
        """Return the fault that is due at this opportunity, if any. `ids` name the opportunity in the trace."""
        fault = self._plan.at(point, subject) if self._armed else None
        if fault is not None:
            self._trace.record("fault", point=point, do=fault.do, after=fault.after, **ids)
        return fault

    def at_run(self, function: str, payload: bytes, request_id: str) -> Fault | None:
        """Return the fault that is due for the environment that is about to get this event, if there is one."""
        if self.is_idle:
            return None
        subject = f"{function} {payload.decode(errors='replace')}"
        return self.at("run", subject, function=function, request_id=request_id)

    def record_impossible(self, fault: Fault) -> None:
        """Record in the trace that a fault could not be applied: there is no process to kill or to freeze."""
        why = "functions run inline" if fault.point == "run" else "no process of a function made this call"
        self._trace.record("note", text=f"Fault {fault.do} at {fault.point} is not possible: {why}.")

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

    def answer_about(self, fault: str, method: str) -> Response:
        """Answer a request for one fault, by its id: `DELETE` removes it. `points` are what may be done where."""
        if fault == "points" and method == "GET":
            return Response.of_json(200, POINTS)
        if method != "DELETE":
            return Response.of_json(405, {"message": "DELETE"}, {"allow": "DELETE"})
        number = whole_number(fault)
        if number is None or not self._plan.remove(number):
            return Response.of_json(404, {"message": f"There is no fault with the id {fault:.100}"})
        return Response.of_json(200, self._plan.report())
