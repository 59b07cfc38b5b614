"""N15: what is sealed opens with the right secret, in its own place, and undamaged; else a code says which
failed."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from nacl.pwhash import argon2id

from signers import sealing
from signers.errors import NodeError
from signers.identity import Identity
from signers.sealing import DataKey, KdfCost, Keyring, Place, Secret
from signers.shares import share_place
from tests.signers.world import CHEAP, SECRET, World

PLACE = Place("share", "node-1", "vault", "vault-1", "group-1", 1, "session-1")


@pytest.fixture
def data_key() -> DataKey:
    return DataKey(bytes(range(32)))


def code_of(call: object, *arguments: object) -> str:
    with pytest.raises(NodeError) as caught:
        call(*arguments)  # type: ignore[operator]
    return caught.value.code


def test_what_is_sealed_opens_again(data_key: DataKey) -> None:
    assert data_key.open(PLACE, data_key.seal(PLACE, b"secret")) == b"secret"


def test_equal_plaintexts_are_sealed_differently(data_key: DataKey) -> None:
    assert data_key.seal(PLACE, b"secret") != data_key.seal(PLACE, b"secret")


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("kind", "session"),
        ("node_id", "node-2"),
        ("domain", "local"),
        ("vault_id", "vault-2"),
        ("group_id", "group-2"),
        ("epoch", 2),
        ("session_id", "session-2"),
    ],
)
def test_n15_a_record_copied_elsewhere_says_so(data_key: DataKey, part: str, value: object) -> None:
    record = data_key.seal(PLACE, b"secret")
    elsewhere = replace(PLACE, **{part: value})  # type: ignore[arg-type]
    assert code_of(data_key.open, elsewhere, record) == f"sealed_for_another_{part}"


def test_n15_a_header_rewritten_to_fit_does_not_authenticate(data_key: DataKey) -> None:
    record = data_key.seal(PLACE, b"secret")
    elsewhere = replace(PLACE, vault_id="vault-2")
    forged = record.replace(b"vault-1", b"vault-2")
    assert forged != record
    assert code_of(data_key.open, elsewhere, forged) == "sealed_corrupt"


def test_n15_every_flipped_byte_is_noticed(data_key: DataKey) -> None:
    record = data_key.seal(PLACE, b"secret")
    for at in range(len(record)):
        damaged = record[:at] + bytes([record[at] ^ 1]) + record[at + 1 :]
        with pytest.raises(NodeError):
            data_key.open(PLACE, damaged)


def test_n15_truncated_and_extended_records_are_malformed(data_key: DataKey) -> None:
    record = data_key.seal(PLACE, b"secret")
    for damaged in (b"", record[:-1], record + b"\0", os.urandom(64)):
        assert code_of(data_key.open, PLACE, damaged) == "sealed_malformed"


def test_n15_the_wrong_password_has_a_code_of_its_own() -> None:
    keyring = Keyring.create(SECRET, cost=CHEAP)
    assert code_of(keyring.unlock, Secret("password", b"another password")) == "wrong_password"
    assert code_of(keyring.unlock, Secret("key-file", b"k" * 32)) == "wrong_secret_kind"


def test_n15_the_wrong_key_file_has_a_code_of_its_own() -> None:
    keyring = Keyring.create(Secret("key-file", b"a" * 32))
    assert code_of(keyring.unlock, Secret("key-file", b"b" * 32)) == "wrong_key_file"


def test_n15_a_damaged_keyring_is_not_called_a_wrong_password() -> None:
    keyring = Keyring.create(SECRET, cost=CHEAP)
    damaged = replace(keyring, sealed_key=keyring.sealed_key[:-1] + bytes([keyring.sealed_key[-1] ^ 1]))
    assert code_of(damaged.unlock, SECRET) == "keyring_corrupt"


def test_the_default_cost_is_argon2id_moderate_and_is_stored() -> None:
    assert KdfCost() == KdfCost(argon2id.OPSLIMIT_MODERATE, argon2id.MEMLIMIT_MODERATE)
    assert Keyring.create(SECRET, cost=CHEAP).cost == CHEAP


def test_a_short_password_is_refused() -> None:
    assert code_of(sealing.password, "eleven char") == "password_too_short"
    assert sealing.password("twelve chars").kind == "password"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o777])
def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    sealing.make_key_file(path)
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(mode)
    assert code_of(sealing.read_key_file, path) == "file_not_private"
    assert code_of(sealing.read_password_file, path) == "file_not_private"


@pytest.mark.parametrize("content", ["", "abcd", "zz" * 32, "ab" * 33])
def test_a_key_file_must_hold_32_bytes(tmp_path: Path, content: str) -> None:
    path = tmp_path / "key"
    path.write_text(content)
    path.chmod(0o600)
    assert code_of(sealing.read_key_file, path) == "bad_key_file"


def test_an_existing_key_file_is_never_overwritten(tmp_path: Path) -> None:
    first = sealing.make_key_file(tmp_path / "key")
    assert sealing.make_key_file(tmp_path / "key") == first


def test_changing_the_password_keeps_everything(world: World) -> None:
    store = world.store("a")
    new = Secret("key-file", b"n" * 32)
    store.save_keyring(store.keyring().reseal(SECRET, new))
    assert code_of(store.keyring().unlock, SECRET) == "wrong_secret_kind"
    identity = Identity.open(store.keyring().unlock(new), *store.sealed_identity())
    assert identity.node_id == world.node_id("a")


def test_secrets_are_not_in_repr(data_key: DataKey) -> None:
    assert "horse" not in repr(SECRET)
    assert repr(data_key) == "DataKey(...)"
    identity = Identity.generate()
    assert repr(identity) == f"Identity({identity.node_id})"


def copy_share(world: World, **changes: str) -> str:
    """Move node a's share row elsewhere, as somebody who can write to its database would; the code of the
    refusal."""
    world.keygen()
    database = world.store("a").database
    for column, value in changes.items():
        database.execute(f"UPDATE share_sets SET {column} = ?", (value,))  # noqa: S608
    return code_of(world.nodes["a"].keys)


@pytest.mark.parametrize("column", ["vault_id", "group_id", "domain", "session_id"])
def test_n15_a_share_moved_in_the_database_does_not_open(world: World, column: str) -> None:
    assert copy_share(world, **{column: "moved"}) == f"sealed_for_another_{column}"


def test_n15_a_share_copied_to_another_node_does_not_open(world: World) -> None:
    world.keygen()
    stolen = world.store("b").shares.final()[0]
    thief = world.nodes["a"]
    # Node a does not have b's data key; even with it, the place would be another.
    assert (
        code_of(thief.data_key.open, share_place(stolen, world.node_id("b")), stolen.sealed)
        == "sealed_corrupt"
    )
    own_place = share_place(stolen, thief.identity.node_id)
    code = code_of(world.nodes["b"].data_key.open, own_place, stolen.sealed)
    assert code == "sealed_for_another_node_id"


def test_n15_a_certificate_of_another_key_is_noticed(make_world: object) -> None:
    first, second = make_world("a", "b"), make_world("a", "b")  # type: ignore[operator]
    first.keygen()
    second.keygen()
    foreign = second.store("a").shares.final()[0].certificate
    first.store("a").database.execute("UPDATE share_sets SET certificate = ?", (foreign,))
    assert code_of(first.nodes["a"].keys) == "bad_share_set"
