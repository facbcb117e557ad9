"""The composition root: every object that more than one entry point needs is built here, and only here.

A part is built when it is first used, and its builder does its own imports: no function loads a library that it does
not use. A test makes a `Wiring` of its own, and sets the parts that are fakes before anything is built.

Two things are built in the module of the one function that may load their library: the worker in `generate` (openai),
and the HTTP application in `api` (FastAPI).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Self

from handlers.chat.concurrency import Runtime

if TYPE_CHECKING:
    from handlers.chat.connections import OpenConnections, SessionDeadline
    from handlers.chat.deliverer import Deliverer
    from handlers.chat.delivery.delivery import Delivery
    from handlers.chat.delivery.functions import Functions
    from handlers.chat.delivery.gateway import Gateway
    from handlers.chat.erasure import Erasure
    from handlers.chat.identity.tokens import Authenticator
    from handlers.chat.settings import Settings
    from handlers.chat.store import Store
    from handlers.chat.turns.actions import Performer
    from handlers.chat.turns.commands import Commands


class Wiring:
    """The parts of one function. `environ` holds its environment variables. No value keeps a part from being built.

    `identifies_users` says that the function verifies tokens, so that it must have the settings for that.
    `has_assistants` says that it lists assistants, or looks one up: then it loads their files with its settings.
    """

    def __init__(
        self, environ: Mapping[str, str], *, identifies_users: bool = False, has_assistants: bool = False
    ) -> None:
        self._environ = environ
        self._identifies_users = identifies_users
        self._has_assistants = has_assistants

    def build(self, *parts: str) -> Self:
        """Build these parts now: Lambda gives a starting environment more CPU than its first request."""
        for part in parts:
            getattr(self, part)
        return self

    @cached_property
    def settings(self) -> Settings:
        """The settings of the function, with the default for each that cannot be used."""
        return self._checked_settings[0]

    @property
    def wrong_settings(self) -> Mapping[str, str]:
        """The variables whose values cannot be used, each with a text that says what to set it to."""
        return self._checked_settings[1]

    @cached_property
    def _checked_settings(self) -> tuple[Settings, Mapping[str, str]]:
        from handlers.chat.assistants.registry import load
        from handlers.chat.log import logger
        from handlers.chat.settings import Settings

        settings, problems = Settings.check(self._environ, identifies_users=self._identifies_users)
        if self._has_assistants:
            settings = replace(settings, assistants=load())
        for variable, problem in problems.items():
            logger.error("setting_wrong", variable=variable, problem=problem)
        return settings, problems

    @cached_property
    def runtime(self) -> Runtime:
        """The clock, ids, threads and chance."""
        return Runtime()

    @cached_property
    def store(self) -> Store:
        """The four tables."""
        from handlers.chat.store import Store

        return Store(self.runtime)

    @cached_property
    def functions(self) -> Functions:
        """The client that invokes our other functions."""
        from handlers.chat.aws import CONFIG, SESSION
        from handlers.chat.delivery.functions import Functions

        return Functions(SESSION.client("lambda", config=CONFIG))

    @cached_property
    def gateway(self) -> Gateway:
        """The client of @connections. It tries a request again, as often as the clients of boto3 do."""
        from handlers.chat.aws import RETRIES

        return self._gateway(tries=1 + RETRIES)

    def _gateway(self, tries: int) -> Gateway:
        from handlers.chat.aws import SESSION
        from handlers.chat.delivery.gateway import Gateway, UnusableGateway

        endpoint = self.settings.management_endpoint
        if not endpoint:
            return UnusableGateway()
        return Gateway(endpoint, SESSION.get_credentials(), SESSION.region_name, self.runtime, tries)

    @cached_property
    def connections(self) -> OpenConnections:
        """The open connections."""
        from handlers.chat.connections import OpenConnections

        return OpenConnections(self.store, self.gateway, self.runtime)

    @cached_property
    def relay_connections(self) -> OpenConnections:
        """The open connections for the relay, which itself decides when it tries a post again."""
        from handlers.chat.connections import OpenConnections

        return OpenConnections(self.store, self._gateway(tries=1), self.runtime)

    @cached_property
    def patient_gateway(self) -> Gateway:
        """The client of @connections for many posts, behind which nobody waits."""
        from handlers.chat.deliverer import POST_TRIES

        return self._gateway(tries=POST_TRIES)

    @cached_property
    def deliverer(self) -> Deliverer:
        """The deliveries of `deliver`."""
        from handlers.chat.connections import OpenConnections
        from handlers.chat.deliverer import Deliverer

        return Deliverer(self.connections, OpenConnections(self.store, self.patient_gateway, self.runtime))

    @cached_property
    def session_deadline(self) -> SessionDeadline:
        """The deadline of anonymous connections and of sessions."""
        from handlers.chat.aws import CONFIG, SESSION
        from handlers.chat.connections import SessionDeadline

        settings = self.settings
        client = SESSION.client("sqs", config=CONFIG)
        return SessionDeadline(client, settings.anonymous_queue, settings.anonymous_seconds)

    @cached_property
    def authenticator(self) -> Authenticator:
        """The check of tokens, and of whether their users may use this deployment."""
        from handlers.chat.identity.tokens import Authenticator
        from handlers.chat.identity.users import UserDirectory

        users = UserDirectory(self.store, self.settings.auto_create_users, self.runtime)
        return Authenticator.of(self.settings, users, self.runtime)

    @cached_property
    def commands(self) -> Commands:
        """The answers to the frames of clients."""
        from handlers.chat.limits.frame_rate import FrameRateLimiter
        from handlers.chat.turns.commands import Commands

        limiter = FrameRateLimiter(self.settings.limits.frames_per_second, self.runtime)
        return Commands(self.store, self.authenticator, self.settings, self.runtime, limiter, self.wrong_settings)

    @cached_property
    def performer(self) -> Performer:
        """The execution of the actions that follow from frames."""
        from handlers.chat.turns.actions import Performer

        return Performer(self.connections, self.functions, self.settings.generate_function, self.runtime)

    def deliver(self, delivery: Delivery) -> None:
        """Hand a frame to the function `deliver`. Raises botocore's errors."""
        self.functions.invoke(self.settings.deliver_function, delivery.payload())

    def erase(self, erasure: Erasure) -> None:
        """Hand a deleted chat to the function `erase`. Raises botocore's errors."""
        self.functions.invoke(self.settings.erase_function, erasure.payload())
