"""Without all n prepared and all n activated signatures over one statement there is no certificate (R25;
test 31).
"""

import hashlib
from dataclasses import replace
from typing import Any

import nacl.bindings as sodium
import pytest

from mpc.certificate import Certificate, Statement, activated_message
from mpc.curves import curve_named
from mpc.dealing import find_culprit
from mpc.dealing_messages import parse_deal
from mpc.encoding import tagged_hash
from mpc.errors import EncodingError, FaultyParticipant, InvalidCertificate
from tests.mpc.ceremony import Ceremony, complete, make_context, roster, signing_key

CERTIFICATE = complete(2, 3).certificates[1]
STATEMENT = CERTIFICATE.statement


def resigned(statement: Statement) -> Certificate:
    """A certificate that all members signed correctly, whatever the statement says."""
    message = tagged_hash("quorate/prepared/v1", statement.hash())
    indices = statement.context.indices
    prepared = tuple(signing_key(index).sign(message).signature for index in indices)
    signatures = tagged_hash("quorate/prepared-signatures/v1", *prepared)
    message = tagged_hash("quorate/activated/v1", statement.hash(), signatures)
    activated = tuple(signing_key(index).sign(message).signature for index in indices)
    return Certificate(statement, prepared, activated)


def with_result(position: int, **changes: Any) -> Statement:
    results = list(STATEMENT.curves)
    results[position] = replace(results[position], **changes)
    return replace(STATEMENT, curves=tuple(results))


def test_the_documented_messages_are_what_members_sign() -> None:
    assert resigned(STATEMENT) == CERTIFICATE
    CERTIFICATE.verify()


@pytest.mark.parametrize("kind", ["prepared", "activated"])
@pytest.mark.parametrize("index", [1, 2, 3])
def test_31_every_signature_is_needed(kind: str, index: int) -> None:
    signatures = getattr(CERTIFICATE, kind)
    other_kind = CERTIFICATE.activated if kind == "prepared" else CERTIFICATE.prepared
    changed: dict[str, Any]
    for wrong in (bytes(64), b"", signatures[index % 3], other_kind[index - 1]):
        changed = {kind: (*signatures[: index - 1], wrong, *signatures[index:])}
        with pytest.raises(InvalidCertificate, match=kind):
            replace(CERTIFICATE, **changed).verify()
    for too_few in ((), signatures[: index - 1] + signatures[index:]):
        changed = {kind: too_few}
        with pytest.raises(InvalidCertificate, match="signatures"):
            replace(CERTIFICATE, **changed).verify()


CONTEXT_CHANGES: dict[str, Any] = {
    "domain": "wallet",
    "protocol": "keygen/2",
    "digest": bytes(32),
    "attempt": 2,
    "role": "recovery",
    "epoch": 7,
    "manifest_hash": bytes(32),
    "threshold": 3,
}


@pytest.mark.parametrize("field", CONTEXT_CHANGES)
def test_31_signatures_cover_every_field_of_the_context(field: str) -> None:
    context = replace(STATEMENT.context, **{field: CONTEXT_CHANGES[field]})
    forged = replace(CERTIFICATE, statement=replace(STATEMENT, context=context))
    with pytest.raises(InvalidCertificate, match="prepared"):
        forged.verify()


@pytest.mark.parametrize("position", [0, 1])
def test_31_signatures_cover_the_result(position: int) -> None:
    result = STATEMENT.curves[position]
    for forged in (
        with_result(position, chain_code=bytes(32)),
        with_result(position, root_key=result.public_shares[0]),
        with_result(position, public_shares=result.public_shares[::-1]),
        replace(STATEMENT, ssid=bytes(32)),
        replace(STATEMENT, pair_setup_hash=bytes(32)),
    ):
        with pytest.raises(InvalidCertificate, match="prepared"):
            replace(CERTIFICATE, statement=forged).verify()


def test_31_a_member_replaced_by_an_outsider_is_refused() -> None:
    members = (*roster(2), replace(roster(4)[3], index=3))
    context = replace(STATEMENT.context, participants=members)
    with pytest.raises(InvalidCertificate, match="participant 1"):
        replace(CERTIFICATE, statement=replace(STATEMENT, context=context)).verify()


@pytest.mark.parametrize("position", [0, 1], ids=["secp256k1", "ed25519"])
def test_31_even_fully_signed_statements_must_be_a_sharing_of_their_root(position: int) -> None:
    result = STATEMENT.curves[position]
    curve = curve_named(result.curve)
    shares = result.public_shares
    shifted = curve.add(curve.parse_point(shares[2]), curve.parse_point(shares[0])).encoded
    wrong_root = curve.base_multiply(curve.encode_int(3)).encoded
    for forged, field in (
        (with_result(position, root_key=wrong_root), "root_key"),
        (with_result(position, public_shares=(*shares[:2], shifted)), "public_shares"),
        (with_result(position, public_shares=shares[::-1]), "root_key"),
        (with_result(position, public_shares=(bytes(len(shares[0])), *shares[1:])), "public_shares"),
        (with_result(position, public_shares=(shares[0],) * 3), "root_key"),
        (with_result(position, root_key=shares[0], public_shares=(shares[0],) * 3), "public_shares"),
    ):
        certificate = resigned(forged)
        with pytest.raises(InvalidCertificate, match=field):
            certificate.verify()


@pytest.mark.parametrize("threshold", [3])
def test_31_a_threshold_other_than_the_degree_is_refused(threshold: int) -> None:
    context = replace(STATEMENT.context, threshold=threshold)
    with pytest.raises(InvalidCertificate, match="public_shares"):
        resigned(replace(STATEMENT, context=context)).verify()


def test_a_statement_for_threshold_one_is_checked_too() -> None:
    certificate = Ceremony(make_context(1, 2, allow_single=True)).run_until(4).certificates[1]
    certificate.verify()
    forged = replace(STATEMENT, context=replace(STATEMENT.context, threshold=1, allow_single=True))
    with pytest.raises(InvalidCertificate):
        resigned(forged).verify()


@pytest.mark.parametrize("number", [2, 3])
@pytest.mark.parametrize("forgery", ["zero", "of another", "of another run"])
def test_31_a_wrong_signature_ends_the_run_and_blames_its_signer(number: int, forgery: str) -> None:
    ceremony = Ceremony(make_context(2, 3)).run_until(number)
    body = ceremony.sent[number][2]
    signature = {
        "zero": bytes(64),
        "of another": ceremony.sent[number][1][-64:],
        "of another run": Ceremony(ceremony.context).run_until(number).sent[number][2][-64:],
    }[forgery]
    ceremony.sent[number][2] = body[:-64] + signature
    with pytest.raises(FaultyParticipant) as caught:
        ceremony.deliver(1, number)
    expected = (2, "prepared_signature" if number == 2 else "activated_signature")
    assert (caught.value.index, caught.value.code) == expected
    assert ceremony.machines[1].round == number
    assert not ceremony.certificates
    culprit = find_culprit(ceremony.context, ceremony.sent)
    assert culprit is not None
    assert (culprit.index, culprit.code) == expected


def test_the_statement_covers_the_transcript_through_ssid_and_shares() -> None:
    ceremony = complete(2, 3)
    statement = ceremony.certificates[1].statement
    deals = [parse_deal(ceremony.context, index, ceremony.sent[1][index]) for index in (1, 2, 3)]
    assert {deal.echo for deal in deals} == {statement.ssid}
    for position, result in enumerate(statement.curves):
        curve = curve_named(result.curve)
        total = curve.sum([deal.curves[position].commitment[0] for deal in deals])
        assert total.encoded == result.root_key


def test_certificates_and_statements_read_back_and_strictly() -> None:
    for data, parse in (
        (CERTIFICATE.encode(), Certificate.parse),
        (STATEMENT.encode(), Statement.parse),
    ):
        assert parse(data).encode() == data
        for size in range(0, len(data), 7):
            with pytest.raises(EncodingError):
                parse(data[:size])
        for wrong in (data + b"\x00", b"\x02" + data[1:]):
            with pytest.raises(EncodingError):
                parse(wrong)
    assert Certificate.parse(CERTIFICATE.encode()).hash() == CERTIFICATE.hash()


def test_an_unknown_pair_setup_kind_is_refused() -> None:
    data = STATEMENT.encode()
    with pytest.raises(EncodingError, match="pair_setup_kind"):
        Statement.parse(data[:-33] + b"\x01" + data[-32:])


def test_every_bit_of_a_certificate_counts() -> None:
    data = CERTIFICATE.encode()
    for at in range(0, len(data), 3):
        forged = data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]
        with pytest.raises((EncodingError, InvalidCertificate)):
            Certificate.parse(forged).verify()


def another_signature(index: int, message: bytes) -> bytes:
    """A second valid Ed25519 signature: its author may take any nonce it likes (RFC 8032, 5.1.6)."""
    secret = hashlib.sha512(bytes(signing_key(index))).digest()[:32]
    clamped = bytes([secret[0] & 248]) + secret[1:31] + bytes([(secret[31] & 127) | 64])
    scalar = sodium.crypto_core_ed25519_scalar_reduce(clamped + bytes(32))
    nonce = sodium.crypto_core_ed25519_scalar_reduce(bytes(range(64)))
    point = sodium.crypto_scalarmult_ed25519_base_noclamp(nonce)
    digest = hashlib.sha512(point + bytes(signing_key(index).verify_key) + message).digest()
    challenge = sodium.crypto_core_ed25519_scalar_reduce(digest)
    product = sodium.crypto_core_ed25519_scalar_mul(challenge, scalar)
    return bytes(point + sodium.crypto_core_ed25519_scalar_add(product, nonce))


def test_r25_who_signs_twice_does_not_change_the_certificates_hash() -> None:
    """Else one member could leave the others with different anchors of one key, and no reshare would work."""
    message = activated_message(STATEMENT, CERTIFICATE.prepared)
    other = replace(
        CERTIFICATE,
        activated=(*CERTIFICATE.activated[:-1], another_signature(STATEMENT.context.size, message)),
    )
    other.verify()
    assert other.encode() != CERTIFICATE.encode()
    assert other.hash() == CERTIFICATE.hash()
    assert complete(2, 3).certificates[1].hash() != CERTIFICATE.hash()
