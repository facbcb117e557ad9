"""Access control: what functions do is compared with what their roles allow, and reported or enforced."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from parley.asgi import Response
from parley.iam import services_use
from parley.iam.denials import denial, principal
from parley.iam.grants import Grants
from parley.iam.managed_policies import managed_policy
from parley.iam.policies import Decision, Statement, decide, depends_on_time, statements
from parley.iam.requests import Requests
from parley.iam.requirements import Call, Permission, encryption, keys_of_secrets, permissions
from parley.template.model import PolicyDocument, Role, Template
from parley.trace import Trace

Mode = Literal["report", "enforce", "off"]

LAMBDA = "Lambda"
"""The caller for what the Lambda service does with a function's role."""


@dataclass(slots=True)
class _FunctionRole:
    """A function's role with its statements; `is_known` is False if the template does not show all of them.

    Functions with the same role have the same grants. `decided` are the decisions that stay: none if some depend on the
    time.
    """

    name: str
    policies: list[Statement]
    boundary: list[Statement] | None
    grants: Grants
    is_known: bool
    depends_on_time: bool
    used: Counter[Permission] = field(default_factory=Counter)
    missing: dict[Permission, Decision] = field(default_factory=dict)
    told: set[Permission] = field(default_factory=set)
    decided: dict[Permission, Decision] = field(default_factory=dict)
    was_called: bool = False


class AccessControl:
    """The roles of a template's functions, what the functions have used of them, and what they lacked.

    In the mode `enforce` a call without permission is refused. In both modes the trace gets an event for the first one.
    """

    def __init__(self, template: Template, mode: Mode, trace: Trace) -> None:
        self.mode = mode
        self._trace = trace
        self._requests = Requests(template.deployed_names)
        self._keys = keys_of_secrets(template.secrets)
        self._noted: set[str] = set()
        self._grants: dict[str, Grants] = {}
        self._roles = {
            function: self._function_role(function, template.roles.get(function, Role(f"{function}Role")))
            for function in template.functions
        }
        for function in template.functions.values():
            uses = services_use.of_function(function, template.event_sources, template.streams)
            self._check_service(function.name, uses)

    def check(self, function: str, call: Call) -> Response | None:
        """Record a call of a function. Return the error response if the call is refused.

        A call of any other caller, with an empty name, is never refused.
        """
        if stored := encryption(call):
            self._keys[stored[0]] = stored[1]
        role = self._roles.get(function)
        if role is None:
            return None
        role.was_called = True
        refused = None
        for permission in permissions(call, self._keys):
            decision = role.decided.get(permission) or self._decide(function, role, permission, function)
            if decision is Decision.ALLOWED:
                role.used[permission] += 1
            elif refused is None and self.mode == "enforce":
                refused = denial(call.service, principal(role.name, function), permission, decision)
        return refused

    def report(self) -> dict[str, Any]:
        """Return, for each function, its role and what of it was used, missing and unused, as plain JSON."""
        return {"mode": self.mode, "functions": {name: _described(role) for name, role in self._roles.items()}}

    def reset(self) -> None:
        """Let the trace have the first event about each missing permission again. The report keeps what it has."""
        for role in self._roles.values():
            role.told.clear()
            role.decided = {each: how for each, how in role.decided.items() if how is Decision.ALLOWED}

    def record_unused(self) -> None:
        """Record the unused grants of the functions that made a call. Of the others nothing is known."""
        called: dict[str, list[str]] = {}
        for function, role in self._roles.items():
            if role.was_called:
                called.setdefault(role.name, []).append(function)
        for functions in called.values():
            for resource, actions in _unused(self._roles[functions[0]]).items():
                text = f"{', '.join(functions)} did not use {', '.join(actions)} on {resource}"
                self._trace.record("unused", functions=functions, actions=actions, resource=resource, text=text)
        silent = [function for function, role in self._roles.items() if role.name not in called]
        if called and silent:
            text = f"{', '.join(silent)} made no call, so nothing is known of what they need"
            self._trace.record("unused", functions=silent, actions=[], resource=None, text=text)

    def _function_role(self, function: str, role: Role) -> _FunctionRole:
        own = [statement for document in role.policies for statement in statements(document)]
        documents, unknown = [], list(role.unknown)
        for arn in role.managed:
            if (document := managed_policy(arn)) is None:
                unknown.append(f"the managed policy {arn or '(unresolved)'} is not in the template")
            else:
                documents.append(document)
        boundary = self._boundary(role.boundary)
        if role.boundary and boundary is None:
            self._note(f"IAM, {function}: the permissions boundary {role.boundary} is not in the template; ignored.")
        every = own + [statement for document in documents for statement in statements(document)]
        for what in dict.fromkeys(what for statement in every + (boundary or []) for what in statement.unknown()):
            self._note(f"IAM, {role.name}: {what} is unknown to the emulator; it is taken in the function's favour.")
        for reason in unknown:
            self._note(f"IAM, {function}: {reason}, so its role {role.name} counts as one that allows everything.")
        grants = self._grants.setdefault(role.name, Grants(own))
        return _FunctionRole(
            role.name,
            every,
            boundary,
            grants,
            is_known=not unknown,
            depends_on_time=depends_on_time([*every, *(boundary or [])]),
        )

    def _boundary(self, boundary: PolicyDocument | str | None) -> list[Statement] | None:
        document = managed_policy(boundary) if isinstance(boundary, str) else boundary
        return None if document is None else statements(document)

    def _check_service(self, function: str, uses: list[services_use.Use]) -> None:
        """Check what the Lambda service does with a function's role."""
        role = self._roles[function]
        for use in uses:
            if use.is_required:
                self._decide(function, role, use.permission, LAMBDA, use.purpose)
            else:
                role.grants.use(self._requests.of(role.name, function, use.permission))

    def _decide(
        self, function: str, role: _FunctionRole, permission: Permission, caller: str, purpose: str = ""
    ) -> Decision:
        request = self._requests.of(role.name, function, permission)
        decision = decide(request, role.policies, role.boundary)
        if decision is Decision.NOT_ALLOWED and not role.is_known:
            decision = Decision.ALLOWED
        if not role.depends_on_time:
            role.decided[permission] = decision
        if decision is Decision.ALLOWED:
            if permission not in role.used:
                role.grants.use(request)
        elif permission not in role.told:
            role.told.add(permission)
            role.missing[permission] = decision
            self._record_missing(function, role, permission, decision, caller, purpose)
        return decision

    def _record_missing(
        self, function: str, role: _FunctionRole, permission: Permission, decision: Decision, caller: str, purpose: str
    ) -> None:
        resource = permission.resource or "an unknown resource"
        reason = decision.value.format(action=permission.action)
        text = f"{function} may not {permission.action} on {resource}, {reason}. {_remedy(role, permission, decision)}"
        if caller == LAMBDA:
            text += f" Lambda needs it {purpose}."
        self._trace.record(
            "denied",
            function=function,
            role=role.name,
            action=permission.action,
            resource=permission.resource,
            statement=_statement(permission),
            refused=self.mode == "enforce" and caller != LAMBDA,
            text=text,
        )

    def _note(self, text: str) -> None:
        if text not in self._noted:
            self._noted.add(text)
            self._trace.record("note", text=text)


def _statement(permission: Permission) -> dict[str, str]:
    return {"Effect": "Allow", "Action": permission.action, "Resource": permission.resource or "*"}


def _remedy(role: _FunctionRole, permission: Permission, decision: Decision) -> str:
    match decision:
        case Decision.NOT_ALLOWED:
            return f"Add to the role {role.name}: {json.dumps(_statement(permission))}"
        case Decision.NOT_ALLOWED_BY_BOUNDARY:
            return f"Add to the permissions boundary of {role.name}: {json.dumps(_statement(permission))}"
        case _:
            return f"Change the statement of {role.name} that denies it."


def _described(role: _FunctionRole) -> dict[str, Any]:
    return {
        "role": role.name,
        "known": role.is_known,
        "used": [
            {"action": each.action, "resource": each.resource, "calls": count} for each, count in role.used.items()
        ],
        "missing": [
            {"action": each.action, "resource": each.resource, "reason": decision.value.format(action=each.action)}
            for each, decision in role.missing.items()
        ],
        "unused": [{"actions": actions, "resource": resource} for resource, actions in _unused(role).items()],
    }


def _unused(role: _FunctionRole) -> Mapping[str, list[str]]:
    """Return the actions that were not used, by resource."""
    found: dict[str, list[str]] = {}
    for grant in role.grants.unused():
        found.setdefault(grant.resource, []).append(grant.action)
    return found
