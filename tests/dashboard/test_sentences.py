"""What a request would do, in words: from the signed documents, for every type, and from nothing else."""

import pytest
from django.test import Client as Browser

from dashboard import sentences
from dashboard.sentences import JOINS, LEAVES, STAYS, Meaning, meaning
from tests.dashboard.test_pages import read
from tests.tss.asking import replaced
from tests.tss.nodes import Site
from tss.models import TssRequest
from vaults.models import Group
from vaults.services import HolderChoice
from wire.fields import WireError


def fates(said: Meaning) -> dict[str, str]:
    return {each.node_id: each.fate for each in said.members}


def changed(said: Meaning) -> dict[str, tuple[str, str, bool]]:
    return {each.what: (each.before, each.after, each.alarm) for each in said.changes}


def test_r29_a_key_gen_says_who_will_be_able_to_use_the_key(site: Site) -> None:
    request = site.request(description="Just a test, approve at once")
    said = meaning(request)
    vault, group = str(site.vault.id).split("-")[0], str(site.group.id).split("-")[0]
    assert said.sentence == (
        f"Make a new root key (secp256k1 and ed25519) for vault {vault}, held by Main group {group}: any 2 of"
        " its 3 holders will be able to use it."
    )
    assert "test" not in said.sentence
    assert fates(said) == {signer.node_id: JOINS for signer in site.signers}
    assert changed(said)["Holders needed to use the key"] == ("no key yet", "2 of 3", False)
    assert (said.beside_service, said.operators_needed) == (2, 2)
    assert said.digest == request.digest
    assert all(len(each.words.split()) == 12 for each in said.members)


def test_r28_a_recovery_names_who_is_replaced(keyed: Site, recovery_group: Group) -> None:
    new = keyed.join("Dora")[0]
    old = keyed.signers[1]
    replaced(keyed, old, new)
    said = meaning(
        keyed.request(
            type="Recovery", source_group_id=str(recovery_group.id), target_group_id=str(keyed.group.id)
        )
    )
    assert "1 lost node is replaced for ever" in said.sentence
    assert fates(said) == {
        keyed.signers[0].node_id: STAYS,
        new.node_id: JOINS,
        keyed.signers[2].node_id: STAYS,
        old.node_id: LEAVES,
    }
    assert any("R28" in caution for caution in said.cautions)
    assert sum("root key" in each for each in said.stays) == 2


@pytest.mark.slow
def test_a_lower_threshold_is_marked(db: None) -> None:
    site = Site.make(participants=4, threshold=3)
    site.succeeded()
    leaver = site.signers[3]
    holders = [HolderChoice(tss_node_id=signer.node_id) for signer in site.signers[:3]]
    said = meaning(site.request(type="Reshare", threshold=2, holders=holders))
    assert "0 of its holders will be new, 1 will be gone, and any 2 of its 3 holders" in said.sentence
    assert changed(said)["Holders needed to use the key"] == ("3 of 4", "2 of 3", True)
    assert fates(said)[leaver.node_id] == LEAVES


def test_shares_for_another_group_leave_the_main_group_alone(keyed: Site) -> None:
    group = keyed.new_group(type="SigningGroup", signers=[*keyed.join("Dora"), keyed.signers[0]])
    said = meaning(keyed.request(group, type="KeyGenFromKeyGroup", source_group_id=str(keyed.group.id)))
    assert said.sentence.startswith("Give shares of the root key of vault")
    assert (
        changed(said)["Holders needed to use the key"][1] == "2 of 3 of Main, or 2 of 2 of the Signing group"
    )
    assert set(fates(said).values()) == {JOINS}
    assert "The Main group, its shares and its threshold" in said.stays


def test_a_role_change_makes_no_share(keyed: Site) -> None:
    group = keyed.new_group(type="SigningGroup", signers=[*keyed.join("Dora"), keyed.signers[0]])
    keyed.succeeded(group, type="KeyGenFromKeyGroup", source_group_id=str(keyed.group.id))
    said = meaning(
        keyed.request(group, type="RoleChange", source_group_id=str(keyed.group.id), original_main="retired")
    )
    assert "the old Main group is retired" in said.sentence
    assert changed(said)["Role of the group"] == ("Signing", "Main", False)
    assert "Every share: none is made, moved or erased" in said.stays


def test_new_rules_are_compared_with_the_old(keyed: Site) -> None:
    said = meaning(keyed.request(type="PolicyChange", policy={"erase_grace": 5000, "shared_nodes": False}))
    assert changed(said)["Retired shares are kept for, milliseconds"][1] == "5000"
    assert changed(said)["One node may be in several groups"] == ("yes", "no", False)
    assert len(said.changes) == 2


@pytest.mark.parametrize("field", ["intent", "manifest", "policy", "digest"])
def test_a_page_shows_no_sentence_for_documents_that_do_not_fit(site: Site, ann: Browser, field: str) -> None:
    request = site.request()
    other = Site.make().request()
    TssRequest.objects.filter(pk=other.pk).update(digest="00" * 32)
    TssRequest.objects.filter(pk=request.pk).update(**{field: getattr(other, field)})
    spoilt = TssRequest.objects.get(pk=request.pk)
    with pytest.raises(WireError):
        sentences.meaning(spoilt)
    page = read(ann, "request", request.id)
    assert "Do not approve this." in page
    assert "Make a new root key" not in page
    assert f"approve {request.id}" not in page
    assert "data-vote" not in page
