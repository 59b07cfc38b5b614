"""Certificates that nodes hand in: checked against the request before they count (R25)."""

import base64
import binascii

from django.db import IntegrityError, transaction
from django.utils import timezone

from audit import rationing
from audit import services as audit
from mpc.certificate import MAX_CERTIFICATE_BYTES, Certificate
from mpc.dealing import certificate_of
from mpc.errors import MPCError
from mpc.succession import check_succession
from tss import jobs, rounds
from tss.documents import context_of, source_certificate, source_statement
from tss.errors import ItemRefused
from tss.models import Ceremony, JobKind, ShareSet
from vaults.actors import Actor
from vaults.models import Node
from wire.canonical import Json
from wire.fields import Fields


def accept(*, node: Node, value: Json) -> None:
    """Take the final certificate of a ceremony from one of its participants.

    A node that lies cannot make one: it needs both signatures of every participant. The first one is kept.
    Raises ItemRefused or WireError.
    """
    fields = Fields(value, "certificate")
    session_id = fields.hex("session_id", 32).hex()
    encoded = decode_base64(fields.text("certificate", max_length=4 * MAX_CERTIFICATE_BYTES // 3 + 4))
    fields.end()
    ceremony = Ceremony.objects.select_related("request").filter(pk=session_id, members__node=node).first()
    if ceremony is None:
        raise ItemRefused("unknown_session", "no ceremony with this session id has this node")
    if ShareSet.objects.filter(ceremony=ceremony).exists():
        return
    if ceremony.state not in rounds.LISTENING:
        raise ItemRefused("closed", f"the ceremony has {ceremony.state}")
    certificate, problem = examine(ceremony, encoded)
    if certificate is None:
        if rationing.due((node.pk, "certificate")):
            audit.record(
                actor=Actor.of_node(node).label,
                act="denied",
                subject=f"ceremony:{session_id}",
                detail={"reason": f"certificate: {problem}"},
                organisation_id=str(ceremony.request.organisation_id),
            )
        raise ItemRefused("bad_certificate", problem)
    keep(ceremony, certificate)


def assemble(ceremony: Ceremony) -> bool:
    """Keep the certificate that the mailbox itself amounts to; whether it does.

    Once all messages are in, every member may have activated its share: the key must not be called failed
    because nobody came back to hand the certificate in.
    """
    source = source_statement(ceremony)
    certificate = certificate_of(context_of(ceremony), rounds.transcript(ceremony), source)
    if certificate is None:
        return False
    keep(ceremony, certificate)
    return True


def keep(ceremony: Ceremony, certificate: Certificate) -> None:
    """Store a certificate that has been examined and ring for the driver. Raises ItemRefused."""
    context = certificate.statement.context
    try:
        with transaction.atomic():
            # Takes the ceremony's row: whoever ends it now comes before this or after it, never in between.
            listening = Ceremony.objects.filter(pk=ceremony.pk, state__in=rounds.LISTENING)
            if listening.update(progress_at=timezone.now()) != 1:
                raise ItemRefused("closed", "the ceremony has ended")
            ShareSet.objects.create(
                group_id=ceremony.request.target_group_id,
                ceremony=ceremony,
                epoch=context.epoch,
                manifest=ceremony.request.manifest,
                certificate=certificate.encode(),
                certificate_hash=certificate.hash().hex(),
                previous_hash=context.previous_certificate_hash.hex(),
            )
            jobs.ring(kind=JobKind.DRIVE_CEREMONY, reference=ceremony.session_id)
    except IntegrityError:  # another participant was first
        if not ShareSet.objects.filter(ceremony=ceremony).exists():
            raise ItemRefused("closed", "the group has a certificate of another ceremony") from None


def examine(ceremony: Ceremony, encoded: bytes) -> tuple[Certificate | None, str]:
    """The certificate if it is this ceremony's and valid, else None and what is wrong with it.

    R25: digest, attempt, role, epoch, manifest hash, previous certificate, t, n, members, their keys and
    curves are the context's, which is derived from the request and compared as a whole; signatures and the
    algebra of root keys and public shares are verified by `Certificate.verify`. A set that others dealt has
    root keys and chain codes of theirs.
    """
    try:
        certificate = Certificate.parse(encoded)
        if certificate.statement.context != context_of(ceremony):
            return None, "it is about another ceremony"
        certificate.verify()
        source = source_certificate(ceremony.request)
        if source is not None:
            check_succession(certificate, source)
    except MPCError as error:
        return None, str(error)
    return certificate, ""


def root_keys(certificate: Certificate) -> dict[str, str]:
    """Curve name -> root extended public key."""
    return certificate.statement.root_extended_public_keys()


def decode_base64(text: str) -> bytes:
    """Strict base64. Raises ItemRefused."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ItemRefused("malformed", "not base64") from None
