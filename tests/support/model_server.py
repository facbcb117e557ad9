"""The emulator's built-in model behind a server, with a client."""

import socket
import threading
import urllib.error
import urllib.request

import openai
import uvicorn
from parley.llm.server import BuiltInModel

from tests.support.waiting import HANGS, IDLE


class _Counting:
    """The application around the model: counts the events that the model sends while the client listens."""

    def __init__(self, model: BuiltInModel) -> None:
        self._model = model
        self.events = 0
        self.finished = threading.Event()

    async def __call__(self, scope, receive, send):
        async def counted(message):
            self.events += message.get("body", b"").startswith(b"data: ")
            await send(message)

        await self._model(scope, receive, counted)
        self.finished.set()


class ModelServer:
    """A model behind uvicorn in a thread of its own."""

    def __init__(self, tokens_per_second: float) -> None:
        self.app = _Counting(BuiltInModel(tokens_per_second))
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"
        config = uvicorn.Config(self.app, lifespan="off", log_config=None, timeout_keep_alive=IDLE)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],))
        self.client = openai.OpenAI(api_key="any", base_url=self.url, max_retries=0, timeout=HANGS)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.client.close()
        self._server.should_exit = True
        self._thread.join(timeout=HANGS)
        self._socket.close()

    def stream(self, question: str, **options):
        messages = [{"role": "user", "content": question}]
        return self.client.chat.completions.create(model="m", messages=messages, stream=True, **options)

    def whole(self, question: str, **options):
        messages = [{"role": "user", "content": question}]
        return self.client.chat.completions.create(model="m", messages=messages, **options)

    def post(self, body: bytes):
        request = urllib.request.Request(f"{self.url}/chat/completions", body, method="POST")
        return urllib.request.urlopen(request, timeout=HANGS)
