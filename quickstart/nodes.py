"""The demo's signer nodes, driven through the same command line that an operator uses."""

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from quickstart.processes import ROOT, python
from wire.intent import TYPES

# R11: only a demo policy may approve all of this without a person, and only on loopback.
DEMO_POLICY = """\
# DEMO POLICY - written by bin/quickstart. It says yes to everything without asking anybody.
# Never use it for a key that holds money.
version = 1
demo = true
passkey_alone = ["KeyGen", "Refresh"]

[[rule]]
types = {types}
vaults = ["*"]
organisations = ["*"]
minimum_threshold = 2
action = "{action}"
"""


class NodeError(Exception):
    """A node command failed; the message is what it printed."""


class DemoNode:
    """A node's state folder and the commands on it.

    database: a postgresql:// address; empty: SQLite in the folder.
    """

    def __init__(self, name: str, folder: Path, database: str = "") -> None:
        self.name = name
        self.database = database
        self.folder = folder
        self.key_file = folder.parent / f"{name}.key"

    def command(self, *arguments: str) -> tuple[str, ...]:
        """The argument vector of a `signer` command on this node."""
        base = python("-m", "signers", "--state", str(self.folder), "--key-file", str(self.key_file))
        return (*base, *(("--database", self.database) if self.database else ()), *arguments)

    def call(self, *arguments: str) -> str:
        """Run a command and return what it printed. Raises NodeError."""
        done = subprocess.run(
            self.command(*arguments), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
        if done.returncode != 0:
            raise NodeError(f"node {self.name}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def card(self) -> Path:
        return self.folder.parent / f"{self.name}.card.json"

    def create(self, *, coordinator: str, code: str, service: bool, action: str) -> str:
        """Make the identity, write the demo policy and enrol; returns the node id."""
        if not (self.folder / "node.sqlite3").exists():
            self.call("init", "--kind", "service" if service else "api")
        policy = DEMO_POLICY.format(types=json.dumps(TYPES), action=action)
        (self.folder / "policy.toml").write_text(policy)
        self.call("enrol", coordinator, code)
        card = self.call("info", "--json")
        self.card().write_text(card)
        return str(json.loads(card)["card"]["node_id"])

    def pin(self, peers: "list[DemoNode]") -> None:
        """R5: pin the other nodes, as their operators would after comparing fingerprints in person."""
        cards = [str(peer.card()) for peer in peers if peer is not self]
        self.call("pin", *cards, "--checked-how", "quickstart made all of these nodes itself")

    def held_keys(self) -> list[dict[str, Any]]:
        """The active share sets in the node's own store (R3), as `keys --json` prints them."""
        printed: list[dict[str, Any]] = json.loads(self.call("keys", "--json"))
        return printed

    def root_public_keys(self, group_id: str, epoch: int) -> dict[str, str]:
        """Curve -> root extended public key of which the node holds a certified share of this set."""
        return {
            root["curve"].upper(): root["xpub"]
            for key in self.held_keys()
            if (key["group_id"], key["epoch"]) == (group_id, epoch)
            for root in key["root_keys"]
        }

    def export_anchor(self, vault_id: str) -> Path:
        """Write the anchor of a key that this node holds to a file, for those who join it (R6)."""
        path = self.folder.parent / f"{vault_id}.anchor.json"
        path.write_text(self.call("anchor", "export", vault_id))
        return path

    def pin_anchor(self, anchor: Path) -> None:
        """R6: as the operator would after comparing its words with an existing holder."""
        self.call("anchor", "pin", str(anchor), "--checked-how", "quickstart took it from the holder itself")


def in_parallel(work: Any, items: list[Any]) -> list[Any]:
    """Call `work` on every item, a few at a time; the first error is raised."""
    with ThreadPoolExecutor(max_workers=3) as pool:
        return list(pool.map(work, items))
