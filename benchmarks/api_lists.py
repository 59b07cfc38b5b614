"""Lists, filters, search and gets over HTTP: at a thousand requests and at a million, side by side.

    .venv/bin/python -m benchmarks.api_lists [--requests 1000000] [--events 5000000] [--rounds 100]

Two databases on one durable Postgres, one site (uvicorn, production settings) before each. A call goes to
both in turn, so that whatever else the machine does meets both. Prints p50 and p95 in milliseconds of the
whole call, signed and verified, and the ratio of the p95s, whose bar is 1.5.
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from quickstart.api import Api
from quickstart.processes import ROOT, Processes, python
from tests.live.stack import with_path
from tests.services import provide_postgres, provide_redis
from tests.services.server import free_port

SMALL = 1000
BAR = 1.5
_PATIENCE_S = 60.0

# Run where Django is set up: a request to copy, and a key to read with.
PREPARE = """
import django, json
django.setup()
from tests.tss.nodes import Site, SYSTEM
from vaults import services
from vaults.scopes import READ_SCOPES
site = Site.make()
request = site.request()
site.signers[0].decide(request)
key = services.generate_api_key(
    actor=SYSTEM, organisation=site.organisation, name="bench", scopes=READ_SCOPES
)
print(json.dumps({"secret": key.secret, "like": request.pk}))
"""


@dataclass
class Site:
    """A running site with its client, and what its calls need."""

    api: Api
    ids: dict[str, str]


def main() -> None:
    """Start what is needed, fill, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--per-group", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=200)
    options = parser.parse_args()
    with (
        provide_postgres(durable=True) as postgres,
        provide_redis() as redis,
        tempfile.TemporaryDirectory() as folder,
    ):
        processes = Processes(Path(folder))
        try:
            sizes = {"small": (SMALL, 5 * SMALL), "large": (options.requests, options.events)}
            sites = {
                name: _site(name, size, options.per_group, postgres.url, redis.url, processes)
                for name, size in sizes.items()
            }
            _measure(sites["small"], sites["large"], options.rounds)
        finally:
            processes.stop()


def _site(
    name: str, size: tuple[int, int], per_group: int, postgres: str, redis: str, processes: Processes
) -> Site:
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    environment = {
        "DJANGO_SETTINGS_MODULE": "config.settings.production",
        "SECRET_KEY": "benchmarks only " * 4,
        "ALLOWED_HOSTS": "127.0.0.1",
        "RESPONSE_SIGNING_KEY": "5a" * 32,
        "DATABASE_URL": with_path(postgres, name),
        "REDIS_URL": redis,
        # The limit is another subject.
        "API_RATE": "100000",
        "API_BURST": "100000",
    }
    _run(environment, "manage.py", "migrate", "--verbosity", "0")
    prepared = json.loads(_run(environment, "-c", PREPARE).splitlines()[-1])
    began = time.monotonic()
    requests, events = size
    seeded = _run(
        environment,
        *("manage.py", "seed_requests", "--force", "--like", prepared["like"]),
        *("--requests", str(requests), "--events", str(events), "--per-group", str(per_group)),
    )
    print(f"{name}: {' '.join(seeded.split())} in {time.monotonic() - began:.0f} s", flush=True)
    port = free_port()
    command = python("-m", "uvicorn", "config.asgi:application", "--host", "127.0.0.1", "--port", str(port))
    processes.start(f"site-{name}", (*command, "--no-access-log"), environment)
    url = f"http://127.0.0.1:{port}"
    key = _response_key(url)
    return Site(Api(f"{url}/v2", prepared["secret"], key), _ids(with_path(postgres, name)))


def _run(environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        python(*arguments),
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"{arguments[0]} failed:\n{done.stderr}")
    return done.stdout


def _response_key(url: str) -> str:
    end = time.monotonic() + _PATIENCE_S
    while True:
        try:
            with urllib.request.urlopen(f"{url}/.well-known/quorate-response-key", timeout=2) as answer:  # noqa: S310
                return str(json.load(answer)["public_key"])
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def _ids(url: str) -> dict[str, str]:
    """A vault, a group and a request from the middle of the database."""
    query = (
        "SELECT id, target_group_id::text, vault_id::text, description FROM tss_tssrequest "
        "ORDER BY created_at OFFSET (SELECT count(*) / 2 FROM tss_tssrequest) LIMIT 1"
    )
    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()
    if row is None:
        raise SystemExit("nothing was seeded")
    request_id, group_id, vault_id, description = row
    return {"request": request_id, "group": group_id, "vault": vault_id, "text": description.split()[1]}


CALLS: dict[str, Callable[[Site], Any]] = {
    "list": lambda site: site.api.get("/requests"),
    "list, 50": lambda site: site.api.get("/requests", limit="50"),
    "list by update": lambda site: site.api.get("/requests", sort_by="updated_timestamp"),
    "list by expiry": lambda site: site.api.get("/requests", sort_by="expires_timestamp", direction="ASC"),
    "filter state (open)": lambda site: site.api.get("/requests", state="AwaitingApproval"),
    "filter state, by expiry": lambda site: site.api.get(
        "/requests", state="AwaitingApproval", sort_by="expires_timestamp", direction="ASC"
    ),
    "filter status (4 states)": lambda site: site.api.get("/requests", status="KeyHolderConfirmationFailed"),
    "filter type": lambda site: site.api.get("/requests", type="Recovery"),
    "filter vault": lambda site: site.api.get(f"/vaults/{site.ids['vault']}/requests"),
    "filter vault and state": lambda site: site.api.get(
        f"/vaults/{site.ids['vault']}/requests", state="Failed"
    ),
    "filter group": lambda site: site.api.get("/requests", group=site.ids["group"]),
    "search, one match": lambda site: site.api.get("/requests", text=site.ids["text"]),
    "search, a tenth matches": lambda site: site.api.get("/requests", text="payroll"),
    "search, no match": lambda site: site.api.get("/requests", text="nothing like it"),
    "next page": lambda site: site.api.get("/requests", after=site.ids["cursor"]),
    "get": lambda site: site.api.get(f"/requests/{site.ids['request']}"),
    "timeline": lambda site: site.api.get(f"/requests/{site.ids['request']}/timeline"),
}


def _measure(small: Site, large: Site, rounds: int) -> None:
    for site in (small, large):
        site.ids["cursor"] = site.api.get("/requests", limit="50")["pagination"]["after"]
    print(f"\n{rounds} calls each after 5, milliseconds{'at 1,000':>22}{'at the larger':>20}")
    print(f"{'':28}{'p50':>9}{'p95':>9}{'p50':>11}{'p95':>9}{'p95 ratio':>12}")
    worst = 0.0
    for name, call in CALLS.items():
        times = {site_name: list[float]() for site_name in ("small", "large")}
        for turn in range(rounds + 5):
            for site_name, site in (("small", small), ("large", large)):
                began = time.perf_counter()
                call(site)
                if turn >= 5:
                    times[site_name].append((time.perf_counter() - began) * 1000)
        (p50, p95), (large_p50, large_p95) = (_percentiles(times[each]) for each in ("small", "large"))
        worst = max(worst, large_p95 / p95)
        print(f"{name:28}{p50:9.1f}{p95:9.1f}{large_p50:11.1f}{large_p95:9.1f}{large_p95 / p95:12.2f}")
    print(f"worst ratio {worst:.2f}, bar {BAR}")


def _percentiles(values: list[float]) -> tuple[float, float]:
    ordered = sorted(values)
    return ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))]


if __name__ == "__main__":
    main()
