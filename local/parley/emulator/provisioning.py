"""Resources of a template, made at the start and at a reload: tables, queues, topics, buckets, parameters."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping

from parley.aws_services import AwsServices, Resources
from parley.dynamodb.engine import Database
from parley.dynamodb.provision import provision, provision_embedded
from parley.emulator.options import Options
from parley.emulator.paths import DYNAMODB_PATH
from parley.emulator.state.kept import OTHER_KEYS
from parley.template.model import Template


class Provisioning:
    """Makes what a template describes. `credentials` are those for a DynamoDB elsewhere; with `keeps` data is kept.

    `path` is where the embedded DynamoDB takes the requests for its tables, before anybody else may use it.
    """

    def __init__(
        self,
        options: Options,
        services: AwsServices,
        database: Database | None,
        credentials: Callable[[], Mapping[str, str]],
        *,
        keeps: bool,
    ) -> None:
        self.path = f"{DYNAMODB_PATH}/{secrets.token_hex(16)}"
        self._options = options
        self._services = services
        self._database = database
        self._credentials = credentials
        self._keeps = keeps

    @property
    def keeps_tables(self) -> bool:
        """True if the tables are there in the next run, or are not the emulator's own."""
        return self._database is None or self._database.keeps

    async def start(self, template: Template) -> None:
        """Start the database, and create everything. Raises `StartError`."""
        await asyncio.gather(self._start_database(template), self._create_services(template, Template({}, (), (), ())))

    async def add(self, template: Template, before: Template) -> None:
        """Create what a template has newly. Nothing is removed. Raises `StartError` if a table is refused."""
        if before.tables != template.tables:
            await self._create_tables(template)
        await self._create_services(template, before)

    async def stop(self) -> None:
        """Stop the database."""
        if self._database:
            await self._database.stop()

    async def _start_database(self, template: Template) -> None:
        if self._database:
            await self._database.start()
        await self._create_tables(template)

    async def _create_tables(self, template: Template) -> None:
        users = self._options.users
        if self._options.embeds_dynamodb:
            endpoint = f"{self._options.address.url}{self.path}"
            remedy = OTHER_KEYS if self._keeps and self.keeps_tables else None
            return await asyncio.to_thread(provision_embedded, endpoint, template, users, remedy)
        return await asyncio.to_thread(provision, self._options.dynamodb, template, users, self._credentials())

    async def _create_services(self, now: Template, then: Template) -> None:
        resources = Resources(
            tuple(each for each in now.queues if each.name not in {other.name for other in then.queues}),
            tuple(each for each in now.parameters if each not in then.parameters),
            tuple(each for each in now.topics if each.name not in {other.name for other in then.topics}),
            tuple(each for each in now.subscriptions if each not in then.subscriptions),
            tuple(each for each in now.buckets if each.name not in {other.name for other in then.buckets}),
            tuple(each for each in now.secrets if each not in then.secrets),
        )
        await self._services.provision(resources)
