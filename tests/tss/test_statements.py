"""Signed statements about retired shares: only where a later set has taken their place (R26, R28)."""

import pytest

from audit.models import AuditRow
from tests.tss.nodes import Site
from tss import statements
from tss.errors import ItemRefused
from tss.models import Ceremony, SetStatement
from wire.fields import WireError

pytestmark = pytest.mark.embedded


@pytest.fixture
def old(keyed: Site) -> Ceremony:
    """The KeyGen whose set a Refresh has superseded."""
    keyed.succeeded(type="Refresh")
    return Ceremony.objects.select_related("request").get(request__type="KeyGen")


def test_r28_erased_share_is_recorded_once(keyed: Site, old: Ceremony) -> None:
    alice, bob, _ = keyed.signers
    for signer in (alice, alice, bob):
        signer.state(old, "erased")
    rows = SetStatement.objects.filter(ceremony=old, state="erased")
    assert {row.node_id for row in rows} == {alice.node_id, bob.node_id}
    assert AuditRow.objects.filter(act="share_set.erased").count() == 2


def test_later_statement_of_a_kind_changes_nothing(keyed: Site, old: Ceremony) -> None:
    alice = keyed.signers[0]
    alice.state(old, "erased", time=1)
    alice.state(old, "erased", time=2)
    assert SetStatement.objects.get().signed["time"] == 1


def test_r26_share_in_use_is_not_erased(keyed: Site, old: Ceremony) -> None:
    current = Ceremony.objects.select_related("request").get(request__type="Refresh")
    assert refused(keyed, current, "erased") == "not_superseded"
    assert refused(keyed, current, "abandoned") == "activated"


def refused(site: Site, ceremony: Ceremony, state: str, **changes: object) -> str:
    alice = site.signers[0]
    before = SetStatement.objects.count()
    with pytest.raises(ItemRefused) as caught:
        alice.state(ceremony, state, **changes)
    assert SetStatement.objects.count() == before
    return caught.value.code


def test_r26_left_over_share_of_a_failed_attempt(keyed: Site) -> None:
    """Prepared, and then not: it is worth nothing once a set of its epoch has become final."""
    alice = keyed.signers[0]
    failed = keyed.started(type="Refresh")
    keyed.play(failed, rounds=1)
    alice.receive(failed)
    keyed.signers[1].abort(failed, 2, code="operator", message="stopped")
    assert refused(keyed, failed, "erased") == "not_superseded"
    keyed.succeeded(type="Refresh")
    alice.state(failed, "erased")
    assert SetStatement.objects.get().ceremony_id == failed.session_id


def test_who_only_dealt_has_nothing_to_erase(keyed: Site) -> None:
    side = keyed.new_group(type="SigningGroup", signers=keyed.join("Desk", "Server"))
    keyed.succeeded(side, type="KeyGenFromKeyGroup", source_group_id=str(keyed.group.id))
    made = Ceremony.objects.select_related("request").get(request__target_group=side)
    keyed.succeeded(side, type="Refresh")
    dealer = keyed.signer(made.dealers[0])
    with pytest.raises(ItemRefused) as caught:
        dealer.state(made, "erased")
    assert caught.value.code == "no_share"


def test_statement_is_its_own_nodes_about_its_own_set(keyed: Site, old: Ceremony) -> None:
    alice, bob, _ = keyed.signers
    assert refused(keyed, old, "erased", epoch=2) == "other_set"
    assert refused(keyed, old, "erased", group_id=str(keyed.vault.id)) == "other_set"
    assert refused(keyed, old, "erased", vault_id=str(keyed.group.id)) == "other_set"
    assert refused(keyed, old, "erased", session_id=bytes(32)) == "unknown_session"
    assert refused(keyed, old, "erased", node_id=bob.node_id) == "foreign_node"
    forged = {**alice.statement(old, "erased"), "time": 7}
    with pytest.raises(ItemRefused) as caught:
        statements.accept(node=alice.row, value=forged)
    assert caught.value.code == "bad_signature"
    with pytest.raises(WireError):
        statements.accept(node=alice.row, value={**forged, "state": "lost"})
