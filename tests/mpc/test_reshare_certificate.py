"""A reshared set counts only with both signatures of every participant, and only as the successor of the set
that it came from (R3, R6, R25, R26; tests 31, 34, 35, 39, 40).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from mpc.certificate import Certificate, Statement, activated_message, prepared_message
from mpc.dealing import certificate_of
from mpc.errors import EncodingError, FaultyParticipant, InvalidCertificate, InvalidParameters
from mpc.session import Dealer
from mpc.succession import check_succession, verify_path
from tests.mpc.ceremony import Ceremony, complete, node_at, reshare, roster_of, signing_key
from tests.mpc.resharing import BOTH, MAIN, PURE, RECEIVER, mixed

CHILD = mixed().run_until(4)
CERTIFICATE, STATEMENT = CHILD.certificate, CHILD.statement


def resigned(statement: Statement) -> Certificate:
    """A certificate that all participants signed correctly, whatever the statement says."""
    keys = [signing_key(node_at(statement.context, index)) for index in statement.context.indices]
    prepared = tuple(key.sign(prepared_message(statement)).signature for key in keys)
    message = activated_message(statement, prepared)
    return Certificate(statement, prepared, tuple(key.sign(message).signature for key in keys))


def with_result(position: int, **changes: Any) -> Statement:
    results = list(STATEMENT.curves)
    results[position] = replace(results[position], **changes)
    return replace(STATEMENT, curves=tuple(results))


# ---------------------------------------------------------------------------------------- certificate


def test_the_certificate_reads_back_strictly_and_every_bit_counts() -> None:
    data = CERTIFICATE.encode()
    assert Certificate.parse(data) == CERTIFICATE
    assert resigned(STATEMENT) == CERTIFICATE
    for at in range(0, len(data), 5):
        forged = data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]
        with pytest.raises((EncodingError, InvalidCertificate)):
            Certificate.parse(forged).verify()


@pytest.mark.parametrize("kind", ["prepared", "activated"])
@pytest.mark.parametrize("index", [BOTH, RECEIVER, PURE])
def test_31_39_the_signatures_of_dealers_and_receivers_are_all_needed(kind: str, index: int) -> None:
    signatures = getattr(CERTIFICATE, kind)
    for wrong in (bytes(64), signatures[index % 4]):
        changed: dict[str, Any] = {kind: (*signatures[: index - 1], wrong, *signatures[index:])}
        with pytest.raises(InvalidCertificate, match=kind):
            replace(CERTIFICATE, **changed).verify()
    changed = {kind: signatures[: index - 1] + signatures[index:]}
    with pytest.raises(InvalidCertificate, match="signatures"):
        replace(CERTIFICATE, **changed).verify()


@pytest.mark.parametrize("number", [2, 3])
@pytest.mark.parametrize("silent", [BOTH, RECEIVER, PURE])
def test_39_40_without_one_participants_last_words_nobody_has_a_certificate(number: int, silent: int) -> None:
    # So nobody may erase an old share, and the source set signs on (R26).
    ceremony = mixed().run_until(number)
    del ceremony.sent[number][silent]
    assert ceremony.sent[number], "the others have spoken"
    assert certificate_of(ceremony.context, ceremony.sent, ceremony.source) is None
    assert ceremony.culprit() is None
    for receiver in ceremony.context.others(silent):
        with pytest.raises(InvalidParameters):
            ceremony.deliver(receiver, number)
    assert not ceremony.certificates


def test_39_who_acknowledges_to_some_only_still_gives_all_or_none_the_certificate() -> None:
    # BOTH and PURE see everything and finish; the withheld body completes the others whenever it comes.
    ceremony = mixed().run_until(3)
    ceremony.deliver(BOTH, 3)
    ceremony.deliver(PURE, 3)
    shown = certificate_of(ceremony.context, ceremony.sent, ceremony.source)
    assert shown == ceremony.certificates[BOTH] == ceremony.certificates[PURE]
    ceremony.restart(RECEIVER)
    ceremony.deliver(RECEIVER, 3)
    assert ceremony.certificates[RECEIVER] == shown


@pytest.mark.parametrize("number", [2, 3])
@pytest.mark.parametrize("signer", [BOTH, RECEIVER, PURE])
def test_31_a_wrong_signature_ends_the_run_and_blames_its_signer(number: int, signer: int) -> None:
    ceremony = mixed().run_until(number)
    body = ceremony.sent[number][signer]
    ceremony.sent[number][signer] = body[:-64] + bytes(64)
    expected = (signer, "prepared_signature" if number == 2 else "activated_signature")
    with pytest.raises(FaultyParticipant) as caught:
        ceremony.deliver(3, number)
    assert (caught.value.index, caught.value.code) == expected
    assert ceremony.culprit() == expected


@pytest.mark.parametrize("field", ["dealers", "previous_certificate_hash", "pure_dealers", "epoch", "role"])
def test_31_signatures_cover_where_the_set_came_from(field: str) -> None:
    changes: dict[str, Any] = {
        "dealers": (Dealer(PURE, 1), Dealer(BOTH, 3)),
        "previous_certificate_hash": bytes(32),
        "pure_dealers": 0,
        "epoch": 9,
        "role": "signing",
    }
    context = replace(STATEMENT.context, **{field: changes[field]})
    curves = STATEMENT.curves
    if field == "pure_dealers":
        curves = tuple(replace(each, public_shares=(*each.public_shares, each.root_key)) for each in curves)
    forged = replace(CERTIFICATE, statement=replace(STATEMENT, context=context, curves=curves))
    with pytest.raises(InvalidCertificate, match="prepared"):
        forged.verify()


# ---------------------------------------------------------------------------------------- succession


def test_a_reshared_set_succeeds_the_one_that_dealt_it_and_no_other() -> None:
    check_succession(CERTIFICATE, MAIN.certificate)
    for other in (
        complete(2, 3).certificate,
        CERTIFICATE,
        reshare(MAIN, 2, (1, 2, 3)).run_until(4).certificate,
    ):
        with pytest.raises(InvalidCertificate, match="previous_certificate_hash"):
            check_succession(CERTIFICATE, other)
    with pytest.raises(InvalidCertificate):
        check_succession(MAIN.certificate, CERTIFICATE)


@pytest.mark.parametrize("position", [0, 1], ids=["secp256k1", "ed25519"])
def test_35_n11_a_successor_has_the_same_root_key_and_chain_code(position: int) -> None:
    # Signed by everybody, dealers included, and wrong all the same.
    stranger = complete(2, 3).statement.curves[position]
    other_key = with_result(position, root_key=stranger.root_key, public_shares=stranger.public_shares)
    for statement, field in (
        (with_result(position, chain_code=bytes(32)), "chain_code"),
        (other_key, "root_key"),
    ):
        certificate = resigned(statement)
        certificate.verify()
        with pytest.raises(InvalidCertificate, match=field):
            check_succession(certificate, MAIN.certificate)


FOREIGN_DEALERS: dict[str, dict[str, Any]] = {
    "too few": {"dealers": (Dealer(PURE, 1),)},
    "too many": {"dealers": (Dealer(PURE, 1), Dealer(BOTH, 2), Dealer(RECEIVER, 3))},
    "no holder": {"dealers": (Dealer(RECEIVER, 1), Dealer(PURE, 2))},
    "no such share": {"dealers": (Dealer(PURE, 1), Dealer(BOTH, 4))},
    "another domain": {"domain": "wallet"},
}


@pytest.mark.parametrize("changes", FOREIGN_DEALERS.values(), ids=FOREIGN_DEALERS)
def test_34_a_successor_was_dealt_by_exactly_t_holders(changes: dict[str, Any]) -> None:
    certificate = resigned(replace(STATEMENT, context=replace(STATEMENT.context, **changes)))
    certificate.verify()
    with pytest.raises(InvalidCertificate, match=r"dealers|domain"):
        check_succession(certificate, MAIN.certificate)


# ---------------------------------------------------------------------------------------- path


def chain(length: int) -> list[Certificate]:
    """A KeyGen and its successors, oldest first."""
    sets: list[Ceremony] = [MAIN]
    for number in range(1, length):
        sets.append(reshare(sets[-1], 2, (1, 2, 3 + number)).run_until(4))
    return [each.certificate for each in sets]


CHAIN = chain(4)


def offered(certificates: Sequence[Certificate]) -> dict[bytes, Certificate]:
    return {certificate.hash(): certificate for certificate in certificates}


def test_r6_a_path_leads_from_the_tip_to_what_the_caller_trusts() -> None:
    first, second, third, tip = CHAIN
    everything = offered(CHAIN)
    assert verify_path(everything, tip.hash(), {first.hash()}) == (tip, third, second, first)
    assert verify_path(everything, tip.hash(), {first.hash(), third.hash()}) == (tip, third)
    assert verify_path(everything, first.hash(), {first.hash()}) == (first,)
    with_others = everything | offered([CERTIFICATE, complete(2, 2).certificate])
    assert verify_path(with_others, tip.hash(), {first.hash()}) == (tip, third, second, first)


def test_r6_a_path_with_a_gap_or_without_a_trusted_end_is_refused() -> None:
    tip = CHAIN[-1].hash()
    trusted = {CHAIN[0].hash()}
    for certificates, wanted, trust in (
        (CHAIN, tip, set[bytes]()),
        (CHAIN, tip, {complete(2, 3).certificate.hash()}),
        (CHAIN, bytes(32), trusted),
        (CHAIN[:2] + CHAIN[3:], tip, trusted),
        (CHAIN[1:], tip, trusted),
        ([], tip, trusted),
    ):
        with pytest.raises(InvalidCertificate, match="path"):
            verify_path(offered(certificates), wanted, trust)


def test_r6_a_certificate_under_another_ones_hash_is_refused_and_no_circle_is_walked() -> None:
    tip, trusted = CHAIN[-1], {CHAIN[0].hash()}
    around = dict.fromkeys((each.hash() for each in CHAIN[1:]), tip)
    with pytest.raises(InvalidCertificate, match="path"):
        verify_path(around, tip.hash(), trusted)


def test_r6_every_certificate_of_the_path_is_verified() -> None:
    first, second, third, tip = CHAIN
    # A hash leaves the signatures out, so that only verification finds that they are missing.
    unsigned = replace(second, activated=third.activated)
    assert unsigned.hash() == second.hash()
    with pytest.raises(InvalidCertificate, match="activated"):
        verify_path(offered([first, unsigned, third, tip]), tip.hash(), {first.hash()})


def test_r6_strangers_who_sign_everything_correctly_lead_nowhere() -> None:
    # Public shares and root keys are copied; only the dealers' keys are not those of the anchor's holders.
    strangers = replace(STATEMENT.context, participants=roster_of((6, 7, 8, 9)))
    certificate = resigned(replace(STATEMENT, context=strangers))
    certificate.verify()
    with pytest.raises(InvalidCertificate, match="dealers"):
        verify_path(offered([MAIN.certificate, certificate]), certificate.hash(), {MAIN.certificate.hash()})
