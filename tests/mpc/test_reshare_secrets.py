"""No secret of a reshare shows in what is sent or in a repr: not a share, old or new, not a coefficient."""

from mpc.curves import curve_named
from mpc.dealing_secrets import session_key
from mpc.polynomial import evaluate
from tests.mpc.cheating import coefficients_of
from tests.mpc.resharing import BOTH, DEALERS, MAIN, RECEIVERS, mixed


def test_16_nothing_that_is_sent_holds_a_secret() -> None:
    ceremony = mixed().start()
    context = ceremony.context
    secrets: set[bytes] = set()
    for index, machine in ceremony.machines.items():
        kept = machine._secrets
        secrets |= {kept.dealing_seed, kept.receiving_seed} - {b""}
        if index in RECEIVERS:
            secrets |= {session_key(kept.receiving_seed, dealer) for dealer in context.other_dealers(index)}
    for dealer in DEALERS:
        for name, coefficients in zip(context.curves, coefficients_of(ceremony, dealer), strict=True):
            secrets |= set(coefficients)
            secrets |= {evaluate(curve_named(name), coefficients, each) for each in RECEIVERS}
    ceremony.run_until(4)
    for share in (*MAIN.shares.values(), *ceremony.shares.values()):
        secrets |= set(share.secret_shares)
    everything = b"".join(body for bodies in ceremony.sent.values() for body in bodies.values())
    everything += ceremony.certificate.encode()
    # Seeds; session keys; coefficients, of which the constants are the dealers' shares; shares dealt; old and
    # new shares, the old ones of the dealers counted already.
    assert len(secrets) == (2 + 3) + 5 + 2 * 2 * 2 + 2 * 2 * 3 + (3 * 2 - 2 * 2) + 3 * 2
    assert not [secret for secret in secrets if secret in everything or secret[::-1] in everything]
    # The search itself works: a public value is found the same way.
    assert ceremony.statement.ssid in everything


def test_representations_hide_secrets() -> None:
    ceremony = mixed().start()
    machine = ceremony.machines[BOTH]
    kept = machine._secrets
    for secret in (kept.dealing_seed, kept.receiving_seed, *kept.constants):
        assert secret
        assert secret.hex() not in repr(machine)
        assert repr(secret)[2:-1] not in repr(machine)
