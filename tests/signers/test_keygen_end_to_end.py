"""Real nodes make a key with each other, and vouch for it from their own stores."""

from pathlib import Path

import pytest
from embit import bip32

from mpc.certificate import Certificate
from mpc.keyshare import KeyShare
from signers.outcome import expected_keys
from signers.shares import share_place
from tests.signers.mailbox import SUCCEEDED
from tests.signers.world import DEMO_POLICY, World


@pytest.mark.parametrize(("count", "threshold"), [(2, 2), (3, 2), (5, 3)])
def test_all_nodes_hold_the_same_root_keys(tmp_path: Path, count: int, threshold: int) -> None:
    world = World(tmp_path, [f"n{i}" for i in range(count)])
    request = world.open_request(manifest=world.manifest(threshold=threshold))
    world.approve(request)
    world.finish(request)

    assert request.state == SUCCEEDED
    held = [world.nodes[name].keys() for name in world.names]
    assert all(len(keys) == 1 for keys in held)
    assert {keys[0].root_keys for keys in held} == {held[0][0].root_keys}
    assert sorted(keys[0].index for keys in held) == list(range(1, count + 1))
    assert {(keys[0].threshold, keys[0].participants) for keys in held} == {(threshold, count)}
    certificate = Certificate.parse(request.ceremony.certificate)
    assert held[0][0].certificate_hash == certificate.hash().hex()
    secp, ed = held[0][0].root_keys
    parsed = bip32.HDKey.from_base58(secp.xpub)
    assert parsed.key.sec().hex() == secp.public_key
    assert (secp.curve, ed.curve) == ("secp256k1", "ed25519")


def test_each_node_remembers_the_anchor(tmp_path: Path) -> None:
    world = World(tmp_path, ["a", "b", "c"])
    request = world.keygen()
    certificate = Certificate.parse(request.ceremony.certificate)
    for name in world.names:
        anchor = world.nodes[name].anchor(request.intent.vault_id)
        assert anchor.certificate_hash == certificate.hash()
        assert anchor.policy_hash == request.policy.hash()
        assert anchor.main_group_id == request.intent.target.group_id
        assert anchor.root_keys == expected_keys(certificate.statement)


def test_the_demo_policy_approves_by_itself(tmp_path: Path) -> None:
    world = World(tmp_path, ["a", "b"])
    for name in world.names:
        (world.state(name) / "policy.toml").write_text(DEMO_POLICY)
    request = world.open_request()
    world.finish(request)
    assert request.state == SUCCEEDED


def test_no_share_or_session_secret_is_on_disk_in_the_clear(tmp_path: Path) -> None:
    world = World(tmp_path, ["a", "b"])
    request = world.open_request()
    world.approve(request)
    world.finish(request)
    for name in world.names:
        node = world.nodes[name]
        record = node.store.shares.final()[0]

        share = KeyShare.parse(node.data_key.open(share_place(record, node.identity.node_id), record.sealed))
        files = b"".join(path.read_bytes() for path in world.state(name).iterdir() if path.is_file())
        assert record.sealed in files  # the scan sees what is stored
        for scalar in share.secret_shares:
            assert scalar not in files
            assert scalar.hex().encode() not in files
