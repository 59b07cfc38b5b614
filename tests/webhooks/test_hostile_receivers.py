"""W03, W04, W11, W12: receivers that lead elsewhere, dribble, lie about who they are, or echo secrets."""

import contextlib
import gzip
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import trustme
from django.conf import settings as django_settings

from tests.api.conftest import Tenant
from tests.webhooks.conftest import deliver, emit, endpoint_of, state_of
from tests.webhooks.receiver import Receiver, Reply, Rude
from webhooks import couriers, guard, signing, transport
from webhooks.models import Attempt, Delivery


def test_w03_redirects_are_failures_and_not_followed(tenant: Tenant, receiver: Receiver) -> None:
    inner = Receiver()
    statuses = [301, 302, 303, 307, 308]
    left = list(statuses)
    try:
        receiver.answer = lambda request: Reply(left.pop(0), {"Location": inner.url})
        endpoint = endpoint_of(tenant, receiver.url)
        for number, _ in enumerate(statuses):
            emit(tenant, number)
        deliver(endpoint)
        assert state_of(endpoint) == [("Retrying", 1)] * len(statuses)
        reasons = Attempt.objects.order_by("pk").values_list("failure_reason", flat=True)
        assert list(reasons) == [f"answered {each}; redirects are not followed" for each in statuses]
        assert inner.connections == 0
    finally:
        inner.close()


def test_w03_proxies_of_the_environment_are_ignored(
    tenant: Tenant, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Receiver()
    try:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        endpoint = endpoint_of(tenant, receiver.url)
        emit(tenant)
        deliver(endpoint)
        assert state_of(endpoint) == [("Success", 1)]
        assert proxy.connections == 0
    finally:
        proxy.close()


def _dribble(data: bytes, ending: Callable[[], threading.Event]) -> Callable[[socket.socket], None]:
    def talk(connection: socket.socket) -> None:
        for byte in data:
            connection.sendall(bytes([byte]))
            # Often enough that no time-out of a single read ever comes.
            if ending().wait(0.05):
                return

    return talk


def _endless(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"1000\r\n" + b"x" * 4096 + b"\r\n")


@pytest.mark.parametrize("kind", ["silence", "header", "headers", "body", "endless", "length", "garbage"])
def test_w04_nothing_holds_a_delivery_for_longer_than_its_time(kind: str) -> None:
    """Dribbled headers and bodies, silence, a body without end: the whole exchange has one deadline."""
    rude: Rude
    long = b"y" * 100_000
    talks: dict[str, Callable[[socket.socket], None]] = {
        "silence": lambda connection: (rude.ending.wait(), None)[1],
        "header": _dribble(b"HTTP/1.1 200 OK\r\nX-Slow: " + long, lambda: rude.ending),
        "headers": _dribble(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 10_000, lambda: rude.ending),
        "body": _dribble(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + long, lambda: rude.ending),
        "endless": _endless,
        "length": lambda c: c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n" + long),
        "garbage": lambda c: c.sendall(b"SSH-2.0-OpenSSH_9.2\r\n" * 3),
    }
    rude = Rude(talks[kind])
    try:
        client = transport.Client(guard.target_of(rude.url), timeout=0.7)
        answer = client.post(b"{}", {})
    finally:
        rude.close()
    assert answer.status is None
    expected = {
        "endless": "the answer is larger than 65536 bytes",
        "length": "the answer is larger than 65536 bytes",
        "garbage": "the answer is not HTTP",
    }
    assert answer.failure == expected.get(kind, "no complete answer in time")
    # A single read never timed out: it is the sum that did.
    assert answer.milliseconds < 20_000


def test_w04_a_gzip_bomb_is_not_unpacked(tenant: Tenant, receiver: Receiver) -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    assert len(bomb) < transport.MAX_RESPONSE
    receiver.answer = lambda request: Reply(200, {"Content-Encoding": "gzip"}, bomb)
    endpoint = endpoint_of(tenant, receiver.url)
    emit(tenant)
    deliver(endpoint)
    assert receiver.received[0].headers["Accept-Encoding"] == "identity"
    assert Attempt.objects.get().response_body == ""


def test_w04_slow_endpoints_do_not_delay_the_others(tenant: Tenant, settings: Any) -> None:
    """Twenty endpoints answer nothing until the fast one has got all of its fifty events."""
    settings.QUORATE = django_settings.QUORATE | {"WEBHOOK_TIMEOUT_S": 60}
    released = threading.Event()
    with contextlib.ExitStack() as stack:
        slow = [Receiver() for _ in range(20)]
        fast = Receiver()
        for receiver in (*slow, fast):
            stack.callback(receiver.close)
        stack.callback(released.set)

        def hold(request: Any) -> Reply:
            released.wait()
            return Reply()

        for receiver in slow:
            receiver.answer = hold
        endpoints = [endpoint_of(tenant, receiver.url) for receiver in (*slow, fast)]
        for number in range(50):
            emit(tenant, number)
        for endpoint in endpoints:
            couriers.dispatch(endpoint.pk)
        fast.wait(50)
        held = [len(receiver.wait(1)) for receiver in slow]
        assert held == [1] * 20
        assert not released.is_set()
        released.set()
        for receiver in slow:
            receiver.wait(50)
        couriers.settle()
    assert set(Delivery.objects.values_list("status", "tries")) == {("Success", 1)}


AUTHORITY = trustme.CA()


def _server_tls(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


@contextlib.contextmanager
def _secure(certificate: trustme.LeafCert) -> Iterator[tuple[Receiver, transport.Client]]:
    receiver = Receiver(_server_tls(certificate))
    trusted = ssl.create_default_context()
    AUTHORITY.configure_trust(trusted)
    try:
        yield receiver, transport.Client(guard.target_of(receiver.url), timeout=5, tls=trusted)
    finally:
        receiver.close()


def test_w11_a_good_certificate() -> None:
    with _secure(AUTHORITY.issue_cert("127.0.0.1")) as (receiver, client):
        for _ in range(3):
            assert client.post(b"{}", {}).status == 200
        assert receiver.connections == 1


@pytest.mark.parametrize(
    ("certificate", "why"),
    [
        (AUTHORITY.issue_cert("127.0.0.1", not_after=datetime.now(UTC) - timedelta(days=1)), "expired"),
        (AUTHORITY.issue_cert("other.example.com"), "IP address mismatch"),
        (trustme.CA().issue_cert("127.0.0.1"), "self-signed certificate in certificate chain|unable to get"),
    ],
    ids=["expired", "wrong host", "unknown authority"],
)
def test_w11_a_bad_certificate_gets_nothing(certificate: trustme.LeafCert, why: str) -> None:
    with _secure(certificate) as (receiver, client):
        answer = client.post(b"{}", {})
        assert answer.status is None
        assert answer.failure.startswith("the certificate is not acceptable")
        assert any(each in answer.failure for each in why.split("|")), answer.failure
        assert receiver.received == []


def test_w11_no_plaintext_where_tls_is_asked_for() -> None:
    receiver = Receiver()
    try:
        target = guard.target_of(receiver.url.replace("http://", "https://"))
        answer = transport.Client(target, timeout=5).post(b"{}", {})
        assert (answer.status, answer.failure) == (None, "TLS failed")
        assert receiver.received == []
    finally:
        receiver.close()


def test_w12_secrets_stand_nowhere(
    tenant: Tenant, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """An error page that echoes its secret, and a token in the address: neither is kept or logged."""
    endpoint = endpoint_of(tenant, receiver.url + "?token=very-secret-token")
    secrets = signing.secrets_of(endpoint, 1)
    bare = secrets.secret.removeprefix("whsec_")
    page = f"wrong secret {secrets.secret}, I have {bare} and whsk_AAAA+/=".encode()
    receiver.answer = lambda request: Reply(500, {"X-Odd": secrets.secret}, page)
    emit(tenant)
    deliver(endpoint)
    attempt = Attempt.objects.get()
    assert attempt.response_body == "wrong secret [secret], I have [secret] and [secret]"
    logs = tenant.client.get(f"/webhooks/endpoints/{endpoint.pk}/events").body
    event_id = json.loads(logs)["data"][0]["event_id"]
    shown = tenant.client.get(f"/webhooks/endpoints/{endpoint.pk}/events/{event_id}/logs").body.decode()
    assert "[secret]" in shown
    receiver.answer = lambda request: Reply(200, {"Bad Header": "x"}, page)
    Delivery.objects.update(next_attempt_at=attempt.created_at)
    deliver(endpoint)
    for text in (shown, caplog.text):
        assert bare not in text
    assert "very-secret-token" not in caplog.text
    assert "very-secret-token" not in "".join(Attempt.objects.values_list("failure_reason", flat=True))
