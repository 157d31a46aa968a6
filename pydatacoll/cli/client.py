"""A small synchronous client of the REST API: one connection, kept alive. No proxies, no redirects."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import IO, Any, Final
from urllib.parse import quote, urlencode, urlsplit

from pydatacoll import __version__
from pydatacoll.cli.failures import FAILED, UNREACHABLE, Failure, Refused

PROBLEM: Final = "application/problem+json"
_CHUNK: Final = 65_536
_DATE_STEP: Final = 2.0
"""The Date header counts whole seconds: a smaller difference of the clocks is none that it can show."""


def path_of(*parts: str) -> str:
    """A path of segments, each quoted."""
    return "/" + "/".join(quote(part, safe="") for part in parts)


@dataclass(frozen=True, slots=True)
class Reply:
    """A response that was read completely."""

    status: int
    headers: Message
    body: bytes

    @property
    def media_type(self) -> str:
        return (self.headers.get("Content-Type") or "").partition(";")[0].strip().lower()

    @property
    def json(self) -> Any:
        """
        :raises Failure: when the body is no JSON: another service answers under this URL.
        """
        try:
            return json.loads(self.body)
        except ValueError:
            raise Failure(
                "the answer is not JSON: this is not PyDataColl", remedy="check the URL (--url)"
            ) from None


class Client:
    """Requests to one server.

    :param url: ``http://HOST:PORT`` or ``https://...``, with a path when the server stands behind one.
    :param ca: file with the certificates (PEM) to trust instead of the system's.
    :param timeout: longest silence of the server, seconds.
    :ivar offset: the server's clock less this one's, seconds, as far as the last answer told it.
    """

    def __init__(
        self, url: str, *, token: str | None = None, ca: str | None = None, timeout: float = 30.0
    ) -> None:
        try:
            parts = urlsplit(url)
            self._host, self._port = parts.hostname or "", parts.port
        except ValueError as error:
            raise Failure(f"--url {url}: {error}", 2) from None
        if parts.scheme not in {"http", "https"} or not self._host or parts.username or parts.query:
            raise Failure(f"--url {url}: expected http://HOST:PORT or https://HOST:PORT", 2)
        self.url = url.rstrip("/")
        self._tls = parts.scheme == "https"
        self._base = parts.path.rstrip("/")
        self._timeout = timeout
        self._ca = ca
        self._token = token
        self._connection: http.client.HTTPConnection | None = None
        self._response: http.client.HTTPResponse | None = None
        self.offset = 0.0

    def another(self) -> Client:
        """A client for the same server, with a connection of its own, for another thread."""
        return Client(self.url, token=self._token, ca=self._ca, timeout=self._timeout)

    @property
    def exposes_token(self) -> bool:
        """Whether the token goes over a network without encryption."""
        local = self._host in {"localhost", "::1"} or self._host.startswith("127.")
        return self._token is not None and not self._tls and not local

    def now(self) -> float:
        """The server's time, as epoch seconds, as well as it is known."""
        return time.time() + (self.offset if abs(self.offset) > _DATE_STEP else 0.0)

    def close(self) -> None:
        """Close the connection; may be called twice."""
        if self._response is not None:  # has taken the connection over when the server announced its end
            self._response.close()
            self._response = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # Requests

    def get(self, path: str, **query: Any) -> Any:
        """The decoded body of a GET; parameters that are ``None`` are left out."""
        return self.request("GET", path, query=query).json

    def post(self, path: str, body: Any, *, headers: Mapping[str, str] | None = None, repeat: bool = False) -> Any:
        """The decoded body of the answer to a POST of JSON. ``repeat``: sending it twice does no harm."""
        data = json.dumps(body).encode()
        return self.request(
            "POST", path, body=data, headers={"Content-Type": "application/json", **(headers or {})}, repeat=repeat
        ).json

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: bytes | IO[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        repeat: bool = False,
    ) -> Reply:
        """Send a request and read the answer.

        :raises Failure: :data:`UNREACHABLE`, or what the server said.
        """
        response = self._open(method, path, query, body, headers, repeat)
        with self._explained():
            return Reply(response.status, response.headers, response.read())

    def download(self, path: str, into: IO[bytes], *, query: Mapping[str, Any], accept: str) -> int:
        """Write the body of a GET into a file, in pieces; gives its length in bytes."""
        response = self._open("GET", path, query, None, {"Accept": accept}, repeat=False)
        length = 0
        try:
            while True:
                with self._explained():
                    piece = response.read(_CHUNK)
                    if not piece and response.length:  # the connection ended before the body did
                        raise http.client.IncompleteRead(b"", response.length)
                if not piece:
                    return length
                into.write(piece)
                length += len(piece)
        finally:
            if not response.isclosed():
                self.close()

    def _open(  # noqa: PLR0917 - private
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None,
        body: bytes | IO[bytes] | None,
        headers: Mapping[str, str] | None,
        repeat: bool,
    ) -> http.client.HTTPResponse:
        given = {name: _text(value) for name, value in (query or {}).items() if value is not None}
        target = self._base + path + (f"?{urlencode(given)}" if given else "")
        sent = {"User-Agent": f"pydatacoll/{__version__}", "Accept": "application/json", **(headers or {})}
        if self._token is not None:
            sent["Authorization"] = f"Bearer {self._token}"
        with self._explained():
            response = self._exchange(method, target, body, sent, repeat or method == "GET")
            self._note_date(response)
            if not 200 <= response.status < 300:
                self._refuse(response, response.read())
        return response

    def _exchange(
        self, method: str, target: str, body: bytes | IO[bytes] | None, headers: Mapping[str, str], repeat: bool
    ) -> http.client.HTTPResponse:
        reused = self._connection is not None
        try:
            return self._send(method, target, body, headers)
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            # A server closes connections that were idle for long. What may not run twice is not repeated.
            self.close()
            if not (reused and repeat):
                raise
            return self._send(method, target, body, headers)

    def _send(
        self, method: str, target: str, body: bytes | IO[bytes] | None, headers: Mapping[str, str]
    ) -> http.client.HTTPResponse:
        connection = self._connection
        if connection is None:
            connection = self._connection = self._connect()
        try:
            connection.request(method, target, body=body, headers=dict(headers))
        except (BrokenPipeError, ConnectionResetError):
            # A server that refuses a large body answers before it has all of it: the answer says why.
            if body is None or connection.sock is None:
                raise
        self._response = connection.getresponse()
        return self._response

    def _connect(self) -> http.client.HTTPConnection:
        if not self._tls:
            return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)
        try:
            context = ssl.create_default_context(cafile=self._ca)
        except (OSError, ssl.SSLError) as error:
            raise Failure(f"--ca {self._ca}: {error.strerror or error}", 2) from error
        return http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout, context=context)

    # What can go wrong

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Connection errors as :class:`Failure`, with a remedy."""
        try:
            yield
        except ssl.SSLCertVerificationError as error:
            raise self._unreachable(
                f"its certificate is not trusted: {error.verify_message}",
                "give the CA's certificate with --ca FILE",
            ) from error
        except ssl.SSLError as error:
            raise self._unreachable(f"no TLS there: {error.reason or error}", "try http:// in --url") from error
        except TimeoutError as error:
            raise self._unreachable(
                f"no answer within {self._timeout:g} s", "wait longer with --timeout, or look into its log"
            ) from error
        except socket.gaierror as error:
            raise self._unreachable(f"{error.strerror}: {self._host}", "check the name in --url") from error
        except http.client.RemoteDisconnected as error:
            raise self._unreachable(
                "it closed the connection without an answer",
                "check the URL; it may want https:// instead of http://",
            ) from error
        except http.client.IncompleteRead as error:
            raise self._unreachable("it broke its answer off", "try again") from error
        except OSError as error:
            raise self._unreachable(
                error.strerror or str(error),
                "start the server with pydatacoll serve, or name another with --url; pydatacoll doctor says more",
            ) from error
        except http.client.HTTPException as error:
            raise self._unreachable(
                f"it does not speak HTTP as expected ({type(error).__name__})",
                "check the URL; it may want https:// instead of http://",
            ) from error

    def _unreachable(self, why: str, remedy: str) -> Failure:
        self.close()
        return Failure(f"cannot reach {self.url}: {why}", UNREACHABLE, remedy=remedy)

    def _refuse(self, response: http.client.HTTPResponse, body: bytes) -> None:
        reply = Reply(response.status, response.headers, body)
        if reply.media_type == PROBLEM:
            raise Refused(reply.status, reply.json, reply.headers.get("Retry-After"))
        if 300 <= reply.status < 400:
            raise Failure(
                f"{self.url} redirects to {reply.headers.get('Location')}", FAILED, remedy="give that URL (--url)"
            )
        detail = f"{self.url} answered {response.status} {response.reason}, which is no answer of PyDataColl"
        raise Refused(reply.status, {"detail": detail})

    def _note_date(self, response: http.client.HTTPResponse) -> None:
        given = response.headers.get("Date")
        if given:
            # a malformed date tells nothing
            with contextlib.suppress(ValueError, TypeError):
                self.offset = parsedate_to_datetime(given).timestamp() + 0.5 - time.time()


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
