"""The check of requests to the emulator itself and to AWS's services: who sends them, and from what page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from parley.asgi import Scope
from parley.emulator.options import Address
from parley.emulator.paths import CONNECTIONS_PATH, INVOKE_PATH, MODEL_PATH, OWN_PATH
from parley.host_check import comes_from_a_foreign_page, comes_from_this_machine, is_this_machine


@dataclass(frozen=True, slots=True)
class RequestCheck:
    """The check.

    `has_model` tells if the built-in model is served, `is_open_to_pages` of a request if any page may send it.
    """

    address: Address
    has_model: Callable[[], bool]
    is_open_to_pages: Callable[[Scope], bool]

    def refusal(self, scope: Scope) -> str | None:
        """Return why a request for the emulator itself or for a service of AWS's is refused, None if it is not."""
        path: str = scope["path"]
        if path.startswith((OWN_PATH, INVOKE_PATH)):
            return self.refusal_of_own(scope)
        is_model = self.has_model() and path.startswith(f"{MODEL_PATH}/")
        return self._refusal(scope) if is_model or CONNECTIONS_PATH in path else None

    def refusal_of_own(self, scope: Scope) -> str | None:
        """Return why a request for what only this machine and the emulator's own pages may have is refused."""
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name.lower() == b"host"]
        is_ours = len(hosts) == 1 and is_this_machine(hosts[0], self.address.host)
        return self._refusal(scope) or (None if is_ours else "This host is not this machine")

    def _refusal(self, scope: Scope) -> str | None:
        if not self.address.exposed and not comes_from_this_machine(scope["client"], scope["server"]):
            return "Only this machine may call this, unless the emulator is started with --expose"
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        is_foreign = comes_from_a_foreign_page(headers) and not self.is_open_to_pages(scope)
        return "Web pages may not call this" if is_foreign else None
