"""W01, W02: where nothing is ever sent to, however the address is written."""

import socket
from typing import Any

import pytest
from django.conf import settings as django_settings

from tests.api.conftest import VAULT_CREATED, Tenant
from tests.webhooks.conftest import deliver, emit, state_of
from tests.webhooks.receiver import Receiver
from webhooks import guard
from webhooks.models import Attempt, WebhookEndpoint

# What production allows: no network that is not public.
PRODUCTION = {"WEBHOOK_NETWORKS": ()}

FORBIDDEN = [
    "https://127.0.0.1/",
    "https://127.8.8.8/",
    "https://[::1]/",
    "https://169.254.169.254/latest/meta-data/",
    "https://10.1.2.3/",
    "https://172.16.0.1/",
    "https://192.168.1.1/",
    "https://100.64.0.1/",
    "https://198.18.0.1/",
    "https://224.0.0.1/",
    "https://255.255.255.255/",
    "https://0.0.0.0/",
    "https://[::]/",
    "https://[fc00::1]/",
    "https://[fe80::1]/",
    "https://[fec0::1]/",
    "https://[ff02::1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:a00:1]/",
    "https://[::127.0.0.1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[64:ff9b:1::a00:1]/",
    "https://[2002:7f00:1::1]/",
    "https://[2001:0:a:b::1]/",
    "https://localhost/",
    "https://LOCALHOST/",
    "https://hooks.localhost/",
]
MISSHAPEN = [
    "https://2130706433/",  # decimal
    "https://0x7f000001/",  # hexadecimal
    "https://0x7f.1/",
    "https://017700000001/",  # octal
    "https://0177.0.0.1/",
    "https://127.1/",
    "https://localhost./",
    "https://example.com./",
    "https://user@example.com/",
    "https://user:password@example.com/",
    "https://example.com@127.0.0.1/",
    "https://\uff11\uff12\uff17.0.0.1/",  # full-width digits
    "https://127\u30020\u30020\u30021/",  # ideographic full stops
    "https://b\u00fccher.example/",
    "https://example.com\\@127.0.0.1/",
    "https://example.com:22/",
    "https://example.com:6379/",
    "https://example.com:99999/",
    "https://example.com/#fragment",
    "https:///path",
    "https://[::1",
    "https://exa mple.com/",
    "https://example.com/\r\nX-Injected: 1",
    "http://example.com/",
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_FLUSHALL",
    "//example.com/",
    "example.com",
    "https://" + "a" * 500 + ".com/",
]
ALLOWED = [
    "https://example.com/",
    "https://example.com:8443/a?b=c",
    "https://8.8.8.8/",
    "https://xn--bcher-kva.de/",
]


@pytest.fixture
def production(settings: Any) -> None:
    settings.QUORATE = django_settings.QUORATE | PRODUCTION


@pytest.mark.parametrize("url", FORBIDDEN + MISSHAPEN)
def test_w01_refused_when_the_endpoint_is_made(production: None, url: str) -> None:
    with pytest.raises(guard.Refused):
        guard.check(url)


@pytest.mark.parametrize("url", ALLOWED)
def test_public_addresses_are_allowed(production: None, url: str) -> None:
    guard.check(url)


@pytest.mark.parametrize("url", [url for url in FORBIDDEN if "localhost" not in url])
def test_w01_refused_when_it_is_sent(production: None, url: str) -> None:
    with pytest.raises(guard.Refused):
        guard.resolve(guard.target_of(url))


def test_w01_the_api_names_the_field(production: None, tenant: Tenant) -> None:
    for url in (
        "https://169.254.169.254/",
        "https://2130706433/",
        "https://a:b@example.com/",
        "http://10.0.0.1/",
    ):
        body = {"url": url, "subscribed_events": [VAULT_CREATED]}
        assert tenant.client.post("/webhooks/endpoints", body).error == (400, 2006, "url")
    assert not WebhookEndpoint.objects.exists()


def test_listed_networks_are_allowed_and_redis_in_them_is_not(settings: Any) -> None:
    settings.QUORATE = django_settings.QUORATE | {"WEBHOOK_NETWORKS": ("10.1.0.0/16", "127.0.0.0/8")}
    guard.check("https://10.1.2.3:9443/")
    guard.check("http://127.0.0.1:3000/")
    guard.check("https://[::ffff:10.1.2.3]/")
    for url in ("https://10.2.0.1/", "https://10.1.2.3:6379/", "https://10.1.2.3:22/", "http://10.1.2.3/"):
        with pytest.raises(guard.Refused):
            guard.check(url)


@pytest.mark.parametrize(
    "second",
    ["10.0.0.5", "127.0.0.1", "169.254.169.254", "::ffff:127.0.0.1"],
)
def test_w02_a_name_that_leads_elsewhere_by_now(
    production: None, tenant: Tenant, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, second: str
) -> None:
    """Public when the endpoint was made, private when it is sent: one bad address is enough."""
    made = tenant.client.post(
        "/webhooks/endpoints", {"url": "https://rebind.example.com/", "subscribed_events": [VAULT_CREATED]}
    )
    assert made.status == 201
    asked: list[str] = []

    def rebound(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        addresses = ["93.184.216.34", second]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    endpoint = WebhookEndpoint.objects.get()
    emit(tenant)
    # Only now: Redis is found by its name too.
    monkeypatch.setattr(socket, "getaddrinfo", rebound)
    deliver(endpoint)
    # Looked up once: there is no second answer that could differ from the one that was vetted.
    assert asked == ["rebind.example.com"]
    assert state_of(endpoint) == [("Retrying", 1)]
    assert "not public" in Attempt.objects.get().failure_reason


def test_w02_the_connection_goes_to_the_vetted_address(
    tenant: Tenant, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name is asked for once and the Host header still says it."""
    answers = [["127.0.0.1"], ["10.0.0.5"]]

    def rebinding(host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in answers.pop(0)]

    url = f"http://hooks.localhost:{receiver.port}/x"
    body = {"url": url, "subscribed_events": [VAULT_CREATED]}
    assert tenant.client.post("/webhooks/endpoints", body).status == 201
    emit(tenant)
    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    deliver(WebhookEndpoint.objects.get())
    (request,) = receiver.received
    assert request.headers["Host"] == f"hooks.localhost:{receiver.port}"
    assert answers == [["10.0.0.5"]]
