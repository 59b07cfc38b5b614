"""Real nodes on disk around one mailbox, and the requests that are put to them."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from signers.database import open_database
from signers.node import Node, create_node, open_store
from signers.pins import Pin
from signers.requests import REFUSED
from signers.sealing import KdfCost, Secret
from signers.store import Store
from tests.signers.builders import DAY, GROUP, ORGANISATION, VAULT, Builders, key_gen, now_ms, vault_policy
from tests.signers.mailbox import OPEN, SUCCEEDED, Mailbox, MailboxTransport, Request
from wire.identity import HolderCard
from wire.intent import TYPES
from wire.manifest import Manifest
from wire.policy import VaultPolicy

__all__ = ["DAY", "GROUP", "ORGANISATION", "VAULT", "World", "now_ms"]

# The cheapest that libsodium allows: these tests are not about the cost of guessing.
CHEAP = KdfCost(operations=1, memory=8192)
SECRET = Secret("password", b"correct horse battery")

ASK_POLICY = f"""
version = 1
[[rule]]
types = {list(TYPES)}
vaults = ["*"]
action = "ask"
"""
DEMO_POLICY = ASK_POLICY.replace('"ask"', '"auto"').replace("version = 1", "version = 1\ndemo = true")


class World:
    """Nodes by name; `tick` lets each exchange once, in order."""

    def __init__(self, folder: Path, names: Sequence[str], kinds: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.mailbox = Mailbox()
        self.ask = Builders(self)
        self.names = list(names)
        self.nodes: dict[str, Node] = {}
        for name in names:
            store = open_store(self.state(name))
            create_node(store, SECRET, (kinds or {}).get(name, "api"), CHEAP)
            store.set_setting("coordinator", "http://127.0.0.1:1")
            store.set_setting("organisation_id", ORGANISATION)
            (self.state(name) / "policy.toml").write_text(ASK_POLICY)
            self.nodes[name] = self._open(name, store)
        for name in names:
            for other in names:
                if other != name:
                    self.pin(name, self.card(other), other)

    def state(self, name: str) -> Path:
        return self.folder / name

    def card(self, name: str) -> HolderCard:
        return self.nodes[name].store.card()

    def node_id(self, name: str) -> str:
        return self.nodes[name].identity.node_id

    def store(self, name: str) -> Store:
        return self.nodes[name].store

    def pin(self, name: str, card: HolderCard, label: str) -> None:
        node = self.nodes[name]
        keys = card.signing_key, card.encryption_key
        pin = Pin(card.node_id, *keys, card.kind, label, "test", "tester", now_ms())
        node.store.pins.add(pin, node.data_key)

    def _open(self, name: str, store: Store) -> Node:
        identity_id, _ = store.sealed_identity()
        return Node.unlock(store, SECRET, self.state(name), MailboxTransport(self.mailbox, identity_id))

    def restart(self, name: str) -> Node:
        """What a kill and a new start leave: only what is on disk."""
        self.nodes[name].store.close()
        return self.reopen(name)

    def reopen(self, name: str) -> Node:
        self.nodes[name] = self._open(name, Store(open_database(self.state(name))))
        return self.nodes[name]

    def close(self) -> None:
        for node in self.nodes.values():
            node.store.close()

    # requests

    def manifest(self, names: Sequence[str] | None = None, threshold: int = 2, **changes: Any) -> Manifest:
        manifest = Manifest(
            organisation_id=ORGANISATION,
            vault_id=VAULT,
            group_id=GROUP,
            role="main",
            epoch=1,
            threshold=threshold,
            holders=tuple(self.card(name) for name in names or self.names),
        )
        return replace(manifest, **changes)

    def request(
        self, manifest: Manifest | None = None, policy: VaultPolicy | None = None, **changes: Any
    ) -> Request:
        """A valid KeyGen request; `changes` are fields of the intent."""
        manifest = manifest or self.manifest()
        return key_gen(manifest, policy or vault_policy(manifest.vault_id), **changes)

    def open_request(self, **arguments: Any) -> Request:
        return self.mailbox.add(self.request(**arguments))

    # progress

    def sync(self, *names: str) -> None:
        for name in names or self.names:
            self.nodes[name].sync_once(0)

    def voters(self, request: Request) -> list[str]:
        """Names of those who have a vote, in the order of the world."""
        return [name for name in self.names if self.node_id(name) in request.voters]

    def approve(self, request: Request, *names: str) -> None:
        """Show the request to the nodes and let their operators approve it."""
        self.sync(*names)
        for name in names or self.voters(request):
            node = self.nodes[name]
            record = node.store.requests.get(request.digest)
            assert record is not None
            assert record.verdict != REFUSED, (name, record.code, record.message)
            node.approve(record)
            node.deliver()

    def finish(self, request: Request, limit: int = 20) -> None:
        """Exchange until the ceremony is over and every node knows."""
        for _ in range(limit):
            self.sync()
            done = all(not self.store(name).sessions.listed() for name in self.names)
            if request.ceremonies and request.ceremony.state != OPEN and done:
                return
        raise AssertionError(f"not over after {limit} exchanges: {request.state}")

    def run(self, request: Request) -> Request:
        """Everybody approves, and the ceremony runs to its end."""
        self.approve(request)
        self.finish(request)
        assert request.state == SUCCEEDED, (request.ceremony.reason, request.refusals)
        return request

    def keygen(self, names: Sequence[str] | None = None, threshold: int = 2) -> Request:
        """The Main group of these (or all) nodes; the others learn its anchor from the first holder (R6)."""
        names = names or self.names
        request = self.run(self.open_request(manifest=self.manifest(names, threshold)))
        anchor = self.nodes[names[0]].anchor(VAULT)
        for name in self.names:
            if name not in names:
                self.nodes[name].pin_anchor(anchor, checked_how="telephone", pinned_by="tester")
        return request

    def epochs(self, group_id: str = GROUP) -> dict[str, int]:
        """Who holds a share of which certified set of the group."""
        held = {name: self.store(name).shares.active() for name in self.names}
        return {
            name: record.epoch
            for name, sets in held.items()
            for record in sets
            if record.group_id == group_id
        }

    def roots(self, name: str) -> set[str]:
        """The root keys that a node vouches for."""
        keys = self.nodes[name].keys()
        return {root.xpub for key in keys for root in key.root_keys}

    # backups

    def back_up(self, name: str) -> Path:
        """A copy of all that a node has on disk."""
        self.nodes[name].store.close()
        copy = self.folder / f"{name}.backup"
        shutil.copytree(self.state(name), copy)
        self.reopen(name)
        return copy

    def restore(self, name: str, copy: Path) -> Node:
        """The node goes back to its backup."""
        self.nodes[name].store.close()
        shutil.rmtree(self.state(name))
        shutil.copytree(copy, self.state(name))
        return self.reopen(name)
