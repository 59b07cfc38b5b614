"""How fast a key may call: each key by itself, over all processes, and never because Redis is away."""

import logging
import threading
import time
from typing import Any

import pytest
import redis
from django.conf import LazySettings

from tests.api.client import SignedCall
from tests.api.conftest import Tenant
from tests.services.server import free_port
from vaults.api import rate_limit
from vaults.errors import TooMany

pytestmark = pytest.mark.embedded
PATH = "/developers/api_key_info"
HOUR_US = 3_600_000_000


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limit, "_local", rate_limit._Local())
    monkeypatch.setattr(rate_limit, "_redis_away_until", 0.0)
    rate_limit._script.cache_clear()


def limit(settings: LazySettings, *, rate: int = 1, burst: int = 5, **more: Any) -> None:
    settings.QUORATE = settings.QUORATE | {"API_RATE": rate, "API_BURST": burst, **more}


def use_up(tenant: Tenant, settings: LazySettings) -> None:
    """As if the key had made an hour's calls just now: however slow a machine is, none comes back in time."""
    name = str(tenant.api_key.id)
    if url := settings.QUORATE.get("REDIS_URL"):
        client = redis.Redis.from_url(url)
        seconds, microseconds = client.time()
        client.set(f"{rate_limit._PREFIX}{name}", seconds * 1_000_000 + microseconds + HOUR_US)
    else:
        rate_limit._local._full[name] = time.monotonic_ns() // 1000 + HOUR_US


def test_beyond_the_burst_429_with_retry_after(tenant: Tenant, other: Tenant, settings: LazySettings) -> None:
    limit(settings)
    assert [tenant.client.get(PATH).status for _ in range(5)] == [200] * 5
    use_up(tenant, settings)
    for reply in (tenant.client.get(PATH), tenant.client.post("/wallets/mpc/projects", {})):
        assert reply.error == (429, 2026, "")
        assert 3000 < int(reply.headers["retry-after"]) <= 3600
    assert other.client.get(PATH).status == 200


def test_calls_that_the_key_did_not_sign_do_not_count(tenant: Tenant, settings: LazySettings) -> None:
    """Its public key is public: nobody else can use its calls up."""
    limit(settings)
    call = tenant.client.sign("GET", PATH)
    forged = SignedCall(call.method, call.path, "", b"", {**call.headers, "Biz-Api-Signature": "00" * 64})
    assert {tenant.client.send(forged).status for _ in range(20)} == {401}
    assert tenant.client.get(PATH).status == 200


def test_a_refused_write_is_no_stored_answer(tenant: Tenant, settings: LazySettings) -> None:
    """The same signed request succeeds later: 429 says that it was not looked at."""
    limit(settings, burst=1)
    call = tenant.client.sign(
        "POST", "/wallets/mpc/projects", body={"name": "p", "participants": 2, "threshold": 2}
    )
    use_up(tenant, settings)
    assert tenant.client.send(call).status == 429
    limit(settings, rate=0)
    assert tenant.client.send(call).status == 201


def test_all_processes_count_together(tenant: Tenant, settings: LazySettings) -> None:
    """Two that know nothing of each other but Redis; the embedded settings have one process."""
    if "REDIS_URL" not in settings.QUORATE:
        pytest.skip("one process")
    allowed: list[int] = []

    def call() -> None:
        script = redis.Redis.from_url(settings.QUORATE["REDIS_URL"]).register_script(rate_limit._SCRIPT)
        for _ in range(10):
            # Ten at once, one an hour.
            if (
                int(script(keys=[f"{rate_limit._PREFIX}{tenant.api_key.id}"], args=[HOUR_US, 10 * HOUR_US]))
                == 0
            ):
                allowed.append(1)

    threads = [threading.Thread(target=call) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(allowed) == 10


def test_calls_come_back_with_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000_000_000_000
    monkeypatch.setattr("time.monotonic_ns", lambda: now)
    bucket, rate = rate_limit._Local(), rate_limit._Rate(each=100_000, capacity=300_000)
    assert [bucket.wait("key", rate) for _ in range(4)] == [0, 0, 0, 100_000]
    now += 100_000_000
    assert [bucket.wait("key", rate) for _ in range(2)] == [0, 100_000]
    assert bucket.wait("other", rate) == 0
    now += 10_000_000_000
    assert [bucket.wait("key", rate) for _ in range(4)] == [0, 0, 0, 100_000]


def test_redis_away_costs_no_call(
    tenant: Tenant, settings: LazySettings, caplog: pytest.LogCaptureFixture
) -> None:
    limit(settings, burst=3, REDIS_URL=f"redis://127.0.0.1:{free_port()}/0")
    with caplog.at_level(logging.WARNING, "quorate.api"):
        assert tenant.client.get(PATH).status == 200
    assert "counts calls by itself" in caplog.text
    # This process alone still has a limit.

    def many() -> None:
        while True:
            rate_limit.take(tenant.api_key)

    with pytest.raises(TooMany):
        many()
