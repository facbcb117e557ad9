"""The requests of the console that no other client has: tables, queues, the cost so far, the end of a connection.

Their schema is in docs/emulator/json-api.schema.json.
"""

from __future__ import annotations

from urllib.parse import parse_qsl, unquote

from parley.asgi import Response
from parley.aws_services import AwsServices
from parley.aws_services.queue_view import messages, queues
from parley.dynamodb.engine import Database
from parley.emulator.cost import CostSoFar
from parley.emulator.paths import OWN_PATH
from parley.emulator.table_view import NotShown, items, tables
from parley.gateway.websocket.management_api import ManagementApi

_ELSEWHERE = (
    "The tables are in the DynamoDB of --dynamodb, which the functions call by themselves. Look into it there, or "
    "start the emulator without --dynamodb."
)


class ConsoleApi:
    """The requests. Without a database the tables are in one that the emulator does not see."""

    def __init__(
        self, database: Database | None, services: AwsServices, management_api: ManagementApi, cost: CostSoFar
    ) -> None:
        self._database = database
        self._services = services
        self._management_api = management_api
        self._cost = cost

    async def answer(self, method: str, path: str, query: bytes) -> Response | None:
        """Answer a request; None if the path and the method are none of these."""
        base, _, name = path.removeprefix(OWN_PATH).partition("/")
        name = unquote(name)
        try:
            match method, base:
                case "GET", "cost" if not name:
                    return Response.of_json(200, self._cost.report())
                case "GET", "tables":
                    return await self._answer_tables(name, query)
                case "GET", "queues":
                    return await self._answer_queues(name)
                case "DELETE", "connections" if name:
                    return await self._close(name)
        except NotShown as error:
            return Response.of_json(error.status, {"message": str(error)})
        return None

    async def _answer_tables(self, name: str, query: bytes) -> Response:
        if self._database is None:
            return Response.of_json(409, {"message": _ELSEWHERE})
        asked = dict(parse_qsl(query.decode("latin-1")))
        return Response.of_json(200, await items(self._database, name, asked) if name else await tables(self._database))

    async def _answer_queues(self, name: str) -> Response:
        if not name:
            return Response.of_json(200, await self._services.look(queues))
        found = await self._services.look(lambda: messages(name))
        return Response.of_json(200, found) if found else _unknown("queue", name)

    async def _close(self, connection_id: str) -> Response:
        if await self._management_api.close(connection_id):
            return Response.of_json(200, {"closed": connection_id})
        return _unknown("open connection", connection_id)


def _unknown(kind: str, name: str) -> Response:
    return Response.of_json(404, {"message": f"There is no {kind} {name}"})
