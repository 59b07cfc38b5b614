"""The demo itself: what `bin/quickstart` does, step by step.

Every step is recorded, so a second run adds nothing.
"""

import json
import os
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3

from quickstart.api import Api
from quickstart.nodes import DemoNode, in_parallel
from quickstart.processes import ROOT, Processes, python
from quickstart.record import Record
from quickstart.site_setup import NODES
from quickstart.story import Story


class DemoFailed(Exception):
    """The demo cannot go on; the message says why and what to do."""


@dataclass(frozen=True)
class Options:
    """state: folder of the demo; port: of the site, 0 to choose one, None for the default or the last one."""

    state: Path
    port: int | None
    approve: str


DEFAULT_PORT = 8700


class Demo:
    """A whole Quorate on loopback in one state folder."""

    def __init__(self, options: Options, say: Callable[[str], None]) -> None:
        self._options = options
        self._say = say
        self._started = time.monotonic()
        state = options.state
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.record = Record(state / "quickstart.json")
        self.processes = Processes(state / "logs")
        self._nodes = {name: DemoNode(name, state / "nodes" / name) for name in (*NODES, "service")}
        (state / "nodes").mkdir(mode=0o700, exist_ok=True)
        self._environment = {
            "DJANGO_SETTINGS_MODULE": "config.settings.embedded",
            "QUORATE_STATE": str(state / "site"),
        }

    def run(self) -> None:
        """Set up what is missing, start every process and run the main job unless it is done already."""
        port = self._choose_port()
        self._environment["QUORATE_PORT"] = str(port)
        setup = self._set_up_site()
        self._start_site(port, setup)
        self._create_nodes(port, setup["codes"])
        self._start_nodes()
        api = Api(self.record.data["base_url"], setup["api_secret"], self.record.data["response_public_key"])
        story = Story(
            api=api,
            record=self.record,
            nodes=self._nodes,
            processes=self.processes,
            say=self._say,
            by_hand=self._options.approve == "manual",
            way_in=self.way_in,
        )
        if self.record.data.get("done"):
            self._say("This state folder holds a finished demo: nothing is added.")
        else:
            story.run()
        story.check_keys()
        if not self.record.data.get("done"):
            self.record.update(demo_seconds=round(time.monotonic() - self._started, 1), done=True)

    def _choose_port(self) -> int:
        port = self._options.port
        if port is None:
            port = self.record.data.get("port", DEFAULT_PORT)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                raise DemoFailed(
                    f"Port {port} on 127.0.0.1 cannot be used ({error.strerror}). "
                    "Name another with --port P, or --port 0 to have one chosen."
                ) from error
            return int(probe.getsockname()[1])

    def _set_up_site(self) -> dict[str, Any]:
        saved = self._options.state / "setup.json"
        if not saved.exists():
            self._say("Preparing the coordinator's database (SQLite) ...")
            if (self._options.state / "site" / "coordinator.sqlite3").exists():
                raise DemoFailed(
                    f"{self._options.state} holds a set-up that was interrupted. "
                    "Remove the folder or name another with --state."
                )
            people = ["--people"] if self._options.approve == "manual" else []
            done = subprocess.run(
                python("-m", "quickstart.site_setup", *people),
                cwd=ROOT,
                env=self._full_environment(),
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                raise DemoFailed(f"The database could not be prepared:\n{done.stderr.strip()}")
            Record(saved).update(**json.loads(done.stdout))
        return Record(saved).data

    def way_in(self, username: str) -> str:
        """A one-time code, good for an hour, with which a person opens an account of the site."""
        done = subprocess.run(
            python("manage.py", "recover_account", "--username", username),
            cwd=ROOT,
            env=self._full_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise DemoFailed(f"No code for {username}:\n{done.stderr.strip()}")
        return str(json.loads(done.stdout)["code"])

    def _full_environment(self) -> dict[str, str]:
        return {**os.environ, **self._environment}

    def _start_site(self, port: int, setup: dict[str, Any]) -> None:
        self._say(
            f"Starting the coordinator on http://127.0.0.1:{port} (web process and Celery worker in one) ..."
        )
        self._environment["SITE_URL"] = f"http://localhost:{port}"
        site = python("-m", "uvicorn", "config.asgi:application", "--host", "127.0.0.1", "--port", str(port))
        # Nothing stands in front of it: a forwarded address would be the caller's own invention.
        self.processes.start(
            "site",
            (*site, "--no-access-log", "--no-proxy-headers", "--timeout-graceful-shutdown", "3"),
            self._environment,
        )
        origin = f"http://127.0.0.1:{port}"
        answer = self._wait_for(
            lambda: _get_json(f"{origin}/.well-known/quorate-response-key"), "the site to answer", 30
        )
        self.record.update(
            port=port,
            base_url=f"{origin}/v2",
            api_secret=setup["api_secret"],
            api_public_key=setup["api_public_key"],
            response_public_key=answer["public_key"],
            admin_url=f"http://localhost:{port}/admin/",
            admin_user=setup["admin_user"],
            recover_url=f"http://localhost:{port}/account/recover",
            people=setup.get("people", []),
            done=self.record.data.get("done", False),
            results=self.record.data.get("results", []),
        )

    def _create_nodes(self, port: int, codes: dict[str, str]) -> None:
        if "nodes" in self.record.data:
            return
        self._say(
            "Making five signer nodes and the service signer; each makes its own identity and enrols ..."
        )
        self._say(
            "  DEMO POLICY: these nodes approve by rule, without a person. Never do this with real keys."
        )
        nodes = list(self._nodes.values())
        action = "auto" if self._options.approve == "auto" else "ask"

        def create(node: DemoNode) -> str:
            service = node.name == "service"
            return node.create(
                coordinator=f"http://127.0.0.1:{port}",
                code=codes[node.name],
                service=service,
                action="auto" if service else action,
            )

        node_ids = dict(zip(self._nodes, in_parallel(create, nodes), strict=True))
        self._say("Every node pins the others ...")
        in_parallel(lambda node: node.pin(nodes), nodes)
        self.record.update(
            service_node_id=node_ids["service"],
            nodes=[
                {
                    "name": name,
                    "tss_node_id": node_ids[name],
                    "state_dir": str(self._nodes[name].folder),
                    "pid": None,
                }
                for name in NODES
            ],
        )

    def _start_nodes(self) -> None:
        coordinator = f"http://127.0.0.1:{self.record.data['port']}"
        lost = self.record.data.get("lost_node")
        for node in self._nodes.values():
            if node.name != lost:
                self.processes.start(f"node-{node.name}", node.command("run", "--coordinator", coordinator))
        for entry in self.record.data["nodes"]:
            child = self.processes.children.get(f"node-{entry['name']}")
            entry["pid"] = child.pid if child else None
        self.record.update(nodes=self.record.data["nodes"], site_pid=self.processes.children["site"].pid)

    def _wait_for(self, probe: Callable[[], Any], what: str, seconds: float) -> Any:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.processes.check()
            value = probe()
            if value:
                return value
            time.sleep(0.1)
        raise DemoFailed(
            f"Waited {seconds:.0f} seconds for {what}. The logs are in {self._options.state / 'logs'}."
        )


def _get_json(url: str) -> Any:
    try:
        response = urllib3.request("GET", url, timeout=2.0, retries=False)
    except urllib3.exceptions.HTTPError:
        return None
    return response.json() if response.status == 200 else None
