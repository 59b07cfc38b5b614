"""Real nodes share a key with other groups, refresh it, change its members and bring lost holders back."""

from itertools import combinations

import pytest

from mpc.curves import curve_named
from mpc.polynomial import lagrange_coefficient
from signers.outcome import open_share
from signers.set_rules import ERASED, FINAL
from tests.signers.mailbox import SUCCEEDED
from tests.signers.world import GROUP, World
from wire.set_statement import ERASED as SAID_ERASED

pytestmark = pytest.mark.slow


def secret_shares(world: World, name: str, group_id: str, epoch: int, curve: str) -> tuple[int, bytes]:
    """Index and secret share, from the node's own store."""
    node = world.nodes[name]
    record = next(
        each for each in node.store.shares.of_group(group_id) if (each.epoch, each.state) == (epoch, FINAL)
    )
    share = open_share(record, node.identity.node_id, node.data_key)
    return share.index, share.secret_share(curve)


def public_key_of(shares: dict[int, bytes]) -> str:
    """The public key, in hex, of what these shares interpolate to."""
    curve = curve_named("secp256k1")
    terms = [
        curve.scalar_multiply(share, lagrange_coefficient(curve, shares, index))
        for index, share in shares.items()
    ]
    return curve.base_multiply(curve.scalar_sum(terms)).encoded.hex()


@pytest.fixture
def family(make_world: object) -> World:
    """Main of a, b, c; x, y and z hold nothing yet and know the anchor."""
    world: World = make_world("a", "b", "c", "x", "y", "z")  # type: ignore[operator]
    world.keygen(["a", "b", "c"])
    return world


def test_a_signing_group_gets_shares_of_the_same_key(family: World) -> None:
    request = family.run(family.ask.share_to("signing-1", ["x", "y"]))
    assert request.state == SUCCEEDED
    assert family.epochs("signing-1") == {"x": 1, "y": 1}
    assert family.epochs() == {"a": 1, "b": 1, "c": 1}
    assert family.roots("x") == family.roots("a")
    # Two of three Main holders dealt; whoever did keeps no set of the new group.
    assert request.ceremony.context.pure_dealers == 2
    (key,) = family.nodes["x"].keys()
    assert (key.role, key.threshold, key.participants) == ("signing", 2, 2)


def test_a_refresh_replaces_every_share_and_erases_the_old_ones(family: World) -> None:
    old = family.store("a").shares.active()[0]
    request = family.run(family.ask.refresh())
    family.sync()
    assert request.state == SUCCEEDED
    assert family.epochs() == {"a": 2, "b": 2, "c": 2}
    for name in ("a", "b", "c"):
        states = [(each.epoch, each.state, bool(each.sealed)) for each in family.store(name).shares.all()]
        assert states == [(1, ERASED, False), (2, FINAL, True)]
        assert len(family.roots(name)) == 2
    family.sync()
    said = {(each.node_id, each.state, each.session_id.hex()) for each in family.mailbox.statements}
    assert said == {(family.node_id(name), SAID_ERASED, old.session_id) for name in "abc"}


def test_38_n17_shares_of_two_epochs_do_not_make_the_key(family: World) -> None:
    """A stolen backup of one holder, and what another holds after a Refresh."""
    root = family.nodes["a"].keys()[0].root_keys[0].public_key
    stolen = secret_shares(family, "a", GROUP, 1, "secp256k1")
    family.run(family.ask.refresh())
    new = {name: secret_shares(family, name, GROUP, 2, "secp256k1") for name in "abc"}
    for pair in combinations("abc", 2):
        assert public_key_of(dict(new[name] for name in pair)) == root
    for name in "bc":
        assert public_key_of(dict([stolen, new[name]])) != root


def test_d01_a_recovery_puts_a_new_node_in_the_place_of_a_lost_one(family: World) -> None:
    family.run(family.ask.share_to("recovery-1", ["x", "y"], role="recovery"))
    # Node b is lost for good.
    family.names.remove("b")
    request = family.run(family.ask.recovery({"b": "z"}, "recovery-1"))
    assert request.state == SUCCEEDED
    assert family.epochs() == {"a": 2, "c": 2, "z": 2}
    assert family.roots("z") == family.roots("a")
    family.sync()
    # What b holds opens with one more old share only, and the two others are erased.
    assert {each.node_id for each in family.mailbox.statements} == {family.node_id("a"), family.node_id("c")}
    assert family.node_id("b") in family.store("a").anchors.revoked("vault-1")


def test_d02_a_recovery_makes_another_main_group_when_main_is_lost(family: World) -> None:
    family.run(family.ask.share_to("recovery-1", ["x", "y"], role="recovery"))
    for name in ("a", "b"):
        family.names.remove(name)
    request = family.run(family.ask.recovery_into("main-2", ["x", "z"], "recovery-1"))
    assert request.state == SUCCEEDED
    assert family.epochs("main-2") == {"x": 1, "z": 1}
    assert family.nodes["x"].anchor("vault-1").main_group_id == "main-2"
    assert family.roots("z") == family.roots("x")


def test_a_change_of_members_and_threshold_keeps_the_key(family: World) -> None:
    before = family.roots("a")
    request = family.run(family.ask.reshare(["a", "c", "x", "y"], threshold=3))
    assert request.state == SUCCEEDED
    assert family.epochs() == {"a": 2, "c": 2, "x": 2, "y": 2}
    assert family.roots("y") == before


def test_every_type_one_after_the_other(family: World) -> None:
    before = family.roots("a")
    family.run(family.ask.share_to("recovery-1", ["x", "y"], role="recovery"))
    family.run(family.ask.refresh())
    family.run(family.ask.recovery({"b": "z"}, "recovery-1"))
    family.run(family.ask.reshare(["a", "z"]))
    family.run(family.ask.refresh("recovery-1"))
    family.run(family.ask.share_to("signing-1", ["c", "y"]))
    assert family.epochs() == {"a": 4, "z": 4}
    assert family.epochs("recovery-1") == {"x": 2, "y": 2}
    assert family.epochs("signing-1") == {"c": 1, "y": 1}
    for name in ("a", "z", "x", "y", "c"):
        assert family.roots(name) == before
