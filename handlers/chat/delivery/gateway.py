"""The client of API Gateway's @connections: post a frame, close a connection (docs/aws.md section 5)."""

from __future__ import annotations

from http import HTTPStatus
from http.client import HTTPResponse
from urllib.parse import quote, urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError

from handlers.chat.aws import USER_AGENT
from handlers.chat.concurrency import Runtime
from handlers.chat.delivery.http_pool import HttpPool, NoAnswer, NotSent
from handlers.chat.errors import ConnectionGone, Misconfigured, PostFailed

_DONE = (HTTPStatus.OK, HTTPStatus.NO_CONTENT)
_FIRST_PAUSE_SECONDS, _MAX_PAUSE_SECONDS = 0.1, 2.0


class _Transient(PostFailed):
    """A failure that may pass: throttled, an error of AWS, or a connection that failed before all was written.

    The request was not carried out, or AWS says so: the same one may be tried again.
    """


class _Unanswered(PostFailed):
    """A time-out or a reset after the request was written. It may have been carried out."""


class Gateway:
    """Posts to the connections of this deployment's WebSocket API, from any number of threads at once.

    `endpoint` is the API's management URL, with its stage. A request that was throttled (429), that failed in AWS (5xx)
    or that was not completely written is tried up to `tries` times, with pauses of up to 2 s. A post without an answer
    may have arrived, and is never tried again here. Raises `Misconfigured` for an endpoint that is no URL.
    """

    def __init__(
        self,
        endpoint: str,
        credentials: Credentials | None,
        region: str,
        runtime: Runtime,
        tries: int = 1,
    ) -> None:
        url = urlsplit(endpoint)
        if url.scheme not in ("http", "https") or not url.hostname:
            name = "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI"
            raise Misconfigured(f"{name} is {endpoint!r}; set it to the API's URL", name)
        self._endpoint = endpoint.rstrip("/")
        self._stage_path = url.path.rstrip("/")
        self._credentials = credentials
        self._region = region
        self._tries = tries
        self._runtime = runtime
        self._pool = HttpPool(url, runtime)

    def post(self, connection_id: str, text: bytes) -> None:
        """Send one frame. Raises `ConnectionGone` for a 410, and `PostFailed` for other failures after the last try."""
        self._request("POST", connection_id, text)

    def close(self, connection_id: str) -> None:
        """Close a connection: its client sees code 1000. Raises the same as `post`."""
        self._request("DELETE", connection_id, None)

    def _request(self, method: str, connection_id: str, text: bytes | None) -> None:
        # Closing twice is closing once, so a close is tried again whatever became of the first try.
        may_retry = (_Transient, _Unanswered) if method == "DELETE" else _Transient
        for failures in range(1, self._tries):
            try:
                return self._request_once(method, connection_id, text)
            except may_retry:
                self._runtime.sleep(pause(failures) * self._runtime.jitter())
        return self._request_once(method, connection_id, text)

    def _request_once(self, method: str, connection_id: str, text: bytes | None) -> None:
        path = f"/@connections/{quote(connection_id, safe='')}"
        headers = self._signed(method, f"{self._endpoint}{path}", text)
        try:
            response = self._pool.request(method, f"{self._stage_path}{path}", text, headers)
        except NotSent as failure:
            raise _Transient(type(failure.__cause__).__name__) from failure
        except NoAnswer as failure:
            raise _Unanswered(type(failure.__cause__).__name__) from failure
        if response.status not in _DONE:
            raise _failure(response, connection_id)

    def _signed(self, method: str, url: str, text: bytes | None) -> dict[str, str]:
        """Return the headers that authorise a request."""
        if self._credentials is None:
            raise PostFailed("NoCredentialsError")
        request = AWSRequest(method, url, {"User-Agent": USER_AGENT}, text)
        try:
            # Read for each request: botocore refreshes temporary credentials before they expire.
            credentials = self._credentials.get_frozen_credentials()
        except BotoCoreError as error:
            raise PostFailed(type(error).__name__) from error
        SigV4Auth(credentials, "execute-api", self._region).add_auth(request)
        return dict(request.headers.items())


class UnusableGateway(Gateway):
    """A gateway without an endpoint, because of wrong settings: each request fails at once."""

    def __init__(self) -> None:
        pass

    def _request(self, method: str, connection_id: str, text: bytes | None) -> None:
        raise PostFailed("AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI cannot be used")


def _failure(response: HTTPResponse, connection_id: str) -> ConnectionGone | PostFailed:
    if response.status == HTTPStatus.GONE:
        return ConnectionGone(connection_id)
    # AWS writes `LimitExceededException`, also as `LimitExceededException:http://…` or `com.amazonaws#Limit…`.
    named = response.headers.get("x-amzn-ErrorType", "").partition(":")[0].rpartition("#")[2]
    reason = named or f"{response.status} {response.reason}"
    may_pass = response.status == HTTPStatus.TOO_MANY_REQUESTS or response.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return _Transient(reason) if may_pass else PostFailed(reason)


def pause(failures: int) -> float:
    """Return the longest pause after so many failed tries in a row, in seconds. Callers take off some jitter."""
    return float(min(_MAX_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2.0 ** (failures - 1)))
