"""Passkey credentials on cards and votes signed by them: one form, one meaning, strict (R7, R9)."""

import base64
import json
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from tests.accounts.authenticator import PRESENT, VERIFIED, Authenticator
from tests.wire.builders import NOW, card, intent, main_group, signer
from wire.assertion import PasskeyError
from wire.ballot import check_passkey, complete, holder_cards
from wire.credential import ALGORITHMS, EDDSA, ES256, Credential
from wire.fields import WireError
from wire.identity import HolderCard
from wire.manifest import Manifest
from wire.passkey import PasskeyApproval, is_passkey

INTENT = intent()
DIGEST = INTENT.digest()
ALICE = card("alice").node_id
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def authenticator(name: str = "alice", algorithm: str = ES256) -> Authenticator:
    return Authenticator(
        algorithm, id=sha256(f"id {name}".encode()).digest(), seed=sha256(f"key {name}".encode()).digest()
    )


def with_passkeys(
    name: str, *credentials: Credential, method: str = "passkey", version: int = 2
) -> HolderCard:
    unsigned = replace(card(name, version=version), method=method, credentials=credentials)
    return replace(unsigned, signature=signer(name)(unsigned.signed_bytes()))


def vote(device: Authenticator | None = None, **changes: Any) -> PasskeyApproval:
    fields: dict[str, Any] = {"digest": DIGEST, "node_id": ALICE, "time": NOW + 1} | changes
    return (device or authenticator()).vote(**fields)


def refused(given: PasskeyApproval, device: Authenticator | None = None) -> str:
    with pytest.raises(PasskeyError) as caught:
        given.verify((device or authenticator()).credential())
    return caught.value.code


def test_published_vectors() -> None:
    """The values that docs/protocol.md publishes; a change here is a change of the protocol."""
    credential = authenticator().credential("blue key")
    assert credential.public_key.hex() == "0366d2d0e56082a74d20e9657466c7ace7b0120e9ed6cc8a9cb46c6f6f821e8fb3"
    assert credential.words() == "chest office gasp rally confirm pond below empty autumn dirt wish jewel"
    assert vote().challenge().hex() == "d9606f8ca6b34a9152e1464c3ebf4b8ba63205df40ac8dbfd42bd9c2816524f9"
    holder = with_passkeys("alice", credential)
    assert (
        sha256(holder.signed_bytes()).hexdigest()
        == "8b9dd6c39a3806ea02a14295a15a9b39965bc8603515fa1b6eca756260f48562"
    )


def test_a_card_without_passkeys_has_the_bytes_that_it_always_had() -> None:
    assert card("alice").body()["credentials"] == []
    assert set(card("alice").body()) == {
        *("v", "node_id", "signing_key", "encryption_key", "kind", "version", "method", "credentials")
    }


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_card_with_passkeys_is_read_back(algorithm: str) -> None:
    holder = with_passkeys("alice", authenticator(algorithm=algorithm).credential("blue key"), method="both")
    assert HolderCard.from_json(json.loads(json.dumps(holder.to_json()))) == holder


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", ""),
        ("id", "00" * 256),
        ("algorithm", "RS256"),
        ("public_key", "02" + "ff" * 32),
        ("public_key", "04" + "11" * 32),
        ("rp_id", "Localhost"),
        ("origins", []),
        ("origins", ["http://example.com"]),
        ("origins", ["https://evil.example"]),
        ("origins", ["http://localhost", "http://localhost"]),
        ("origins", ["http://localhost/"]),
        ("user_verification", "preferred"),
        ("label", "a\u202eb"),
        ("extra", 1),
    ],
)
def test_r7_a_malformed_credential_names_its_field(field: str, value: Any) -> None:
    with pytest.raises(WireError) as caught:
        Credential.from_json({**authenticator().credential().to_json(), field: value})
    assert caught.value.field.startswith(f"credential.{field}")


def test_an_origin_lies_under_the_rp_id() -> None:
    good = authenticator().credential(rp_id="example.com", origins=("https://a.example.com:8443",))
    assert Credential.from_json(good.to_json()) == good
    bad = replace(good, origins=("https://notexample.com",))
    with pytest.raises(WireError, match=r"origins\[0\]"):
        Credential.from_json(bad.to_json())


def test_r7_a_card_that_asks_for_a_passkey_has_one() -> None:
    with pytest.raises(WireError, match="has none"):
        HolderCard.from_json(with_passkeys("alice").to_json())


@pytest.mark.parametrize("same", ["id", "public_key"])
def test_p04_r7_one_passkey_under_two_holders_makes_the_manifest_invalid(same: str) -> None:
    first, second = authenticator("alice").credential(), authenticator("bob").credential()
    second = replace(second, **{same: getattr(first, same)})
    holders = (with_passkeys("alice", first), with_passkeys("bob", second), card("carol"))
    with pytest.raises(WireError, match=f"two passkeys have the same {same}"):
        Manifest.parse(replace(main_group(), holders=holders).encode())


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("decision", ["approve", "reject", "withdraw"])
def test_r9_a_vote_verifies_and_is_read_back(algorithm: str, decision: str) -> None:
    device = authenticator(algorithm=algorithm)
    given = vote(device, decision=decision, reason="because")
    assert given.verify(device.credential()) == device.counter == 1
    assert is_passkey(given.to_json())
    assert PasskeyApproval.from_json(json.loads(json.dumps(given.to_json()))) == given


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("wrong_type", {"type": "webauthn.create"}),
        ("wrong_challenge", {"challenge": base64.urlsafe_b64encode(bytes(32)).rstrip(b"=").decode()}),
        ("wrong_origin", {"origin": "https://localhost"}),
        ("wrong_origin", {"origin": "http://localhost.evil.example"}),
        ("cross_origin", {"cross_origin": True}),
        ("cross_origin", {"cross_origin": 0}),
        ("wrong_rp_id", {"rp_id": "evil.example"}),
        ("user_not_present", {"flags": VERIFIED}),
        ("user_not_verified", {"flags": PRESENT}),
        ("bad_authenticator_data", {"flags": PRESENT | VERIFIED | 0x40}),
        ("bad_authenticator_data", {"flags": PRESENT | VERIFIED | 0x80}),
    ],
)
def test_p11_what_was_signed_for_something_else_is_refused(code: str, changes: dict[str, Any]) -> None:
    assert refused(vote(**changes)) == code


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("digest", bytes(32)),
        ("decision", "reject"),
        ("node_id", card("bob").node_id),
        ("time", NOW + 2),
        ("reason", "changed"),
    ],
)
def test_p09_r9_every_field_of_a_vote_is_in_the_challenge(field: str, value: Any) -> None:
    assert refused(replace(vote(), **{field: value})) == "wrong_challenge"


def test_p11_another_credential_or_algorithm_is_refused() -> None:
    other = authenticator("bob")
    assert refused(vote(other)) == "unknown_credential"
    assert refused(replace(vote(other), credential_id=authenticator().id)) == "wrong_challenge"
    mixed = authenticator(algorithm=EDDSA)
    assert refused(vote(), mixed) == refused(vote(mixed)) == "forged_passkey"


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b'{"type":"a","type":"webauthn.get"}', b"\xff"])
def test_p11_client_data_has_one_reading(data: bytes) -> None:
    assert refused(replace(vote(), client_data=data)) in ("bad_client_data", "wrong_type")


def test_p11_authenticator_data_has_one_length() -> None:
    given = vote()
    for data in (b"", given.authenticator_data[:-1], given.authenticator_data + b"\x00"):
        assert refused(replace(given, authenticator_data=data)) == "bad_authenticator_data"


def _high_s(signature: bytes) -> bytes:
    r, s = decode_dss_signature(signature)
    return encode_dss_signature(r, P256_ORDER - s)


def test_p18_the_other_s_says_the_same_and_other_der_nothing() -> None:
    given = vote()
    other = replace(given, signature=_high_s(given.signature))
    assert other.verify(authenticator().credential()) == 1
    assert other.says() == given.says()
    r_size = given.signature[3]
    # A leading zero more in r, a longer length form, bytes behind.
    padded = bytes([0x30, given.signature[1] + 1, 2, r_size + 1, 0]) + given.signature[4:]
    long_form = b"\x30\x81" + given.signature[1:]
    for bad in (padded, long_form, given.signature + b"\x00", b"", bytes(70)):
        assert refused(replace(given, signature=bad)) == "forged_passkey"


def test_p18_ed25519_is_strict() -> None:
    device = authenticator(algorithm=EDDSA)
    given = vote(device)
    order = 2**252 + 27742317777372353535851937790883648493
    s = int.from_bytes(given.signature[32:], "little") + order
    bad = given.signature[:32] + s.to_bytes(32, "little")
    assert refused(replace(given, signature=bad), device) == "forged_passkey"


def check(given: PasskeyApproval, *holders: HolderCard) -> int:
    roster = replace(main_group(), holders=holders)
    return check_passkey(given, INTENT, DIGEST, holder_cards(roster, None))


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("passkey_of_other_request", {"digest": bytes(32)}),
        ("unknown_approver", {"node_id": card("dave").node_id}),
        ("unknown_credential", {"node_id": card("bob").node_id}),
        ("passkey_out_of_time", {"time": NOW - 1}),
        ("passkey_out_of_time", {"time": INTENT.expires + 1}),
    ],
)
def test_p02_p05_p08_a_vote_belongs_to_one_request_holder_and_time(
    code: str, changes: dict[str, Any]
) -> None:
    holders = with_passkeys("alice", authenticator().credential()), card("bob"), card("carol")
    assert check(vote(), *holders) == 1
    with pytest.raises(PasskeyError) as caught:
        check(vote(**changes), *holders)
    assert caught.value.code == code


def test_of_two_rosters_the_newer_card_counts() -> None:
    old, new = with_passkeys("alice", authenticator().credential()), card("alice", version=3)
    source, target = replace(main_group(), holders=(old,)), replace(main_group(), holders=(new,))
    assert holder_cards(target, source)[ALICE] == holder_cards(source, target)[ALICE] == new


def test_r7_a_vote_needs_every_signature_of_its_card() -> None:
    credential = authenticator().credential()
    for method in ("passkey", "both"):
        cards = {ALICE: with_passkeys("alice", credential, method=method)}
        assert complete(cards, {ALICE}, set()) == set()
        assert complete(cards, set(), {ALICE}) == set()
        assert complete(cards, {ALICE}, {ALICE}) == {ALICE}
    assert complete({ALICE: card("alice")}, {ALICE}, set()) == {ALICE}
