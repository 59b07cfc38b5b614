"""KeyGen through bytes only: everybody ends with one certificate, and any t shares are the root key."""

from dataclasses import replace
from itertools import combinations, islice

import nacl.bindings as sodium
import pytest
from embit import bip32 as independent

from mpc.certificate import Certificate
from mpc.curves import curve_named
from mpc.dealing import Dealing, find_culprit
from mpc.errors import InvalidParameters, WrongState
from mpc.keyshare import KeyShare
from mpc.protocol import Machine
from tests.mpc.ceremony import Ceremony, complete, interpolate_secret, make_context, signer

GROUPS = pytest.mark.parametrize(("threshold", "size"), [(2, 2), (2, 3), (3, 5), (5, 9)])


@GROUPS
def test_all_participants_hold_the_same_valid_certificate(threshold: int, size: int) -> None:
    ceremony = complete(threshold, size)
    encoded = {certificate.encode() for certificate in ceremony.certificates.values()}
    assert len(ceremony.certificates) == size
    assert len(encoded) == 1
    certificate = Certificate.parse(encoded.pop())
    certificate.verify()
    assert certificate.statement.context == ceremony.context
    assert all(machine.finished for machine in ceremony.machines.values())
    assert find_culprit(ceremony.context, ceremony.sent) is None


@GROUPS
def test_any_threshold_of_stored_shares_gives_the_root_key_and_fewer_do_not(
    threshold: int, size: int
) -> None:
    ceremony = complete(threshold, size)
    stored = {index: KeyShare.parse(share.encode()) for index, share in ceremony.shares.items()}
    statement = ceremony.certificates[1].statement
    for name in ("secp256k1", "ed25519"):
        curve, root = curve_named(name), statement.result(name).root_key
        for quorum in islice(combinations(stored, threshold), 12):
            secret = interpolate_secret(curve, {index: stored[index].secret_share(name) for index in quorum})
            assert curve.base_multiply(curve.encode_int(secret)).encoded == root
        too_few = {index: stored[index].secret_share(name) for index in islice(stored, threshold - 1)}
        secret = interpolate_secret(curve, too_few)
        assert curve.base_multiply(curve.encode_int(secret)).encoded != root


def test_a_single_holder_is_possible_where_a_caller_allows_it() -> None:
    ceremony = Ceremony(make_context(1, 1, allow_single=True)).run_until(4)
    ceremony.certificates[1].verify()
    ceremony.shares[1].verify()


@pytest.mark.parametrize("curve", ["secp256k1", "ed25519"])
def test_one_curve_alone_works_too(curve: str) -> None:
    ceremony = complete(2, 3, curves=(curve,))
    certificate = ceremony.certificates[2]
    certificate.verify()
    assert list(certificate.statement.root_extended_public_keys()) == [curve]


def test_the_root_extended_public_keys_parse_with_an_independent_library() -> None:
    statement = complete(2, 3).certificates[1].statement
    keys = statement.root_extended_public_keys()
    theirs = independent.HDKey.from_string(keys["secp256k1"])
    assert theirs.key.sec() == statement.result("secp256k1").root_key
    assert theirs.chain_code == statement.result("secp256k1").chain_code
    assert theirs.depth == 0
    assert keys["ed25519"].startswith("xpub")


def test_the_ed25519_root_key_verifies_signatures_of_the_shared_secret() -> None:
    # The point of it all: RFC 8032 verification accepts a signature by the secret that nobody holds.
    ceremony = complete(2, 3)
    curve = curve_named("ed25519")
    public = ceremony.certificates[1].statement.result("ed25519").root_key
    secret = curve.encode_int(
        interpolate_secret(curve, {i: ceremony.shares[i].secret_share("ed25519") for i in (1, 3)})
    )
    nonce = curve.encode_int(99)
    commitment = curve.base_multiply(nonce).encoded
    challenge = curve.scalar_from_uniform(sodium.crypto_hash_sha512(commitment + public + b"message"))
    response = curve.scalar_add(curve.scalar_multiply(challenge, secret), nonce)
    assert sodium.crypto_sign_open(commitment + response + b"message", public) == b"message"


def test_chain_codes_differ_by_curve_and_by_run() -> None:
    codes = [
        result.chain_code for _ in range(2) for result in complete(2, 2).certificates[1].statement.curves
    ]
    assert len(set(codes)) == 4


def test_notes_reach_every_participant_after_round_0() -> None:
    ceremony = Ceremony(make_context(2, 3)).start()
    assert ceremony.machines[1].notes == {}
    ceremony.run_round(0)
    expected = {index: f"notes {index}".encode() for index in (1, 2, 3)}
    assert all(machine.notes == expected for machine in ceremony.machines.values())


def test_a_key_gen_is_a_machine_as_the_runner_knows_it() -> None:
    machine: Machine
    machine, step = Dealing.start(make_context(2, 2), 1, signer(1))
    assert (machine.round, machine.finished, len(step.outgoing)) == (0, False, 1)


def test_the_pending_share_comes_with_the_prepared_signature_and_only_there() -> None:
    ceremony = Ceremony(make_context(2, 3)).run_until(1)
    assert not ceremony.shares
    ceremony.run_round(1)
    assert set(ceremony.shares) == {1, 2, 3}
    pending = dict(ceremony.shares)
    ceremony.run_round(2).run_round(3)
    assert ceremony.shares == pending


@pytest.mark.parametrize("missing", [(2,), (3,), (2, 3)])
def test_11_a_round_needs_every_body(missing: tuple[int, ...]) -> None:
    ceremony = Ceremony(make_context(2, 3)).start()
    machine, state = ceremony.machines[1], ceremony.machines[1].to_bytes()
    bodies = {index: body for index, body in ceremony.inbox(1, 0).items() if index not in missing}
    for wrong in (bodies, {**ceremony.inbox(1, 0), 4: b""}, {**ceremony.inbox(1, 0), 1: b""}):
        with pytest.raises(InvalidParameters, match="bodies"):
            machine.receive(wrong)
    assert machine.to_bytes() == state


def test_6_a_finished_run_takes_no_more_messages() -> None:
    ceremony = complete(2, 2)
    with pytest.raises(WrongState):
        ceremony.machines[1].receive(ceremony.inbox(1, 3))
    with pytest.raises(WrongState):
        ceremony.machines[1].to_bytes()


def test_start_refuses_what_it_cannot_run() -> None:
    context = make_context(2, 2)
    with pytest.raises(InvalidParameters, match="protocol"):
        Dealing.start(replace(context, protocol="keygen/9"), 1, signer(1))
    for index in (0, 3, True):
        with pytest.raises(InvalidParameters, match="index"):
            Dealing.start(context, index, signer(1))
    with pytest.raises(InvalidParameters, match="notes"):
        Dealing.start(context, 1, signer(1), notes=bytes(64 * 1024 + 1))
    with pytest.raises(InvalidParameters, match="random"):
        Dealing.start(context, 1, signer(1), random=lambda size: bytes(size - 1))


def test_12_signing_with_a_key_that_is_not_the_rosters_is_refused() -> None:
    ceremony = Ceremony(make_context(2, 2)).run_until(1)
    ceremony.machines[1]._sign = signer(2)
    with pytest.raises(InvalidParameters, match="sign"):
        ceremony.deliver(1, 1)
    assert ceremony.machines[1].round == 1
