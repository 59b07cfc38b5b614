"""Forgeries with valid signatures: every participant of a ceremony lies together, and the verifier sees it.

One changed byte breaks a signature; here all keys of a set sign what should not be (R3, R6, R25).
"""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from mpc.certificate import Certificate, CurveResult, Statement, activated_message, prepared_message
from mpc.session import SessionContext
from tests.verifier.story import NAMES, Document, Held, Vault, approvals, b64, node_id, vault
from tests.verifier.test_verifier_mutations import fault_of, real
from tests.wire.builders import card, intent, manifest, policy, reference, signer
from wire.intent import Intent
from wire.manifest import Manifest

pytestmark = pytest.mark.slow

SIGNING = "KeyGenFromKeyGroup"


def held(request: str) -> Held:
    return vault().groups[json.loads(vault().documents[request]["manifest"])["group_id"]]


@cache
def another_vault() -> Vault:
    """The same people and ids, another key."""
    made = Vault()
    main = made.run("KeyGen", "KeyGen", manifest("alice", "bob", "carol"))
    made.run(
        SIGNING,
        "KeyGenFromKeyGroup",
        manifest("dave", "erin", role="signing"),
        source=main,
        dealers=("alice", "bob"),
    )
    return made


def signed(statement: Statement) -> Certificate:
    """By all its participants, as if nothing were wrong."""
    signers = [signer(NAMES[member.node_id]) for member in statement.context.participants]
    prepared = tuple(sign(prepared_message(statement)) for sign in signers)
    activated = tuple(sign(activated_message(statement, prepared)) for sign in signers)
    return Certificate(statement, prepared, activated)


def forged(statement: Statement) -> Document:
    """The signing group's request with that result."""
    return real(SIGNING) | {"certificate": b64(signed(statement))}


def original() -> Statement:
    return held(SIGNING).certificate.statement


def with_curve(change: Callable[[CurveResult], CurveResult]) -> Statement:
    first, second = original().curves
    return replace(original(), curves=(change(first), second))


def test_the_forger_can_sign() -> None:
    """What follows fails for its reason alone: the unchanged statement passes."""
    document = forged(original())
    assert document == real(SIGNING)


def test_35_another_root_key_is_found_though_it_is_a_good_sharing() -> None:
    other = another_vault().groups[held(SIGNING).roster.group_id].certificate.statement
    fault = fault_of(forged(replace(original(), curves=other.curves)))
    assert (fault.what, fault.message) == ("certificate.secp256k1.root_key", "is not that of the set before")


def test_35_another_chain_code_is_found() -> None:
    fault = fault_of(forged(with_curve(lambda result: replace(result, chain_code=bytes(32)))))
    assert fault.what == "certificate.secp256k1.chain_code"


def test_r25_public_shares_that_are_no_sharing_of_the_root_key_are_found() -> None:
    swapped = with_curve(lambda result: replace(result, public_shares=result.public_shares[::-1]))
    same = with_curve(lambda result: replace(result, public_shares=(result.root_key,) * 2))
    for statement in (swapped, same):
        assert "no sharing of its root key" in fault_of(forged(statement)).message


@pytest.mark.parametrize("encoding", ["05" + "11" * 32, "02" + "ff" * 32])
def test_a_public_share_that_is_no_point_is_found(encoding: str) -> None:
    shares = (bytes.fromhex(encoding), original().curves[0].public_shares[1])
    fault = fault_of(forged(with_curve(lambda result: replace(result, public_shares=shares))))
    assert fault.what == "certificate.secp256k1.public_shares[0]"


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"digest": bytes(32)}, "certificate.digest"),
        ({"domain": "wallet"}, "certificate.domain"),
        ({"role": "main"}, "certificate.role"),
        ({"epoch": 2}, "certificate.epoch"),
        ({"manifest_hash": bytes(32)}, "certificate.manifest_hash"),
        ({"attempt": 6}, "certificate.attempt"),
        ({"previous_certificate_hash": bytes(32)}, "certificate"),
        ({"curves": ("secp256k1",)}, "certificate.curves"),
    ],
    ids=str,
)
def test_r25_a_result_of_another_request_is_found(change: dict[str, Any], what: str) -> None:
    context = replace(original().context, **change)
    curves = tuple(result for result in original().curves if result.curve in context.curves)
    assert fault_of(forged(replace(original(), context=context, curves=curves))).what == what


def false_dealers() -> list[SessionContext]:
    context = original().context
    first, second = context.dealers  # alice and bob, with shares 1 and 2
    by_dave = (first, replace(second, index=1))
    return [
        replace(context, dealers=(replace(first, source_index=2), replace(second, source_index=3))),
        replace(context, dealers=(first, replace(second, source_index=4))),
        replace(context, dealers=by_dave, participants=context.participants[:3], pure_dealers=1),
    ]


@pytest.mark.parametrize("case", range(3), ids=["shares of others", "no share", "a receiver for bob"])
def test_34_dealers_that_do_not_hold_what_they_deal_are_found(case: int) -> None:
    statement = replace(original(), context=false_dealers()[case])
    assert fault_of(forged(statement)).what == "certificate.dealers"


def test_r21_too_few_dealers_are_found() -> None:
    context = original().context
    fewer = replace(
        context, dealers=context.dealers[:1], participants=context.participants[:3], pure_dealers=1
    )
    fault = fault_of(forged(replace(original(), context=fewer)))
    assert (fault.what, fault.message) == ("certificate.dealers", "must be 2 holders of the set before")


def test_r21_a_dealer_that_did_not_approve_is_found() -> None:
    document = real(SIGNING)
    wanted = Intent.parse(document["canonical"].encode())
    target = Manifest.parse(document["manifest"].encode())
    document["approvals"] = approvals(wanted, target, policy(), ["alice", "carol"])
    fault = fault_of(document)
    assert fault.what == "certificate.dealers"
    assert node_id("bob") in fault.message


def test_r6_a_whole_other_vault_with_the_same_names_is_found() -> None:
    """The site shows a key of its own with everything in order: only the anchor tells."""
    for document in another_vault().documents.values():
        fault_of(document)
    ours = vault().anchor().to_json()
    mixed = ours | {"root_keys": another_vault().anchor().to_json()["root_keys"]}
    for document in another_vault().documents.values():
        assert "not the one that the anchor names" in str(fault_of(document, mixed))


def test_r6_a_set_that_descends_from_another_key_gen_is_found() -> None:
    document = real(SIGNING)
    document["certificates"] += another_vault().documents[SIGNING]["certificates"]
    assert "not the one that the anchor names" in str(fault_of(document))


def test_r8_a_source_that_the_certificates_do_not_describe_is_found() -> None:
    """The roster shown as source is well signed, but no certificate is of it."""
    document = real(SIGNING)
    roster = manifest("alice", "bob", "ivan")
    wanted = Intent.parse(document["canonical"].encode())
    assert wanted.source is not None
    wanted = replace(
        wanted, source=reference(roster, wanted.source.certificate_hash), eligible=roster.node_ids
    )
    document |= {
        "intent": wanted.to_json(),
        "canonical": wanted.encode().decode(),
        "digest": wanted.digest().hex(),
        "source_manifest": roster.encode().decode(),
        "approvals": approvals(
            wanted, Manifest.parse(document["manifest"].encode()), policy(), ["alice", "ivan"]
        ),
    }
    assert fault_of(document).what == "certificates[0].manifest_hash"


def test_r1_a_roster_that_gives_the_service_a_threshold_is_found() -> None:
    """Nobody's signature is missing: every card, approval and hash is real."""
    document = real("KeyGen")
    cards = (card("alice"), card("bob", kind="service"), card("carol", kind="service"))
    roster = replace(manifest("alice", "bob", "carol"), holders=cards)
    wanted = intent("KeyGen", target=reference(roster))
    document |= {
        "intent": wanted.to_json(),
        "canonical": wanted.encode().decode(),
        "digest": wanted.digest().hex(),
        "manifest": roster.encode().decode(),
        "approvals": approvals(wanted, roster, policy(), []),
    }
    assert fault_of(document).what == "target roster"
