"""The language model: any server that speaks OpenAI's chat completions.

The client is asynchronous and runs in an event loop of its own, in a thread of its own. The callers are threads. A
thread that is blocked in a read cannot be ended from outside; a task in a loop can be cancelled at any moment, also
while the server is still silent. That is how a cancelled reply stops its model.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import aclosing, suppress
from queue import SimpleQueue
from typing import Any, TypeVar

import httpx2
from openai import APIStatusError, AsyncOpenAI, AsyncStream, OpenAIError, Timeout

from handlers.chat.errors import ModelFailed
from handlers.chat.log import logger
from handlers.chat.records import FinishReason
from handlers.chat.replies.deltas import Delta, DeltaReader
from handlers.chat.replies.gathering import Gather, Gathering
from handlers.chat.replies.patience import Patience
from handlers.chat.replies.prompt import Question
from handlers.chat.replies.request import Dialect, Refusal, Request, after, may_bill
from handlers.chat.settings import ModelTimeouts, Settings

CONNECT_SECONDS = 5.0
CLIENT_RETRIES = 2
"""The client's own, after 429, 5xx and failed connections: before the first token, and never after it."""

_NEVER_SENT = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
    httpx2.UnsupportedProtocol,
)
_CLOSING_SECONDS = 0.5
_DRAIN_SECONDS = 0.1
"""The wait for the end of the body after the end of the answer."""


class ModelAnswer:
    """One answer of a model, while it comes. Iterate over it once, for its `Delta`s. A queue joins loop and caller."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[list[Delta] | Exception | None] = SimpleQueue()
        self._reading: Future[None] | None = None
        self._closed = threading.Event()

    @classmethod
    def failed(cls, failure: ModelFailed) -> ModelAnswer:
        """Return an answer that has failed before it began."""
        answer = cls()
        answer._queue.put(failure)
        answer._closed.set()
        return answer

    def __iter__(self) -> Iterator[Delta]:
        """Yield deltas until the answer is complete or stopped.

        Raises `ModelFailed` if the answer cannot be completed. A stream that ends without a finish reason has failed
        too.
        """
        while (item := self._queue.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield from item

    def stop(self) -> None:
        """End the iteration and close the connection to the server. Safe from any thread, and more than once."""
        # Two steps: the queue frees the caller at once, and the cancellation frees the loop and the connection.
        self._queue.put(None)
        if self._reading is not None:
            self._reading.cancel()

    def close(self) -> None:
        """Stop, and wait a moment until the connection is closed: a provider bills as long as it can write."""
        self.stop()
        self._closed.wait(_CLOSING_SECONDS)

    def read(
        self, reading: Callable[[Gathering], Coroutine[Any, Any, None]], loop: asyncio.AbstractEventLoop, gather: Gather
    ) -> None:
        """Read the answer in this loop. `reading` puts each delta into the `Gathering`."""
        self._reading = asyncio.run_coroutine_threadsafe(self._guard(reading, gather), loop)

    async def _guard(self, reading: Callable[[Gathering], Coroutine[Any, Any, None]], gather: Gather) -> None:
        gathering = Gathering(gather, self._queue.put)
        end: Exception | None = None
        try:
            await reading(gathering)
        except (OpenAIError, ValueError) as error:
            # ValueError: broken JSON, which the client does not turn into its own errors.
            end = ModelFailed(_reason(error), billed=_is_billed(error))
        except Exception as error:
            end = error
        finally:
            gathering.flush()
            self._queue.put(end)
            self._closed.set()


class Model:
    """The models of one server. `name` is the model of the deployment, for assistants that name none.

    So are `temperature` and `max_completion_tokens`, which are OpenAI's; the server decides on None.
    """

    def __init__(
        self,
        client: AsyncOpenAI,
        name: str,
        temperature: float | None,
        timeouts: ModelTimeouts | None = None,
        max_completion_tokens: int | None = None,
        gather: Gather | None = None,
    ) -> None:
        self._client = client
        self._name = name
        self._temperature = temperature
        self._timeouts = timeouts or ModelTimeouts()
        self._max_completion_tokens = max_completion_tokens
        self._gather = gather or Gather()
        self._dialects: dict[str, Dialect] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    @classmethod
    def of(cls, settings: Settings, api_key: str | Callable[[], Awaitable[str]]) -> Model:
        """Return the model of a deployment. The key may be a function, which is asked before each request."""
        client = AsyncOpenAI(
            base_url=settings.openai_base_url,
            # Without any key the client does not start, and every turn would die. With a wrong one, each turn ends in
            # the apology.
            api_key=api_key or "not-set",
            timeout=Timeout(settings.model_timeouts.first_token_seconds, connect=CONNECT_SECONDS),
            max_retries=CLIENT_RETRIES,
        )
        return cls(
            client,
            settings.openai_model,
            settings.openai_temperature,
            settings.model_timeouts,
            settings.max_completion_tokens,
            Gather.of(settings.relay_pace),
        )

    def answer(self, question: Question) -> ModelAnswer:
        """Ask a model, and return at once the answer that is to come."""
        answer, request = ModelAnswer(), self._request(question)
        answer.read(lambda gathering: self._read(request, gathering), self._running_loop(), self._gather)
        return answer

    def _request(self, question: Question) -> Request:
        assistant = question.assistant
        model = assistant.model or self._name
        return Request(
            question.prompt,
            self._temperature if assistant.temperature is None else assistant.temperature,
            assistant.max_completion_tokens or self._max_completion_tokens,
            self._dialects.get(model, Dialect()),
            model=model,
            instructions=question.instructions,
            parameters=assistant.parameters,
            tools=question.tools,
            steps=question.steps,
            may_call=question.may_call,
            files=question.files,
        )

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        # Made with the first question: a worker that only announces a stored reply needs no model.
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            threading.Thread(target=self._loop.run_forever, name="model", daemon=True).start()
        return self._loop

    async def _read(self, request: Request, gathering: Gathering) -> None:
        patience = Patience(self._timeouts, asyncio.get_running_loop().time())
        stream, request = await _within(patience, self._open(request))
        async with stream:
            reader = DeltaReader()
            try:
                await self._take(stream, request, reader, patience, gathering)
            finally:
                if reader.unknown_reason:
                    logger.warning("finish_reason_unknown", reason=reader.unknown_reason)

    async def _take(
        self,
        stream: AsyncStream[object],
        request: Request,
        reader: DeltaReader,
        patience: Patience,
        gathering: Gathering,
    ) -> None:
        """Hand on the deltas of the stream. While a finish reason stands, no error makes the answer fail any more."""
        clock = asyncio.get_running_loop().time
        # The bytes, not the client's own chunks: it stops at legal events, and takes most of the time of a reply. They
        # are closed here: a failure keeps its frames, and the garbage collector would close them in another thread.
        async with aclosing(stream.response.aiter_bytes()) as received:
            try:
                while not reader.done and (piece := await _within(patience, _next(received))) is not None:
                    for delta in reader.feed(piece):
                        gathering.add(delta)
                        if not reader.may_be_over and request.is_exceeded(reader.tokens_seen, reader.tokens_counted):
                            gathering.add(Delta(finish_reason=FinishReason.LENGTH))
                            return
                    patience.note(reader, clock())
            except ModelFailed:
                if reader.finish_reason is None:
                    raise
            for delta in reader.end():
                gathering.add(delta)
            if reader.done:
                await _drain(received)

    async def _open(self, request: Request) -> tuple[AsyncStream[object], Request]:
        """Ask until the server takes a request, and return that one too. What it does not take is remembered."""
        while True:
            try:
                stream = await self._create(request)
            except APIStatusError as error:
                refusal = _refusal(error)
                changed = after(request, refusal)
                if changed is None:
                    raise
                request = changed
                options, messages = sorted(request.options()), len(request.messages)
                logger.warning("model_asked_again", refusal=str(refusal), options=options, messages=messages)
            else:
                self._dialects[request.model] = request.dialect
                return stream, request

    async def _create(self, request: Request) -> AsyncStream[object]:
        # Not `client.chat.completions.create`: its first call loads a hundred modules that we do not use, and somebody
        # waits for it. Beside this request it does nothing but check types.
        return await self._client.post(
            "/chat/completions",
            body={
                "model": request.model,
                "messages": request.conversation(),
                "stream": True,
                **request.options(),
            },
            options={"security": {"bearer_auth": True}},
            cast_to=object,
            stream=True,
            stream_cls=AsyncStream[object],
        )


T = TypeVar("T")


async def _within(patience: Patience, awaitable: Awaitable[T]) -> T:
    """Wait for something, as long as the patience lasts. Raises `ModelFailed` then."""
    try:
        async with asyncio.timeout_at(patience.until):
            return await awaitable
    except TimeoutError:
        raise ModelFailed(patience.reason) from None


async def _next(received: AsyncIterator[bytes]) -> bytes | None:
    """Return the next bytes, None at the end. Raises `ModelFailed` whatever the connection's error is."""
    try:
        return await anext(received, None)
    except Exception as error:
        raise ModelFailed(type(error).__name__) from None


async def _drain(received: AsyncIterator[bytes]) -> None:
    """Read the end of the body, for a moment at most. Then the connection can be used for the next answer."""
    with suppress(Exception):
        async with asyncio.timeout(_DRAIN_SECONDS):
            async for _ in received:
                pass


def _is_billed(error: Exception) -> bool:
    """Return False if the server has refused the question, or cannot have received it."""
    if isinstance(error, APIStatusError):
        return may_bill(error.status_code)
    return not isinstance(error.__cause__, _NEVER_SENT)


def _refusal(error: APIStatusError) -> Refusal:
    return Refusal.of(error.status_code, error.message if error.body is None else error.body)


def _reason(error: Exception) -> str:
    return f"{type(error).__name__} {_refusal(error)}" if isinstance(error, APIStatusError) else type(error).__name__
