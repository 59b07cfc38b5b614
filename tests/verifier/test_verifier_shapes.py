"""Documents and certificates that no honest program makes, signed by everybody all the same (R8)."""

import base64
import copy
import json
from dataclasses import replace
from typing import Any

import pytest

from mpc.certificate import Certificate, Statement
from mpc.encoding import tagged_hash
from mpc.session import Dealer, Participant, SessionContext
from tests.verifier.story import Document, approvals, b64, vault
from tests.verifier.test_verifier_forgeries import held, signed
from tests.verifier.test_verifier_mutations import fault_of, real
from tests.wire.builders import DAY, approval, card, intent, manifest, policy, reference
from verifier.quorate_verify import verify
from wire.canonical import canonical_bytes
from wire.intent import Intent, intent_digest
from wire.manifest import Manifest
from wire.policy import VaultPolicy

pytestmark = pytest.mark.slow

SIGNING, RECOVERY = "KeyGenFromKeyGroup", "KeyGenFromKeyGroup (recovery)"


def impossible(context: SessionContext, **changes: Any) -> SessionContext:
    """A context that SessionContext itself would refuse."""
    made = copy.copy(context)
    for name, value in changes.items():
        object.__setattr__(made, name, value)
    return made


def with_context(request: str, **changes: Any) -> Document:
    statement = held(request).certificate.statement
    context = impossible(statement.context, **changes)
    results = [statement.result(name) for name in context.curves]
    curves = tuple(replace(each, public_shares=each.public_shares[: context.receivers]) for each in results)
    forged: Statement = replace(statement, context=context, curves=curves)
    return real(request) | {"certificate": b64(signed(forged))}


FIRST, SECOND = held(SIGNING).certificate.statement.context.dealers
MALLORY = Participant(1, card("mallory").node_id, card("mallory").signing_key)
MEMBERS = held(SIGNING).certificate.statement.context.participants


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"protocol": "reshare/2"}, "protocol"),
        ({"protocol": "keygen/1"}, "previous"),
        ({"previous_certificate_hash": b""}, "previous"),
        ({"threshold": 1}, "threshold"),
        ({"threshold": 3}, "threshold"),
        ({"curves": ("ed25519", "secp256k1")}, "curves"),
        ({"dealers": ()}, "dealers"),
        ({"dealers": (SECOND, FIRST)}, "dealers"),
        ({"dealers": (FIRST, Dealer(SECOND.index, FIRST.source_index))}, "dealers"),
        ({"dealers": (FIRST, Dealer(FIRST.index, SECOND.source_index))}, "dealers"),
        ({"dealers": (FIRST, Dealer(9, SECOND.source_index))}, "dealers"),
        ({"participants": (MALLORY, *MEMBERS[1:])}, "participants"),
        ({"participants": (*MEMBERS[:3], MEMBERS[2])}, "participants"),
    ],
    ids=str,
)
def test_r25_an_impossible_ceremony_is_found(changes: dict[str, Any], part: str) -> None:
    assert fault_of(with_context(SIGNING, **changes)).what == f"certificate.{part}"


def test_r25_a_participant_that_neither_deals_nor_receives_is_found() -> None:
    assert fault_of(with_context(RECOVERY, pure_dealers=3)).what == "certificate.pure_dealers"


def test_r21_pure_dealers_in_another_order_are_found() -> None:
    """A second way to write one ceremony would have another session id (R20)."""
    dave, erin, alice, bob = MEMBERS
    swapped = (dave, erin, replace(bob, index=3), replace(alice, index=4))
    dealers = (Dealer(4, 1), Dealer(3, 2))
    fault = fault_of(with_context(SIGNING, participants=swapped, dealers=dealers))
    assert (fault.what, fault.message) == ("certificate.participants", "are not holders and dealers")


def test_r8_a_set_dealt_by_another_group_than_the_intent_names_is_found() -> None:
    """The Recovery group has the key too, and its holders could have dealt this very set."""
    recovery = held(RECOVERY)
    others = [recovery.certificate.statement.context.participants[at] for at in (0, 2)]
    participants = (*MEMBERS[:2], *(replace(each, index=at) for at, each in enumerate(others, start=3)))
    document = with_context(
        SIGNING,
        previous_certificate_hash=recovery.certificate.hash(),
        participants=participants,
        dealers=(Dealer(3, 1), Dealer(4, 3)),
    )
    document["certificates"] = [b64(each) for each in recovery.path]
    assert fault_of(document).what == "certificate.previous"


def test_r6_an_intent_that_expects_other_root_keys_is_found_though_all_approved_it() -> None:
    document = real(SIGNING)
    wanted = Intent.parse(document["canonical"].encode())
    first, second = wanted.expected
    wanted = replace(wanted, expected=(replace(first, chain_code=bytes(32)), second))
    document |= {
        "intent": wanted.to_json(),
        "canonical": wanted.encode().decode(),
        "digest": wanted.digest().hex(),
        "approvals": approvals(wanted, held(SIGNING).roster, policy(), ["alice", "bob"]),
    }
    assert fault_of(document).what == "intent.expected"


def test_r8_a_reshare_is_no_key_gen() -> None:
    """Same people, same key, same digest: but a set that was dealt by others is not what was asked for."""
    first = Certificate.parse(base64.b64decode(real("KeyGen")["certificate"])).statement
    changes: dict[str, Any] = {
        "protocol": "reshare/1",
        "previous_certificate_hash": first.certificate_hash(),
        "dealers": (Dealer(1, 1), Dealer(2, 2)),
    }
    forged = signed(replace(first, context=replace(first.context, **changes)))
    document = real("KeyGen")
    document |= {"certificates": [document["certificate"]], "certificate": b64(forged)}
    assert fault_of(document).what == "certificate.protocol"


@pytest.mark.parametrize(
    ("change", "part"), [({"domain": "wallet"}, "domain"), ({"curves": ("secp256k1",)}, "curves")]
)
def test_r2_a_key_gen_of_another_kind_than_was_approved_is_found(change: dict[str, Any], part: str) -> None:
    """Even where somebody has pinned its anchor."""
    first = Certificate.parse(base64.b64decode(real("KeyGen")["certificate"])).statement
    context = replace(first.context, **change)
    forged = replace(first, context=context, curves=tuple(map(first.result, context.curves)))
    anchor = vault().anchor()
    keys = anchor.root_keys[: len(context.curves)]
    pinned = replace(anchor, certificate_hash=forged.certificate_hash(), root_keys=keys)
    fault = fault_of(real("KeyGen") | {"certificate": b64(signed(forged))}, pinned.to_json())
    assert fault.what == f"certificate.{part}"


def test_a_curve_that_this_program_does_not_know_is_found() -> None:
    data = base64.b64decode(real(SIGNING)["certificate"]).replace(b"ed25519", b"ed25518")
    document = real(SIGNING) | {"certificate": base64.b64encode(data).decode()}
    assert fault_of(document).what == "certificate.curves"


def test_one_certificate_has_one_base64_text() -> None:
    """The last letter before a pad has spare bits, which decoders overlook."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    for document in map(real, vault().documents):
        body = document["certificate"].rstrip("=")
        pad = document["certificate"][len(body) :]
        if pad:
            other = body[:-1] + letters[letters.index(body[-1]) + 1] + pad
            assert base64.b64decode(other, validate=True) == base64.b64decode(document["certificate"])
            assert fault_of(document | {"certificate": other}).what == "certificate"
            return
    raise AssertionError("no certificate ends in a pad")


def test_a_wrong_digest_alone_is_found() -> None:
    assert fault_of(real("Refresh") | {"digest": "00" * 32}).what == "digest"


@pytest.mark.parametrize("field", ["canonical", "manifest", "source_manifest", "policy"])
@pytest.mark.parametrize("value", [None, 1, {}, [], True], ids=repr)
def test_a_document_of_another_kind_is_found(field: str, value: Any) -> None:
    assert fault_of(real("Refresh") | {field: value}).what == field


@pytest.mark.parametrize("creators", [[], "admin", None], ids=repr)
def test_a_policy_whose_creators_are_no_object_is_found(creators: Any) -> None:
    document = real("KeyGen")
    rules = canonical_bytes(json.loads(document["policy"]) | {"creators": creators}).decode()
    assert fault_of(document | {"policy": rules}).what == "policy.creators"


def test_r7_another_well_signed_roster_is_not_the_one_that_was_approved() -> None:
    """bob's own, later card: all of its signatures are good."""
    roster = replace(
        manifest("alice", "bob", "carol"), holders=(card("alice"), card("bob", version=2), card("carol"))
    )
    fault = fault_of(real("KeyGen") | {"manifest": roster.encode().decode()})
    assert (fault.what, fault.message) == ("manifest", "is not the one that the intent names")


def approved(roster: Manifest, rules: VaultPolicy, **changes: Any) -> Document:
    """A KeyGen's document whose every hash and approval is right for this roster and policy."""
    wanted: Intent = intent("KeyGen", target=reference(roster), policy_hash=rules.hash(), **changes)
    return real("KeyGen") | {
        "intent": wanted.to_json(),
        "canonical": wanted.encode().decode(),
        "digest": wanted.digest().hex(),
        "manifest": roster.encode().decode(),
        "policy": rules.encode().decode(),
        "approvals": approvals(wanted, roster, rules, []),
    }


ROSTER = manifest("alice", "bob", "carol")


def test_r12_what_the_policy_forbids_is_found_though_all_approved_it() -> None:
    forbidden = policy(creators={"Refresh": ("admin",)})
    assert fault_of(approved(ROSTER, forbidden)).what == "policy.creators"
    hasty = policy(request_lifetime=DAY - 1)
    assert fault_of(approved(ROSTER, hasty)).what == "intent.expires"
    elsewhere = policy(vault_id="another")
    assert fault_of(approved(ROSTER, elsewhere)).what == "policy.vault_id"


def test_r15_a_request_that_lives_too_long_or_ends_before_it_begins_is_found() -> None:
    begins = intent().not_before
    for expires in (begins, begins - 1, begins + 7 * DAY + 1):
        assert fault_of(approved(ROSTER, policy(), expires=expires)).what == "intent.expires"


def test_p04_r7_one_holder_at_two_places_is_found() -> None:
    twice = replace(ROSTER, holders=(card("alice"), card("bob"), card("alice")))
    assert fault_of(approved(twice, policy())).what == "manifest.holders"


def test_a_roster_with_another_number_of_holders_than_it_says_is_found() -> None:
    assert fault_of(approved(replace(ROSTER, threshold=4), policy())).what == "manifest.holders"
    document = approved(ROSTER, policy())
    text = canonical_bytes(ROSTER.to_json() | {"participants": 2})
    named = replace(reference(ROSTER), participants=2, manifest_hash=tagged_hash("quorate/manifest/v1", text))
    wanted = intent("KeyGen", target=named)
    document |= {
        "intent": wanted.to_json(),
        "canonical": wanted.encode().decode(),
        "digest": wanted.digest().hex(),
        "manifest": text.decode(),
    }
    assert fault_of(document).what == "manifest.holders"


def test_the_first_set_of_a_group_has_epoch_1_and_each_later_one_the_next() -> None:
    first = manifest("alice", "bob", "carol", epoch=2)
    assert fault_of(approved(first, policy())).what == "intent.target.epoch"
    document = real("Refresh")
    skipped = replace(Manifest.parse(document["manifest"].encode()), epoch=4)
    wanted = Intent.parse(document["canonical"].encode())
    named = reference(skipped, wanted.target.certificate_hash)
    wanted = replace(wanted, target=named)
    document |= {
        "intent": wanted.to_json(),
        "canonical": wanted.encode().decode(),
        "digest": wanted.digest().hex(),
        "manifest": skipped.encode().decode(),
        "approvals": approvals(wanted, skipped, policy(), []),
    }
    assert fault_of(document).what == "intent.target.epoch"


@pytest.mark.parametrize(
    "change",
    [
        {"extra": 1},
        {"v": True},
        {"type": "Sign"},
        {"domain": "wallet"},
        {"nonce": "AB" * 32},
        {"nonce": ""},
        {"not_before": True},
        {"expires": -1},
        {"operators_needed": 0},
        {"overlap_accepted": 0},
        {"request_id": "two words"},
        {"description": 1},
        {"description": "x" * 1001},
        {"eligible": [1]},
        {"replaces": [{"old": "a"}]},
        {"replaces": [{"old": "a", "new": "b"}]},
        {"retires": [[]] * 17},
        {"source": {}},
        {"curves": ["p256"]},
        {"requester": None},
        {"new_policy_hash": "ab" * 32},
        {"original_main": "retired"},
        {"protocol": "reshare/1"},
    ],
    ids=str,
)
def test_r8_a_field_that_no_node_would_take_is_found_though_all_approved_it(change: dict[str, Any]) -> None:
    shown = intent("KeyGen").to_json() | change
    text = canonical_bytes(shown)
    digest = intent_digest(text)
    document = approved(ROSTER, policy()) | {
        "intent": shown,
        "canonical": text.decode(),
        "digest": digest.hex(),
        "approvals": [approval(name, digest).to_json() for name in ("alice", "bob", "carol")],
    }
    assert fault_of(document).what.startswith(("canonical", "intent"))


def test_r8_a_name_that_is_there_twice_is_found() -> None:
    """Whoever reads the first and whoever reads the last would see two requests."""
    text = json.dumps(real("KeyGen"))
    _, fault = verify('{"digest":"00",' + text[1:], vault().anchor().encode().decode())
    assert fault is not None
    assert (fault.what, fault.message) == ("request", "has a name twice")
