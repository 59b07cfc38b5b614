"""One POST to a guarded address: total time and size capped, no redirects, no proxies, nothing decoded.

A connection goes to an address that was vetted the moment before, and is used again while it stays open. TLS
names and checks the host of the URL. http.client knows neither redirects nor proxies of the environment.
"""

import functools
import select
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Any

from webhooks.guard import Address, Refused, Target, resolve

MAX_RESPONSE = 64 * 1024
# What of an answer is kept for the log, characters.
_KEPT = 2048


@dataclass(frozen=True)
class Answer:
    """What came of one POST. status: None where there was no answer, then `failure` says why in fixed words.

    retry_after: the header as it came; milliseconds: from the look-up of the name to the end of the answer.
    """

    status: int | None
    body: str = ""
    failure: str = ""
    retry_after: str = ""
    milliseconds: int = 0


class Client:
    """Sends to one target, over one connection as long as the other side keeps it.

    timeout: seconds for a whole POST; tls: whom to trust, the system's authorities where it is None.
    """

    def __init__(self, target: Target, *, timeout: float, tls: ssl.SSLContext | None = None) -> None:
        self.target = target
        self._timeout = timeout
        self._tls = tls
        self._connection: _Connection | None = None

    def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send once; what the network or the other side does is in the answer and never raised."""
        began = time.monotonic()
        deadline = began + self._timeout
        try:
            status, text, retry_after = self._send(body, headers, deadline)
        except (OSError, HTTPException, Refused, _TooLarge, ValueError) as error:
            self.close()
            return Answer(None, failure=_failure(error), milliseconds=_since(began))
        return Answer(status, body=text, retry_after=retry_after, milliseconds=_since(began))

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _send(self, body: bytes, headers: Mapping[str, str], deadline: float) -> tuple[int, str, str]:
        if self._connection is not None and not self._connection.idle():
            self.close()
        if self._connection is not None:
            try:
                return self._exchange(self._connection, body, headers, deadline)
            except ConnectionError:
                # The other side closed it at this very moment: no fault of this delivery.
                self.close()
        connection = _Connection(self.target, resolve(self.target), deadline, self._tls)
        self._connection = connection
        connection.connect()
        return self._exchange(connection, body, headers, deadline)

    def _exchange(
        self, connection: "_Connection", body: bytes, headers: Mapping[str, str], deadline: float
    ) -> tuple[int, str, str]:
        connection.until(deadline)
        connection.request("POST", self.target.path, body=body, headers=dict(headers))
        response = connection.getresponse()
        content = response.read(MAX_RESPONSE + 1)
        if len(content) > MAX_RESPONSE:
            raise _TooLarge
        if response.will_close:
            self.close()
        if response.getheader("Content-Encoding", "identity") == "identity":
            text = content.decode("utf-8", "replace").replace("\x00", "")[:_KEPT]
        else:
            text = ""  # asked not to be encoded; unpacking it is what a bomb waits for
        return response.status, text, response.getheader("Retry-After", "")


class _TooLarge(Exception):
    """The answer is larger than anybody needs."""


class _Timed:
    """A socket that gives each receive only what is left until a deadline: dribbling gains nothing (W04)."""

    deadline = float("inf")

    def recv_into(self, *arguments: Any) -> int:
        self.settimeout(_left(self.deadline))  # type: ignore[attr-defined]
        received: int = super().recv_into(*arguments)  # type: ignore[misc]
        return received


class _Socket(_Timed, socket.socket):
    pass


class _TlsSocket(_Timed, ssl.SSLSocket):
    pass


class _Connection(HTTPConnection):
    """Connects to an address that was vetted, whatever the host's name says by now (W02)."""

    sock: Any

    def __init__(
        self, target: Target, addresses: list[Address], deadline: float, tls: ssl.SSLContext | None
    ) -> None:
        self.default_port = 443 if target.scheme == "https" else 80
        super().__init__(target.host, target.port)
        self._addresses = addresses
        self._deadline = deadline
        self._context = (tls or _system_tls()) if target.scheme == "https" else None

    def connect(self) -> None:
        sock = self._reach()
        if self._context is not None:
            try:
                # One time-out for the whole handshake.
                sock.settimeout(_left(self._deadline))
                self._context.sslsocket_class = _TlsSocket
                sock = self._context.wrap_socket(sock, server_hostname=self.host)
            except BaseException:
                sock.close()
                raise
        self.sock = sock
        self.until(self._deadline)

    def until(self, deadline: float) -> None:
        """Let everything that is sent and received from now on end by then."""
        self.sock.deadline = deadline
        self.sock.settimeout(_left(deadline))

    def idle(self) -> bool:
        """Whether the connection is open and nothing has come that nobody asked for."""
        if self.sock is None:
            return False
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        return not poll.poll(0)

    def _reach(self) -> socket.socket:
        failed: OSError = OSError("no address")
        for address in self._addresses:
            sock = _Socket(socket.AF_INET6 if address.version == 6 else socket.AF_INET)
            try:
                sock.settimeout(_left(self._deadline))
                sock.connect((str(address), self.port))
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as error:
                sock.close()
                failed = error
                continue
            return sock
        raise failed


@functools.cache
def _system_tls() -> ssl.SSLContext:
    # Loading the authorities costs more than a delivery.
    return ssl.create_default_context()


def _left(deadline: float) -> float:
    """Seconds until the deadline. Raises TimeoutError."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left if left != float("inf") else 1e6


def _since(began: float) -> int:
    return int((time.monotonic() - began) * 1000)


def _failure(error: Exception) -> str:
    """Why there was no answer, in our own words: an exception's text may hold what is in the URL (W12)."""
    match error:
        case Refused():
            return f"not sent: the URL {error}"
        case _TooLarge():
            return f"the answer is larger than {MAX_RESPONSE} bytes"
        case ssl.SSLCertVerificationError():
            return f"the certificate is not acceptable: {error.verify_message}"[:200]
        case ssl.SSLError():
            return "TLS failed"
        case TimeoutError():
            return "no complete answer in time"
        case socket.gaierror():
            return "the host's name has no address"
        case ConnectionRefusedError():
            return "the connection was refused"
        case OSError():
            return "the connection broke"
        case _:
            return "the answer is not HTTP"
