"""How share sets follow one another: the certificates from an anchor to the set in use (R3, R6, R25)."""

from collections.abc import Container, Mapping
from itertools import pairwise

from mpc.certificate import Certificate
from mpc.errors import InvalidCertificate, InvalidParameters
from mpc.reshare_rules import check_source


def check_succession(certificate: Certificate, predecessor: Certificate) -> None:
    """Did exactly t holders of the predecessor deal this set, of the same root keys and chain codes?

    Both are verified by the caller, who also judges which set may follow which (group, role, epoch, what was
    approved). Raises InvalidCertificate.
    """
    statement, before = certificate.statement, predecessor.statement
    try:
        check_source(statement.context, before)
    except InvalidParameters as error:
        raise InvalidCertificate(error.field, error.detail) from None
    for result, earlier in zip(statement.curves, before.curves, strict=True):
        if result.root_key != earlier.root_key:
            raise InvalidCertificate("root_key", f"{result.curve}: is not the predecessor's")
        if result.chain_code != earlier.chain_code:
            raise InvalidCertificate("chain_code", f"{result.curve}: is not the predecessor's")


def verify_path(
    certificates: Mapping[bytes, Certificate], tip: bytes, trusted: Container[bytes]
) -> tuple[Certificate, ...]:
    """Verify the set `tip` and its predecessors until one whose hash the caller trusts.

    certificates: by hash, whatever somebody offers; tip, trusted: certificate hashes, 32 bytes. Returns the
    path, tip first, trusted certificate last. Raises InvalidCertificate.
    """
    path: list[Certificate] = []
    wanted = tip
    # Each step uses up one certificate, so that offered ones that point in a circle end it too.
    for _ in range(len(certificates)):
        certificate = certificates.get(wanted)
        if certificate is None or certificate.hash() != wanted:
            break
        path.append(certificate)
        if wanted in trusted:
            _verify_hops(path)
            return tuple(path)
        wanted = certificate.statement.context.previous_certificate_hash
    raise InvalidCertificate("path", "does not lead to a trusted certificate")


def _verify_hops(path: list[Certificate]) -> None:
    """path: tip first. From the trusted end on, so that the first invented certificate ends the work."""
    path[-1].verify()
    for predecessor, certificate in pairwise(reversed(path)):
        check_succession(certificate, predecessor)
        certificate.verify()
