"""No secret of a participant shows in what it sends, in a repr or in an error; stored shares are checked."""

from dataclasses import replace

import pytest

from mpc.curves import curve_named
from mpc.dealing_secrets import draw_coefficients, session_key
from mpc.errors import EncodingError, InvalidCertificate
from mpc.keyshare import KeyShare
from mpc.polynomial import evaluate
from tests.mpc.ceremony import Ceremony, complete, make_context


def test_16_nothing_that_is_sent_holds_a_secret() -> None:
    ceremony = Ceremony(make_context(2, 3)).start()
    context = ceremony.context
    secrets: set[bytes] = set()
    for index, machine in ceremony.machines.items():
        seeds = machine._secrets
        secrets |= {seeds.dealing_seed, seeds.receiving_seed}
        secrets |= {session_key(seeds.receiving_seed, dealer) for dealer in context.others(index)}
        for name, coefficients in zip(
            context.curves, draw_coefficients(context, seeds.dealing_seed), strict=True
        ):
            secrets |= set(coefficients)
            secrets |= {evaluate(curve_named(name), coefficients, each) for each in context.indices}
    ceremony.run_until(4)
    for share in ceremony.shares.values():
        secrets |= set(share.secret_shares)
    everything = b"".join(body for bodies in ceremony.sent.values() for body in bodies.values())
    everything += ceremony.certificates[1].encode()
    found = [secret for secret in secrets if secret in everything or secret[::-1] in everything]
    assert len(secrets) >= 3 * (2 + 2 + 4 + 6 + 2)
    assert not found
    # The search itself works: a public value of a participant is found the same way.
    assert ceremony.certificates[1].statement.ssid in everything


def test_representations_hide_secrets() -> None:
    ceremony = Ceremony(make_context(2, 2)).run_until(1)
    machine = ceremony.machines[1]
    kept = machine._secrets
    ceremony.run_round(1)
    share = ceremony.shares[1]
    for secret in (kept.receiving_seed, *kept.own_shares, *share.secret_shares):
        for shown in (repr(machine), repr(share), str(share)):
            assert secret.hex() not in shown
            assert repr(secret)[2:-1] not in shown


def test_a_stored_share_reads_back_only_with_its_statement() -> None:
    share = complete(2, 3).shares[2]
    data = share.encode()
    assert KeyShare.parse(data) == share
    assert share.secret_share("ed25519") == share.secret_shares[1]
    for size in range(0, len(data), 11):
        with pytest.raises(EncodingError):
            KeyShare.parse(data[:size])
    for wrong in (data + b"\x00", b"\x02" + data[1:]):
        with pytest.raises(EncodingError):
            KeyShare.parse(wrong)


def test_a_share_that_is_not_its_statements_is_refused_without_showing_it() -> None:
    ceremony = complete(2, 3)
    share = ceremony.shares[2]
    foreign = complete(2, 3).shares[2]
    for wrong in (
        replace(share, secret_shares=foreign.secret_shares),
        replace(share, secret_shares=share.secret_shares[::-1]),
        replace(share, secret_shares=(bytes(32), share.secret_shares[1])),
        replace(share, index=1),
        replace(share, statement=foreign.statement),
    ):
        with pytest.raises(InvalidCertificate) as caught:
            KeyShare.parse(wrong.encode())
        assert share.secret_shares[0].hex() not in str(caught.value)
    for index in (0, 4):
        with pytest.raises(InvalidCertificate):
            replace(share, index=index).verify()
    with pytest.raises(InvalidCertificate):
        replace(share, secret_shares=share.secret_shares[:1]).verify()


def test_a_share_of_one_curve_has_no_other() -> None:
    share = complete(2, 2, curves=("ed25519",)).shares[1]
    with pytest.raises(InvalidCertificate, match="curves"):
        share.secret_share("secp256k1")
