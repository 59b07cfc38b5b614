"""Real nodes on disk around one mailbox, and the requests that are put to them."""

import secrets
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from signers.database import open_database
from signers.node import Node, create_node, open_store
from signers.pins import Pin
from signers.sealing import KdfCost, Secret
from signers.store import Store
from tests.signers.mailbox import OPEN, Mailbox, MailboxTransport, Request
from wire.identity import HolderCard
from wire.intent import CURVES, KeyGenIntent, Requester, Target
from wire.manifest import Manifest
from wire.policy import VaultPolicy

# The cheapest that libsodium allows: these tests are not about the cost of guessing.
CHEAP = KdfCost(operations=1, memory=8192)
SECRET = Secret("password", b"correct horse battery")
DAY = 24 * 3600 * 1000
ORGANISATION, VAULT, GROUP = "org-1", "vault-1", "group-1"

ASK_POLICY = """
version = 1
[[rule]]
types = ["KeyGen"]
vaults = ["*"]
action = "ask"
"""
DEMO_POLICY = ASK_POLICY.replace('"ask"', '"auto"').replace("version = 1", "version = 1\ndemo = true")


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class World:
    """Nodes by name; `tick` lets each exchange once, in order."""

    def __init__(self, folder: Path, names: Sequence[str], kinds: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.mailbox = Mailbox()
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
        policy = policy or VaultPolicy(manifest.vault_id, ("KeyGen",), DAY)
        not_before = now_ms() - 1000
        intent = KeyGenIntent(
            organisation_id=manifest.organisation_id,
            vault_id=manifest.vault_id,
            request_id=f"20260101000000{secrets.randbelow(10**18):018}",
            target=Target(
                group_id=manifest.group_id,
                role=manifest.role,
                manifest_hash=manifest.hash(),
                threshold=manifest.threshold,
                participants=manifest.participants,
                epoch=manifest.epoch,
            ),
            curves=CURVES,
            protocol="keygen/1",
            min_software="0.1.0",
            policy_hash=policy.hash(),
            requester=Requester("robot", "robot-1", "ab" * 32),
            not_before=not_before,
            expires=not_before + DAY,
            nonce=secrets.token_bytes(32),
            description="A key for the tests",
        )
        return Request(replace(intent, **changes), manifest, policy)

    def open_request(self, **arguments: Any) -> Request:
        return self.mailbox.add(self.request(**arguments))

    # progress

    def sync(self, *names: str) -> None:
        for name in names or self.names:
            self.nodes[name].sync_once(0)

    def approve(self, request: Request, *names: str) -> None:
        """Show the request to the nodes and let their operators approve it."""
        for name in names or self.names:
            node = self.nodes[name]
            node.sync_once(0)
            record = node.store.requests.get(request.digest)
            assert record is not None
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

    def keygen(self) -> Request:
        request = self.open_request()
        self.approve(request)
        self.finish(request)
        return request
