"""A real node, its holder's passkey and the coordinator: from the card to the vote that the node follows."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from signers.answers import Answer
from signers.node import Node, create_node, open_store
from signers.pins import Pin
from tests.accounts.conftest import Person, enter
from tests.accounts.test_votes import vote
from tests.signers.test_passkeys import ALONE
from tests.signers.world import CHEAP, SECRET, now_ms
from tests.tss.nodes import SYSTEM, Site, fresh
from tss import node_calls
from vaults import services as vaults
from vaults.models import Node as NodeRow
from vaults.services import HolderChoice
from wire.canonical import Json, canonical_bytes, parse_json
from wire.node_request import sign_request

SYNC = "/node/v1/sync"


class Direct:
    """The node API without HTTP: the same signed bytes, in the test's transaction."""

    def __init__(self) -> None:
        self.node: Node | None = None

    def sync(self, body: dict[str, Json], wait_ms: int) -> Answer:
        assert self.node is not None
        identity, now = self.node.identity, time.time_ns() // 1_000_000
        content = canonical_bytes({**body, "wait_ms": wait_ms})
        headers = sign_request(
            identity.sign, node_id=identity.node_id, method="POST", path=SYNC, time=now, body=content
        )
        signature = bytes.fromhex(headers["X-Quorate-Signature"])
        done = node_calls.sync(node_calls.Call(identity.node_id, SYNC, now, signature, content))
        answer = {**done.news.answer(), "audit": done.audit, "errors": done.errors, "server_time": now}
        return Answer.parse(parse_json(json.dumps(answer).encode(), max_bytes=16 << 20))


@pytest.fixture
def node(site: Site, tmp_path: Path) -> Iterator[Node]:
    """Enrolled, and has pinned the site's other signers."""
    store = open_store(tmp_path / "node")
    create_node(store, SECRET, "api", CHEAP)
    (tmp_path / "node" / "policy.toml").write_text(ALONE)
    transport = Direct()
    transport.node = made = Node.unlock(store, SECRET, tmp_path / "node", transport)
    store.set_setting("coordinator", "http://127.0.0.1:1")
    store.set_setting("organisation_id", str(site.organisation.id))
    code = vaults.create_enrolment_code(actor=SYSTEM, organisation=site.organisation, name="Real")
    vaults.enrol_node(code=code, holder_card=store.card().to_json(), software="0.1.0")
    for each in site.signers:
        keys = each.card.signing_key, each.card.encryption_key
        made.store.pins.add(
            Pin(each.node_id, *keys, "api", each.name, "test", "tester", now_ms()), made.data_key
        )
    yield made
    store.close()


def test_r10_from_the_passkey_to_the_nodes_own_signature(site: Site, node: Node) -> None:
    own_id = node.identity.node_id
    alice: Person = enter(site, "alice")
    vaults.assign_node_owner(actor=SYSTEM, node=NodeRow.objects.get(pk=own_id), owner=alice.member)
    assert alice.register(alice.device)[0] == 200
    node.add_passkey(alice.device.credential("blue key"))
    node.set_method("passkey")
    node.sync_once(0)
    assert NodeRow.objects.get(pk=own_id).card_version == 3
    members = [own_id, *(each.node_id for each in site.signers[:2])]
    group = vaults.create_group(
        actor=site.actor,
        vault=site.vault,
        type="MainGroup",
        participants=3,
        threshold=2,
        holders=[HolderChoice(tss_node_id=each) for each in members],
    )
    request = site.request(group)
    node.sync_once(0)
    assert [each.node_id for each in request.approvals.all()] == []
    for signer in site.signers[:2]:
        signer.decide(request)
    status, done = vote(alice, request)
    assert (status, done["state"]) == (200, "AwaitingApproval")
    # It hears of the vote, and its own signature goes with the next call.
    node.sync_once(0)
    node.sync_once(0)
    assert fresh(request).state == "Approved"
    kinds = request.approvals.filter(node=own_id).values_list("kind", flat=True)
    assert sorted(kinds) == ["node", "passkey"]
    ceremony = site.start(fresh(request))
    node.sync_once(0)
    # All checks of the start passed: the first message is in the mailbox.
    node.sync_once(0)
    assert ceremony.messages.filter(round=0).count() == 1, node.store.log_entries()
