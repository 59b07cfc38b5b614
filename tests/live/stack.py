"""A whole production-like Quorate in real processes: site, Celery worker, service signer and holders' nodes.

Every stack has a database of its own on the Postgres server of the test run, and a Redis server of its own.
"""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import redis
import urllib3

from quickstart.api import Api
from quickstart.nodes import DemoNode, in_parallel
from quickstart.processes import ROOT, Processes, python
from quickstart.site_setup import NODES
from tests.live.proxy import Proxy
from tests.services import provide_postgres, provide_redis

TERMINAL = ("Success", "KeyGeneratingFailed", "KeyHolderConfirmationFailed")
RESPONSE_KEY_SEED = "5a" * 32
_PATIENCE_S = 60.0


class Stack:
    """Start with `start()`, end with `stop()`.

    proxied: put a recording proxy before each node; service_database: run the service signer as production
    does, in a Celery worker on this database; own_postgres: a Postgres of its own, which may be killed;
    settings: limits of config/settings/base.py by name.
    """

    def __init__(
        self,
        folder: Path,
        *,
        proxied: bool = True,
        service_database: str = "",
        own_postgres: bool = False,
        **settings: str,
    ) -> None:
        self.folder = folder
        self._resources = ExitStack()
        self.postgres = (
            self._resources.enter_context(provide_postgres(durable=True)) if own_postgres else None
        )
        self._server_url = self.postgres.url if self.postgres else os.environ["DATABASE_URL"]
        self.database_name = f"live_{os.getpid()}_{time.monotonic_ns()}"
        self.database_url = with_path(self._server_url, self.database_name)
        # Redis of its own: another stack's worker must not take this one's tasks.
        self.redis = self._resources.enter_context(provide_redis())
        self.redis_url = self.redis.url
        self.processes = Processes(folder / "logs")
        self.nodes = {name: DemoNode(name, folder / "nodes" / name) for name in (*NODES, "service")}
        self.nodes["service"].database = service_database
        self.node_ids: dict[str, str] = {}
        self.port = _free_port()
        self.site_url = f"http://127.0.0.1:{self.port}"
        self.proxies: dict[str, Proxy] = {}
        self._proxied = proxied
        self._environment = {
            "DJANGO_SETTINGS_MODULE": "config.settings.production",
            "SECRET_KEY": "live tests only " * 4,
            "ALLOWED_HOSTS": "127.0.0.1,localhost",
            "WEBAUTHN_RP_ID": "localhost",
            "WEBAUTHN_ORIGINS": f"http://localhost:{self.port}",
            "RESPONSE_SIGNING_KEY": RESPONSE_KEY_SEED,
            "SERVICE_SIGNER": "poll",
            "WEBHOOK_NETWORKS": "127.0.0.0/8",
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            **settings,
        }

    def start(self, *, action: str = "auto") -> None:
        with psycopg.connect(self._server_url, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{self.database_name}"')
        setup = subprocess.run(
            python("-m", "quickstart.site_setup"),
            cwd=ROOT,
            env={**os.environ, **self._environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert setup.returncode == 0, setup.stderr
        self.setup: dict[str, Any] = json.loads(setup.stdout)
        site = python(
            "-m", "uvicorn", "config.asgi:application", "--host", "127.0.0.1", "--port", str(self.port)
        )
        self.processes.start(
            "site", (*site, "--no-access-log", "--timeout-graceful-shutdown", "2"), self._environment
        )
        worker = python("-m", "celery", "-A", "config", "worker", "--loglevel", "INFO")
        options = ("--concurrency", "2", "--queues", "coordinator", "--without-gossip", "--without-mingle")
        self.processes.start("worker", (*worker, *options), self._environment)
        self.processes.start("sweeper", python("-m", "celery", "-A", "config", "beat"), self._environment)
        key = self.wait_for(self._response_key, "the site")
        self.api = Api(f"{self.site_url}/v2", self.setup["api_secret"], key)
        self.response_key = key
        (self.folder / "nodes").mkdir(parents=True)
        if self._proxied:
            self.proxies = {name: Proxy(self.site_url) for name in self.nodes}

        def create(node: DemoNode) -> str:
            service = node.name == "service"
            return node.create(
                coordinator=self._coordinator(node.name),
                code=self.setup["codes"][node.name],
                service=service,
                action="auto" if service else action,
            )

        nodes = list(self.nodes.values())
        self.node_ids = dict(zip(self.nodes, in_parallel(create, nodes), strict=True))
        in_parallel(lambda node: node.pin(nodes), nodes)
        for node in nodes:
            self.start_node(node.name)

    def _coordinator(self, name: str) -> str:
        return self.proxies[name].url if self._proxied else self.site_url

    def start_node(self, name: str) -> None:
        node = self.nodes[name]
        if node.database:
            environment = {
                "DJANGO_SETTINGS_MODULE": "config.settings.service_signer",
                "SERVICE_SIGNER_DATABASE_URL": node.database,
                "SERVICE_SIGNER_STATE": str(node.folder),
                "SERVICE_SIGNER_KEY_FILE": str(node.key_file),
                "REDIS_URL": self.redis_url,
            }
            worker = python("-m", "celery", "-A", "config", "worker", "--queues", "service_signer")
            self.processes.start(
                f"node-{name}", (*worker, "--concurrency", "1", "--loglevel", "INFO"), environment
            )
            return
        self.processes.start(f"node-{name}", node.command("run", "--coordinator", self._coordinator(name)))

    def stop(self) -> None:
        self.processes.stop()
        for proxy in self.proxies.values():
            proxy.close()
        if self.postgres is None:
            with psycopg.connect(self._server_url, autocommit=True) as connection:
                connection.execute(f'DROP DATABASE IF EXISTS "{self.database_name}" WITH (FORCE)')
        self._resources.close()

    def kill(self, name: str) -> None:
        """kill -9, and for the worker its pool processes too, as when the machine loses power."""
        child = self.processes.children[name]
        os.killpg(child.pid, signal.SIGKILL)
        child.process.wait(10)

    def restart(self, name: str) -> None:
        self.processes.restart(name)
        if name == "site":
            self.wait_for(self._response_key, "the site")

    def vault(self, name: str) -> str:
        vault = self.api.post("/wallets/mpc/vaults", {"name": name, "vault_type": "Org-Controlled"})
        return str(vault["vault_id"])

    def group(self, vault_id: str, names: list[str], threshold: int, kind: str = "MainGroup") -> str:
        holders = [
            {
                "name": name,
                "type": "Cobo" if name.startswith("service") else "API",
                "tss_node_id": self.node_ids[name],
                "signer": True,
            }
            for name in names
        ]
        body = {
            "key_share_holder_group_type": kind,
            "participants": len(names),
            "threshold": threshold,
            "key_share_holders": holders,
        }
        group = self.api.post(f"/wallets/mpc/vaults/{vault_id}/key_share_holder_groups", body)
        return str(group["key_share_holder_group_id"])

    def key_gen(self, vault_id: str, group_id: str) -> str:
        body = {"type": "KeyGen", "target_key_share_holder_group_id": group_id, "description": "live test"}
        return str(self.api.post(f"/wallets/mpc/vaults/{vault_id}/tss_requests", body)["tss_request_id"])

    def reshare(self, type: str, vault_id: str, target: str, source: str) -> str:
        """KeyGenFromKeyGroup or Recovery."""
        body = {
            "type": type,
            "target_key_share_holder_group_id": target,
            "source_key_share_holder_group": {"key_share_holder_group_id": source},
        }
        return str(self.api.post(f"/wallets/mpc/vaults/{vault_id}/tss_requests", body)["tss_request_id"])

    def native(self, vault_id: str, type: str, target: str, **fields: Any) -> str:
        """A request of a type that only the native API has: Refresh, Reshare, RoleChange, PolicyChange."""
        body = {"type": type, "target_group_id": target, **fields}
        return str(self.api.post(f"/vaults/{vault_id}/requests", body)["tss_request_id"])

    def replace(self, vault_id: str, group_id: str, old: str, new: str) -> None:
        """Name the node that shall take the place of a lost one."""
        path = f"/vaults/{vault_id}/groups/{group_id}/holders/{self.node_ids[old]}/replace"
        self.api.post(path, {"new_tss_node_id": self.node_ids[new]})

    def pin_anchor(self, vault_id: str, names: list[str], holder: str = "alice") -> None:
        """R6: nodes that will join the key pin its anchor, from an existing holder's store."""
        anchor = self.nodes[holder].export_anchor(vault_id)
        in_parallel(lambda name: self.nodes[name].pin_anchor(anchor), names)

    def main_key(self, name: str, members: list[str], threshold: int = 2) -> tuple[str, str]:
        """A vault whose Main group has its key: (vault id, group id)."""
        vault_id = self.vault(name)
        group_id = self.group(vault_id, members, threshold)
        request = self.finished(vault_id, self.key_gen(vault_id, group_id))
        assert request["status"] == "Success", request
        return vault_id, group_id

    def request(self, vault_id: str, request_id: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.api.get(f"/requests/{request_id}")
        assert answer["vault_id"] == vault_id
        return answer

    def finished(self, vault_id: str, request_id: str) -> dict[str, Any]:
        """The request once it is terminal."""

        def probe() -> dict[str, Any] | None:
            request = self.request(vault_id, request_id)
            return request if request["status"] in TERMINAL else None

        result: dict[str, Any] = self.wait_for(probe, f"request {request_id} to end")
        return result

    def sql(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Run a statement as somebody who owns the coordinator's database."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            cursor = connection.execute(query, parameters)
            return cursor.fetchall() if cursor.description else []

    def stored_keys(self, name: str) -> set[tuple[str, str, str]]:
        """(vault id, curve, root extended public key) of every key in a node's own store (R3)."""
        return {
            (key["vault_id"], root["curve"].upper(), root["xpub"])
            for key in self.nodes[name].held_keys()
            for root in key["root_keys"]
        }

    def stored_epoch(self, name: str, group_id: str) -> int:
        """The epoch of the newest certified set of a group in a node's own store, 0 for none (R3)."""
        epochs = [key["epoch"] for key in self.nodes[name].held_keys() if key["group_id"] == group_id]
        return max(epochs, default=0)

    def manage(self, *arguments: str) -> dict[str, Any]:
        """Run a management command of the site; they print JSON."""
        done = subprocess.run(
            python("manage.py", *arguments),
            cwd=ROOT,
            env={**os.environ, **self._environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        printed: dict[str, Any] = json.loads(done.stdout)
        return printed

    def flush_redis(self) -> None:
        redis.Redis.from_url(self.redis_url).flushdb()

    def wait_for(self, probe: Callable[[], Any], what: str, seconds: float = _PATIENCE_S) -> Any:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            value = probe()
            if value:
                return value
            time.sleep(0.05)
        logs = "\n".join(f"--- {c.name}\n{c.log_tail()}" for c in self.processes.children.values())
        raise AssertionError(f"waited {seconds} s for {what}\n{logs}")

    def _response_key(self) -> str | None:
        try:
            answer = urllib3.request(
                "GET", f"{self.site_url}/.well-known/quorate-response-key", timeout=2.0, retries=False
            )
        except urllib3.exceptions.HTTPError:
            return None
        return str(answer.json()["public_key"]) if answer.status == 200 else None


def with_path(url: str, path: str) -> str:
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, f"/{path}", parts.query, ""))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
