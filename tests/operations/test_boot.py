"""What the containers would run, without them: the commands of compose.yaml as they stand, in its order, in
a folder that holds what the image would, on a real Postgres and Redis."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from quickstart.api import Api
from quickstart.processes import Processes
from tests.operations.containers import DOCKER, ROOT, compose, copied, start_order
from tests.services import Postgres, Redis, programs, provide_postgres, provide_redis
from tests.services.server import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

NODES = ("alice", "bob", "carol")
_PATIENCE_S = 90.0


class Machine:
    """The services of the compose file as processes of this machine."""

    def __init__(self, folder: Path, postgres: Postgres, redis: Redis) -> None:
        self.services: dict[str, Any] = compose()["services"]
        self.port = free_port()
        self.secrets, self.demo = folder / "secrets", folder / "demo"
        self.tree = folder / "image"
        self.processes = Processes(folder / "logs")
        # The mount points, and the one thing that differs on purpose: the port.
        self._replaced = {
            "/run/secrets/": f"{self.secrets}/",
            "/var/lib/quorate": str(folder / "service"),
            "/demo": str(self.demo),
            "8000": str(self.port),
        }
        self.tree.mkdir()
        for source in copied():
            target = self.tree / source
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / source, target)
        self.demo.mkdir(mode=0o700)
        subprocess.run([sys.executable, str(DOCKER / "make_secrets.py"), str(self.secrets)], check=True)
        self._point_to(postgres, redis)
        environment = {
            "PATH": f"{programs.postgres().folder}:{os.environ['PATH']}",
            "PGHOST": "127.0.0.1",
            "PGPORT": str(postgres.port),
            "PGPASSWORD": postgres.url.split(":")[2].split("@")[0],
            "POSTGRES_USER": "quorate",
            "SECRETS": str(self.secrets),
        }
        subprocess.run([str(DOCKER / "postgres-init.sh")], env=environment, check=True)

    def _point_to(self, postgres: Postgres, redis: Redis) -> None:
        for name in ("database_url", "service_signer_database_url"):
            file = self.secrets / name
            address = file.read_text().replace("@postgres:5432/", f"@127.0.0.1:{postgres.port}/")
            file.unlink()
            file.write_text(address)
        (self.secrets / "redis_url").unlink()
        (self.secrets / "redis_url").write_text(redis.url)

    def _put(self, text: str) -> str:
        for old, new in self._replaced.items():
            text = text.replace(old, new)
        return text

    def environment(self, name: str) -> dict[str, str]:
        """What the service has in its environment; and nothing of ours that could help it."""
        given = self.services[name].get("environment", {})
        mine = dict.fromkeys(("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "RESPONSE_SIGNING_KEY"), "")
        place = {"PYTHONPATH": str(self.tree), "COORDINATOR": f"http://127.0.0.1:{self.port}"}
        return mine | place | {key: self._put(str(value)) for key, value in given.items()}

    def command(self, arguments: list[str]) -> tuple[str, ...]:
        assert arguments[0] == "python"
        return ("env", "--chdir", str(self.tree), sys.executable, *map(self._put, arguments[1:]))

    def run(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command in a service's place to its end; without arguments the service's own."""
        command = self.command(list(arguments) or self.services[name]["command"])
        environment = {**os.environ, **self.environment(name)}
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=120, check=False
        )

    def up(self, name: str) -> None:
        """Start a service; wait for its end or its health where others wait for these."""
        service = self.services[name]
        if service["restart"] == "no":
            done = self.run(name)
            assert done.returncode == 0, f"{name}: {done.stderr}"
            return
        self.processes.start(name, self.command(service["command"]), self.environment(name))
        if "test" in service["healthcheck"]:
            assert service["healthcheck"]["test"][0] == "CMD"
            test = service["healthcheck"]["test"][1:]
            self.wait_for(lambda: self.run(name, *test).returncode == 0, f"{name} to be healthy")

    def wait_for(self, probe: Callable[[], Any], what: str) -> Any:
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            self.processes.check()
            if value := probe():
                return value
            time.sleep(0.1)
        logs = "\n".join(f"--- {each.name}\n{each.log_tail()}" for each in self.processes.children.values())
        raise AssertionError(f"waited for {what}\n{logs}")

    def get(self, path: str, **headers: str) -> urllib3.BaseHTTPResponse:
        return urllib3.request("GET", f"http://127.0.0.1:{self.port}{path}", headers=headers, retries=False)

    def metric(self, name: str) -> float:
        token = (self.secrets / "metrics_token").read_text()
        lines = self.get("/metrics", Authorization=f"Bearer {token}").data.decode().splitlines()
        return next((float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(f"{name} ")), 0.0)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with provide_postgres() as postgres, provide_redis() as redis:
        machine = Machine(tmp_path, postgres, redis)
        yield machine
        machine.processes.stop()


def test_the_commands_of_the_compose_file_make_a_key(machine: Machine) -> None:
    wanted = ["site", "worker", "sweeper", "demo-setup", *(f"demo-{name}" for name in NODES)]
    order = [name for name in start_order(machine.services, wanted) if name not in ("postgres", "redis")]
    assert order[0] == "migrate"
    for name in order:
        machine.up(name)
        if name == "demo-setup":
            # So that the nodes find one at their first call.
            assert machine.run("site", "python", "manage.py", "audit", "checkpoint").returncode == 0
    set_up_service_signer(machine)
    machine.up("service-signer")
    ready = machine.get("/readyz")
    assert (ready.status, ready.json()["ready"]) == (200, True)
    assert set(ready.json()["checks"].values()) == {"ok"}

    setup = json.loads((machine.demo / "setup.json").read_text())
    key = str(machine.get("/.well-known/quorate-response-key").json()["public_key"])
    api = Api(f"http://127.0.0.1:{machine.port}/v2", setup["api_secret"], key)
    cards = {name: machine.demo / "nodes" / f"{name}.card.json" for name in NODES}
    for card in cards.values():
        machine.wait_for(card.exists, "the demo's nodes")
    vault_id = api.post("/wallets/mpc/vaults", {"name": "boot", "vault_type": "Org-Controlled"})["vault_id"]
    holders = [
        {
            "name": name,
            "type": "API",
            "tss_node_id": json.loads(card.read_text())["card"]["node_id"],
            "signer": True,
        }
        for name, card in cards.items()
    ]
    group = {
        "key_share_holder_group_type": "MainGroup",
        "participants": 3,
        "threshold": 2,
        "key_share_holders": holders,
    }
    base = f"/wallets/mpc/vaults/{vault_id}"
    group_id = api.post(f"{base}/key_share_holder_groups", group)["key_share_holder_group_id"]
    asked = {"type": "KeyGen", "target_key_share_holder_group_id": group_id}
    request_id = api.post(f"{base}/tss_requests", asked)["tss_request_id"]

    def ended() -> Any:
        request = api.get(f"/requests/{request_id}")
        return request if request["status"] in ("Success", "KeyGeneratingFailed") else None

    assert machine.wait_for(ended, "the KeyGen to end")["status"] == "Success"
    machine.wait_for(lambda: machine.metric("quorate_audit_countersigned_rows"), "a node's countersignature")
    assert machine.metric("quorate_audit_alarms") == 0
    online = 'quorate_nodes{kind="Cobo",online="yes"}'
    machine.wait_for(lambda: machine.metric(online) == 1, "the service signer to call")
    verified = machine.run("site", "python", "manage.py", "audit", "verify")
    assert verified.returncode == 0, verified.stderr
    for name in ("site", "worker"):
        lines = (machine.processes.children[name].log).read_text().splitlines()
        assert all(json.loads(line)["level"] for line in lines if line.startswith("{"))
        assert any(line.startswith("{") for line in lines)


def set_up_service_signer(machine: Machine) -> None:
    """As docs/operations.md says, in the service's place."""
    code = json.loads((machine.demo / "setup.json").read_text())["codes"]["service"]
    database = (machine.secrets / "service_signer_database_url").read_text()
    signers = ("python", "-m", "signers", "--state", "/var/lib/quorate", "--database", database)
    for arguments in (("init", "--kind", "service"), ("enrol", "http://127.0.0.1:8000", code)):
        done = machine.run(
            "service-signer", *signers, "--key-file", "/run/secrets/service_signer_key", *arguments
        )
        assert done.returncode == 0, done.stderr
