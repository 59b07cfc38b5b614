"""One protocol for four jobs: whatever holders and threshold it leads to, root keys and chain codes stay."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest

from mpc.curves import curve_named
from mpc.dealing import Dealing, certificate_of
from mpc.errors import InvalidCertificate, InvalidParameters
from mpc.protocol import Machine
from mpc.session import Dealer
from tests.mpc.ceremony import Ceremony, complete, interpolate_secret, make_context, reshare, signer
from tests.mpc.resharing import BOTH, DEALERS, MAIN, NODES, PURE, RECEIVER, RECEIVERS, mixed

# Job: threshold and node numbers of the new set; source indices of the dealers.
JOBS = {
    "KeyGenFromKeyGroup, 2-of-2 signing": (2, (4, 5), (1, 2)),
    "KeyGenFromKeyGroup, 3-of-5 recovery": (3, (4, 5, 6, 7, 8), (1, 3)),
    "KeyGenFromKeyGroup, some hold both": (2, (3, 1, 9), (2, 3)),
    "Refresh": (2, (1, 2, 3), (2, 3)),
    "Recovery, member 1 replaced": (2, (7, 2, 3), (2, 3)),
    "higher threshold": (3, (1, 2, 3), (1, 2)),
    "member added": (2, (1, 2, 3, 4), (1, 3)),
    "members in another order": (2, (3, 1, 2), (1, 2)),
    "member removed": (2, (1, 3), (1, 3)),
    "more dealers than holders": (2, (8, 9), (2, 3)),
}


def root_secrets(ceremony: Ceremony, quorum: Sequence[int]) -> list[int]:
    shares = [ceremony.shares[index] for index in quorum]
    return [
        interpolate_secret(curve_named(name), {share.index: share.secret_share(name) for share in shares})
        for name in ceremony.context.curves
    ]


@pytest.mark.parametrize(("threshold", "nodes", "dealers"), JOBS.values(), ids=JOBS)
def test_35_any_threshold_of_new_holders_has_the_same_root_keys(
    threshold: int, nodes: tuple[int, ...], dealers: tuple[int, ...]
) -> None:
    ceremony = reshare(MAIN, threshold, nodes, dealers).run_until(4)
    certificate = ceremony.certificate
    certificate.verify()
    statement = certificate.statement
    assert statement.root_extended_public_keys() == MAIN.statement.root_extended_public_keys()
    assert [len(result.public_shares) for result in statement.curves] == [len(nodes)] * 2
    assert set(ceremony.shares) == set(range(1, len(nodes) + 1))
    expected = root_secrets(MAIN, (1, 2))
    for quorum in combinations(ceremony.shares, threshold):
        assert root_secrets(ceremony, quorum) == expected
    for quorum in combinations(ceremony.shares, threshold - 1):
        assert all(
            found != root for found, root in zip(root_secrets(ceremony, quorum), expected, strict=True)
        )
    assert ceremony.culprit() is None
    assert certificate_of(ceremony.context, ceremony.sent, ceremony.source) == certificate


def test_a_larger_source_and_a_chain_of_reshares() -> None:
    base = complete(3, 5)
    first = reshare(base, 5, range(4, 13), (1, 3, 5)).run_until(4)
    second = reshare(first, 3, (1, 2, 3, 4, 5), (9, 7, 5, 3, 1)).run_until(4)
    assert root_secrets(second, (1, 3, 5)) == root_secrets(base, (2, 3, 4))
    assert second.statement.root_extended_public_keys() == base.statement.root_extended_public_keys()


@pytest.mark.parametrize("curve", ["secp256k1", "ed25519"])
def test_a_key_of_one_curve_is_reshared_alone(curve: str) -> None:
    base = complete(2, 2, curves=(curve,))
    ceremony = reshare(base, 2, (1, 3, 4)).run_until(4)
    assert ceremony.statement.result(curve).root_key == base.statement.result(curve).root_key


def test_each_attempt_deals_new_polynomials() -> None:
    first, second = (reshare(MAIN, 2, (1, 2, 3)).run_until(4) for _ in range(2))
    for index in (1, 2, 3):
        shares = {each.shares[index].secret_shares for each in (first, second, MAIN)}
        assert len(shares) == 3


def test_who_only_deals_checks_and_signs_all_and_holds_nothing() -> None:
    ceremony = mixed().run_until(4)
    assert set(ceremony.shares) == set(RECEIVERS)
    assert PURE in ceremony.certificates
    assert len(ceremony.certificate.prepared) == len(ceremony.certificate.activated) == 4
    with pytest.raises(InvalidCertificate, match="index"):
        replace(ceremony.shares[BOTH], index=PURE).verify()


def test_the_pending_share_comes_with_the_prepared_signature_and_only_there() -> None:
    ceremony = mixed().run_until(1)
    assert not ceremony.shares
    ceremony.run_round(1)
    pending = dict(ceremony.shares)
    assert set(pending) == set(RECEIVERS)
    ceremony.run_round(2).run_round(3)
    assert ceremony.shares == pending


def test_notes_of_dealers_and_receivers_reach_everybody_after_round_0() -> None:
    ceremony = mixed().start().run_round(0)
    expected = {index: f"notes {index}".encode() for index in (1, 2, 3, 4)}
    assert all(machine.notes == expected for machine in ceremony.machines.values())


def test_a_single_holder_is_possible_where_a_caller_allows_it() -> None:
    base = Ceremony(make_context(1, 1, allow_single=True)).run_until(4)
    ceremony = reshare(base, 2, (1, 2)).run_until(4)
    assert root_secrets(ceremony, (1, 2)) == root_secrets(base, (1,))


def test_a_reshare_is_a_machine_as_the_runner_knows_it() -> None:
    ceremony = mixed()
    machine: Machine
    machine, step = Dealing.start(ceremony.context, RECEIVER, signer(4), source=ceremony.source)
    assert (machine.round, machine.finished, len(step.outgoing)) == (0, False, 1)


def start(index: int = BOTH, **changes: Any) -> None:
    ceremony = mixed()
    arguments: dict[str, Any] = {
        "context": ceremony.context,
        "source": ceremony.source,
        "share": ceremony.held.get(index),
        **changes,
    }
    Dealing.start(index=index, sign=signer(1), **arguments)


def test_a_dealer_brings_its_own_share_of_the_source_set_and_nobody_else_any() -> None:
    held = mixed().held
    for index in DEALERS:
        with pytest.raises(InvalidParameters, match="share"):
            start(index, share=None)
    with pytest.raises(InvalidParameters, match="share"):
        start(RECEIVER, share=held[BOTH])
    for wrong in (held[PURE], MAIN.shares[3], complete(2, 3).shares[2]):
        with pytest.raises(InvalidParameters, match="share"):
            start(BOTH, share=wrong)
    with pytest.raises(InvalidCertificate):
        start(BOTH, share=replace(held[BOTH], secret_shares=held[PURE].secret_shares))


def test_a_share_has_no_place_in_a_key_gen_and_a_reshare_has_a_source() -> None:
    with pytest.raises(InvalidParameters, match="share"):
        Dealing.start(make_context(2, 3), 1, signer(1), share=MAIN.shares[1])
    with pytest.raises(InvalidParameters, match="source"):
        Dealing.start(make_context(2, 3), 1, signer(1), source=MAIN.statement)
    with pytest.raises(InvalidParameters, match="source"):
        start(source=None, share=None)


CONTEXT = mixed().context
NOT_T_OLD_HOLDERS: dict[str, tuple[str, dict[str, Any]]] = {
    "fewer than t": ("dealers", {"dealers": (Dealer(PURE, 1),)}),
    "more than t": ("dealers", {"dealers": (Dealer(PURE, 1), Dealer(BOTH, 2), Dealer(RECEIVER, 3))}),
    "share of another": ("dealers", {"dealers": (Dealer(BOTH, 1), Dealer(PURE, 2))}),
    "not in the old group": (
        "dealers",
        {"dealers": (Dealer(PURE, 1), Dealer(RECEIVER, 2)), "pure_dealers": 1},
    ),
    "no such share": ("source_index", {"dealers": (Dealer(PURE, 1), Dealer(BOTH, 4))}),
    "another set": ("previous_certificate_hash", {"previous_certificate_hash": bytes(32)}),
    "another domain": ("domain", {"domain": "wallet"}),
    "fewer curves": ("curves", {"curves": ("ed25519",)}),
}


@pytest.mark.parametrize(("field", "changes"), NOT_T_OLD_HOLDERS.values(), ids=NOT_T_OLD_HOLDERS)
def test_34_43_dealers_are_exactly_t_holders_of_the_source_set(field: str, changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameters, match=field):
        start(context=replace(CONTEXT, **changes))


@pytest.mark.parametrize("field", ["verify_key", "node_id"])
def test_34_a_dealer_is_known_by_the_key_and_id_that_it_was_certified_with(field: str) -> None:
    members = list(CONTEXT.participants)
    other: dict[str, Any] = {"verify_key": bytes(range(32)), "node_id": "node77"}
    members[PURE - 1] = replace(members[PURE - 1], **{field: other[field]})
    with pytest.raises(InvalidParameters, match="dealers"):
        start(context=replace(CONTEXT, participants=tuple(members)))


def test_34_who_only_dealt_a_set_is_none_of_its_holders() -> None:
    child = mixed().run_until(4)
    honest = reshare(child, 2, (2, 4, 1), (1, 2)).context
    context = replace(honest, dealers=(Dealer(1, 1), Dealer(3, PURE)), pure_dealers=0)
    with pytest.raises(InvalidParameters, match="source_index"):
        Dealing.start(context, 1, signer(2), source=child.statement, share=child.shares[BOTH])


def test_the_context_of_the_scenario_is_what_the_tests_say() -> None:
    assert CONTEXT.dealers == (Dealer(PURE, 1), Dealer(BOTH, 2))
    assert [member.node_id for member in CONTEXT.participants] == [f"node{node}" for node in (*NODES, 1)]
