"""Every change that a consumer may care about has its event, beside those of the request itself."""

from collections import Counter
from typing import Any

import pytest

from tests.tss.nodes import Site
from tests.tss.test_decrees import carried_out
from tss.models import Ceremony
from vaults import policies
from vaults.models import Group
from webhooks.models import OutboxEvent

pytestmark = pytest.mark.embedded


class News:
    """What was emitted since it was asked last, without the requests' own events."""

    def __init__(self) -> None:
        self._seen = 0
        self.since()

    def since(self) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {}
        for event in OutboxEvent.objects.filter(sequence__gt=self._seen).order_by("sequence"):
            self._seen = event.sequence
            if ".tss_request." not in event.type:
                found.setdefault(event.type.removeprefix("quorate."), []).append(event.data)
        return found


def counted(news: dict[str, list[dict[str, Any]]]) -> Counter[str]:
    return Counter({type: len(each) for type, each in news.items()})


def test_a_key_gen(site: Site) -> None:
    news = News()
    site.succeeded()
    found = news.since()
    assert counted(found) == Counter(
        {"approval.approved": 3, "share_set.activated": 1, "group.updated": 1, "mpc_vaults.updated": 1}
    )
    (vault,), (group,) = found["mpc_vaults.updated"], found["group.updated"]
    assert {key["curve"] for key in vault["root_pubkeys"]} == {"SECP256K1", "ED25519"}
    assert (group["status"], group["epoch"]) == ("Valid", 1)
    assert {each["tss_node_id"] for each in found["approval.approved"]} == {s.node_id for s in site.signers}


def test_a_rejection_and_a_withdrawal(site: Site) -> None:
    news = News()
    request = site.request()
    alice, bob, _ = site.signers
    alice.decide(request)
    alice.decide(request, "withdraw")
    # That was the end of this one: a KeyGen needs everybody.
    bob.decide(site.request(), "reject")
    assert counted(news.since()) == Counter(
        {"approval.approved": 1, "approval.withdrawn": 1, "approval.rejected": 1}
    )


def test_a_refresh_and_the_erasing_of_the_old_shares(keyed: Site) -> None:
    old = Ceremony.objects.get()
    news = News()
    keyed.succeeded(type="Refresh")
    keyed.signers[0].state(old, "erased")
    found = news.since()
    assert counted(found) == Counter(
        {
            "approval.approved": 3,
            "share_set.activated": 1,
            "share_set.superseded": 1,
            "group.updated": 1,
            "share_set.erased": 1,
        }
    )
    assert (found["share_set.superseded"][0]["epoch"], found["share_set.activated"][0]["epoch"]) == (1, 2)


def test_another_policy(keyed: Site) -> None:
    news = News()
    carried_out(keyed, type="PolicyChange", target_group_id="", policy={"erase_grace": 1000})
    found = news.since()
    assert counted(found) == Counter({"approval.approved": 2, "vault.policy_changed": 1})
    keyed.vault.refresh_from_db()
    (changed,) = found["vault.policy_changed"]
    assert changed["policy_hash"] == policies.current(keyed.vault).hash().hex()


def test_another_main_group(keyed: Site, signing_group: Group) -> None:
    news = News()
    carried_out(keyed, signing_group, type="RoleChange", original_main="retired")
    found = news.since()
    assert [each["status"] for each in found["group.updated"]] == ["Unavailable", "Valid"]
    assert [each["retired"] for each in found["group.updated"]] == [True, False]
    (superseded,) = found["share_set.superseded"]
    assert superseded["key_share_holder_group_id"] == str(keyed.group.id)
