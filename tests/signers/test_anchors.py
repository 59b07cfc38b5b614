"""What a node knows of a key before it joins it, and the chain of certificates from there (R3, R6, 47)."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from signers.errors import NodeError
from tests.signers.lineage import MAIN, SIGNING, SPARE, Lineage, Proposal, refusal
from wire.anchor import Anchor
from wire.canonical import CanonicalError
from wire.fields import WireError
from wire.intent import ExpectedKey

pytestmark = pytest.mark.slow


def forget(vault: Lineage, name: str, *tables: str) -> None:
    for table in tables:
        vault.members[name].store.database.execute(f"DELETE FROM {table}")  # noqa: S608


def test_r6_whoever_made_the_key_has_its_anchor(vault: Lineage) -> None:
    anchor = vault.anchor("a")
    statement = vault.sets[MAIN].certificate.statement
    assert anchor == vault.anchor("b") == vault.anchor("c")
    assert anchor.main_group_id == MAIN
    assert anchor.policy_hash == vault.policy.hash()
    assert [key.root_key for key in anchor.root_keys] == [each.root_key for each in statement.curves]
    assert anchor.certificate_hash == vault.sets[MAIN].certificate.hash()


@pytest.mark.parametrize(
    "type", ["share_to", "refresh", "recover", "reshare", "change_role", "change_policy"]
)
def test_r6_a_node_that_does_not_know_the_key_does_not_join_it(vault: Lineage, type: str) -> None:
    forget(vault, "a", "anchors", "certificates")
    assert refusal(lambda: vault.judge("a", proposals(vault)[type])) == "no_anchor"


def proposals(vault: Lineage) -> dict[str, Proposal]:
    return {
        "share_to": vault.share_to("signing-2", "ax", 2),
        "refresh": vault.refresh(),
        "recover": vault.recover({"c": "x"}),
        "reshare": vault.reshare("abx", 2),
        "change_role": vault.change_role(SIGNING),
        "change_policy": vault.change_policy(required_approvals=3),
    }


def test_r6_the_refusal_tells_what_to_do(vault: Lineage) -> None:
    forget(vault, "x", "anchors")
    with pytest.raises(NodeError, match=r"anchor export vault-1.*twelve words.*anchor pin"):
        vault.judge("x", vault.recover({"c": "x"}))


def test_r6_a_pinned_anchor_lets_a_node_join(vault: Lineage) -> None:
    checked = vault.judge("x", vault.recover({"c": "x"}))
    assert checked.source is not None
    assert checked.source.hash() == vault.sets[SPARE].certificate.hash()


def test_r6_an_anchor_is_never_pinned_over_another(vault: Lineage) -> None:
    with pytest.raises(NodeError) as caught:
        vault.give_anchor("a", "x")
    assert caught.value.code == "anchor_known"
    with pytest.raises(NodeError):
        vault.give_anchor("a", "b")


@pytest.mark.parametrize(
    "column", ["anchor = REPLACE(anchor, 'main-1', 'main-2')", "pinned_by = 'me'", "checked_how = 'x'"]
)
def test_r6_an_anchor_written_by_somebody_else_is_no_anchor(vault: Lineage, column: str) -> None:
    vault.members["x"].store.database.execute(f"UPDATE anchors SET {column}")  # noqa: S608
    assert refusal(lambda: vault.judge("x", vault.recover({"c": "x"}))) == "anchor_tampered"


def test_r6_a_certificate_written_by_somebody_else_is_not_trusted(vault: Lineage) -> None:
    vault.members["a"].store.database.execute("UPDATE certificates SET group_id = 'main-2'")
    assert refusal(lambda: vault.judge("a", vault.refresh())) == "anchor_tampered"


def test_r6_the_words_follow_every_field(vault: Lineage) -> None:
    anchor = vault.anchor("a")
    others = [
        replace(anchor, organisation_id="org-2"),
        replace(anchor, vault_id="vault-2"),
        replace(anchor, certificate_hash=bytes(32)),
        replace(anchor, root_keys=anchor.root_keys[:1]),
        replace(anchor, policy_hash=bytes(32)),
        replace(anchor, main_group_id="main-2"),
    ]
    assert len({each.words() for each in (anchor, *others)}) == 7
    assert Anchor.parse(anchor.encode()) == anchor
    assert len(anchor.words().split()) == 12


@pytest.mark.parametrize("change", [lambda text: text + b" ", lambda text: text.replace(b'"v":1', b'"v":2')])
def test_r8_an_anchor_has_one_text(vault: Lineage, change: Callable[[bytes], bytes]) -> None:
    with pytest.raises((CanonicalError, WireError)):
        Anchor.parse(change(vault.anchor("a").encode()))


# keys


@pytest.mark.parametrize("field", ["root_key", "chain_code"])
def test_r3_a_request_for_other_keys_than_the_anchors(vault: Lineage, field: str) -> None:
    proposal = vault.refresh()
    first = proposal.intent.expected[0]
    zeros: dict[str, Any] = {field: bytes(len(getattr(first, field)))}
    other: ExpectedKey = replace(first, **zeros)
    foreign = proposal.but(expected=(other, *proposal.intent.expected[1:]))
    assert refusal(lambda: vault.judge("a", foreign)) == "key_mismatch"


def test_r6_an_anchor_of_another_organisation(vault: Lineage) -> None:
    proposal = vault.refresh()
    manifest = replace(proposal.manifest, organisation_id="org-2")
    source = replace(vault.sets[MAIN].manifest, organisation_id="org-2")
    assert proposal.intent.source is not None
    reference = replace(proposal.intent.source, manifest_hash=source.hash())
    moved = replace(proposal.with_manifest(manifest), source_manifest=source)
    moved = moved.but(organisation_id="org-2", source=reference)
    assert refusal(lambda: vault.judge("a", moved)) == "organisation_mismatch"


# chain


def test_r6_without_the_certificates_nothing_is_proved(vault: Lineage) -> None:
    recovery = vault.recover({"c": "x"})
    assert refusal(lambda: vault.judge("x", recovery, certificates=())) == "source_not_certified"
    keygen = vault.certificates[0].encode()
    assert refusal(lambda: vault.judge("x", recovery, certificates=(keygen,))) == "source_not_certified"
    source = vault.sets[SPARE].certificate.encode()
    assert refusal(lambda: vault.judge("x", recovery, certificates=(source,))) == "source_not_certified"


def test_r6_what_was_proved_once_need_not_be_shown_again(vault: Lineage) -> None:
    recovery = vault.recover({"c": "x"})
    vault.judge("x", recovery)
    assert vault.judge("x", recovery, certificates=()).voter


def test_r6_the_set_that_the_target_holds_is_proved_too(vault: Lineage) -> None:
    vault.run(vault.refresh(), "ab")
    recovery = vault.recover({"c": "x"})
    without = tuple(each.encode() for each in vault.certificates[:-1])
    assert refusal(lambda: vault.judge("x", recovery, certificates=without)) == "target_not_certified"


@pytest.mark.parametrize("garbage", [b"", b"\x01", bytes(100)])
def test_r6_certificates_that_do_not_parse_are_passed_over(vault: Lineage, garbage: bytes) -> None:
    shown = (garbage, *(each.encode() for each in vault.certificates))
    assert vault.judge("x", vault.recover({"c": "x"}), certificates=shown).voter


def test_r6_a_forged_certificate_proves_nothing(vault: Lineage) -> None:
    recovery = vault.recover({"c": "x"})
    source = vault.sets[SPARE].certificate
    for forged in (
        replace(source, prepared=source.activated, activated=source.prepared),
        replace(source, activated=(bytes(64), *source.activated[1:])),
    ):
        judge = partial(
            vault.judge, "x", recovery, certificates=(vault.certificates[0].encode(), forged.encode())
        )
        assert refusal(judge) == "source_not_certified"


def test_r6_another_vaults_chain_does_not_reach_this_anchor(vault: Lineage, tmp_path: Any) -> None:
    other = Lineage(tmp_path / "other", "abcfgh")
    try:
        other.run(other.key_gen("abc"))
        other.give_anchor("a", *"fgh")
        other.run(other.share_to(SPARE, "fgh", 2, "recovery"), "ab")
        foreign = other.sets[SPARE]
        proposal = vault.recover({"c": "x"})
        mixed = replace(proposal, source_manifest=foreign.manifest).but(
            source=foreign.reference(), eligible=foreign.manifest.node_ids
        )
        shown = tuple(each.encode() for each in (*vault.certificates, *other.certificates))
        assert refusal(lambda: vault.judge("x", mixed, certificates=shown)) == "source_not_certified"
    finally:
        other.close()


@pytest.mark.parametrize("field", ["role", "threshold", "epoch"])
def test_the_source_is_what_its_certificate_says(vault: Lineage, field: str) -> None:
    values: dict[str, Any] = {"role": "recovery", "threshold": 3, "epoch": 2}
    proposal = vault.refresh()
    source = replace(vault.sets[MAIN].manifest, **{field: values[field]})
    assert proposal.intent.source is not None
    reference = replace(proposal.intent.source, manifest_hash=source.hash(), **{field: values[field]})
    lie = replace(proposal, source_manifest=source).but(source=reference)
    assert refusal(lambda: vault.judge("a", lie)) == "source_mismatch"


def test_the_source_roster_is_the_certified_one(vault: Lineage) -> None:
    """A coordinator that shows its own node as a source holder could vote and deal for it."""
    proposal = vault.share_to("signing-2", "xy", 2)
    holders = (*vault.sets[MAIN].manifest.holders[:2], vault.members["d"].card)
    source = replace(vault.sets[MAIN].manifest, holders=holders)
    assert proposal.intent.source is not None
    reference = replace(proposal.intent.source, manifest_hash=source.hash())
    lie = replace(proposal, source_manifest=source).but(source=reference, eligible=source.node_ids)
    assert refusal(lambda: vault.judge("x", lie)) == "source_mismatch"


# superseded sets


def test_47_a_source_that_a_later_set_took_the_place_of(vault: Lineage) -> None:
    old = vault.share_to("signing-2", "xy", 2)
    vault.run(vault.refresh(), "ab")
    assert refusal(lambda: vault.judge("a", old)) == "source_superseded"
    # Whoever joins does not know of the refresh; a threshold of the dealers does.
    assert vault.judge("x", old).voter


def test_47_a_target_that_a_later_set_took_the_place_of(vault: Lineage) -> None:
    old = vault.recover({"c": "x"})
    vault.run(vault.refresh(), "ab")
    assert refusal(lambda: vault.judge("a", old)) == "target_superseded"


def test_47_a_group_that_holds_shares_is_not_made_again(vault: Lineage) -> None:
    again = vault.share_to(SIGNING, "de", 2).intent
    proposal = vault.share_to(SIGNING, "de", 2).but(target=replace(again.target, certificate_hash=b""))
    assert refusal(lambda: vault.judge("d", proposal)) == "target_superseded"


def test_the_target_set_is_the_target_groups(vault: Lineage) -> None:
    proposal = vault.recover({"c": "x"})
    other = replace(proposal.intent.target, certificate_hash=vault.sets[SIGNING].certificate.hash())
    assert refusal(lambda: vault.judge("a", proposal.but(target=other))) == "target_mismatch"


def test_n24_a_node_that_was_left_out_cannot_rejoin_silently(vault: Lineage) -> None:
    """Node c was away while the members changed and shares were refreshed."""
    vault.run(vault.reshare("abx", 2), "ab", unseen="c")
    vault.run(vault.refresh(), "ab")
    vault.run(vault.refresh(), "bx")
    current = vault.refresh()
    with pytest.raises(NodeError, match="a Recovery or a change of members has to name it") as caught:
        vault.judge("c", current)
    assert caught.value.code == "not_a_member"
    # Named again, it is a new holder like any other.
    assert vault.judge("c", vault.reshare("abc", 2)).voter


def test_r17_an_old_main_holder_is_told_of_a_recovery(vault: Lineage) -> None:
    recovery = vault.recover({"c": "x"})
    told = vault.judge("c", recovery)
    assert not told.voter
    assert told.rule is None
    assert not vault.judge("c", vault.recover_into("main-2", "xy", 2)).voter
    assert not vault.judge("c", vault.change_role(SIGNING, source=SPARE)).voter
    # Nobody else is shown what it has no part in, nor an old holder what is no Recovery.
    assert refusal(lambda: vault.judge("y", recovery)) == "not_a_member"
    shares = vault.share_to("signing-2", "xy", 2).but(eligible=vault.ids("ab"))
    assert refusal(lambda: vault.judge("c", shares)) == "not_a_member"


def test_r17_a_holder_is_told_of_a_change_of_members_that_leaves_it_out(vault: Lineage) -> None:
    assert not vault.judge("c", vault.reshare("abx", 2).but(eligible=vault.ids("ab"))).voter
    assert vault.judge("c", vault.reshare("abx", 2)).voter
