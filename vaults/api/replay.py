"""A signed request runs once: an exact repeat gets the stored answer (docs/api.md).

The same request is told by its signature and, where the caller sends one, by the Idempotency-Key header: then
another signature and another connection still mean the same request. The header is not signed, so it adds to
the signature and never replaces it: a captured call with another header is still the same call.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.db import IntegrityError, transaction
from django.utils import timezone

from mpc.encoding import tagged_hash
from vaults.api import denials
from vaults.api.authentication import Credential
from vaults.api.errors import Answer, as_service_error, error_answer, where
from vaults.errors import ErrorCode, ServiceError, invalid
from vaults.models import ApiKey, SignedRequest

logger = logging.getLogger("quorate.api")


IDEMPOTENCY_HEADER = "Idempotency-Key"
_MAX_IDEMPOTENCY_KEY = 255
# Beyond two windows the clock check refuses a signed request before its stored answer is looked up; the third
# is for clocks that differ between the site's machines.
_REPLAY_WINDOWS = 3
_MAX_TRIES = 5


class _Repeated(Exception):
    """The request was made before."""


@dataclass(frozen=True)
class _Claim:
    """What names a request of an API key, and how long it is remembered."""

    api_key: ApiKey
    once_key: str
    fingerprint: str
    keep_until: datetime

    @classmethod
    def signed(cls, credential: Credential) -> "_Claim":
        kept = timedelta(milliseconds=_REPLAY_WINDOWS * settings.QUORATE["API_CLOCK_SKEW_MS"])
        return cls(credential.api_key, credential.signature_hash, "", timezone.now() + kept)

    @classmethod
    def named(cls, request: ASGIRequest, credential: Credential) -> "_Claim | None":
        """Raises ServiceError 2006 for an Idempotency-Key that is not 1 to 255 printable ASCII characters."""
        key = request.headers.get(IDEMPOTENCY_HEADER)
        if key is None:
            return None
        if not (0 < len(key) <= _MAX_IDEMPOTENCY_KEY and key.isascii() and key.isprintable()):
            raise invalid(
                IDEMPOTENCY_HEADER, f"must be 1 to {_MAX_IDEMPOTENCY_KEY} printable ASCII characters"
            )
        asked = ((request.method or "").encode(), request.get_full_path().encode())
        return cls(
            credential.api_key,
            # Never equal to a signature's hash, whatever the caller chooses.
            tagged_hash("quorate/idempotency-key/v1", key.encode()).hex(),
            tagged_hash("quorate/idempotent-request/v1", *asked, sha256(request.body).digest()).hex(),
            timezone.now() + timedelta(seconds=settings.QUORATE["IDEMPOTENCY_S"]),
        )


def once(request: ASGIRequest, credential: Credential, act: Callable[[], Answer]) -> Answer:
    """Run `act` in one transaction together with its stored answer, or give the answer stored before.

    A repeat that arrives while the first still runs waits for it at the unique constraint. An error answer is
    stored as well: a refused call must not come to life when it is repeated after something has changed. Only
    of an internal error nothing is stored; it left nothing behind, so a repeat may try again. Answers 12009
    when an Idempotency-Key comes back with another request.
    """
    for _ in range(_MAX_TRIES):
        try:
            return _once(request, credential, act)
        except _Repeated:  # the same request at the same moment was faster; its answer is stored by now
            continue
    raise ServiceError(ErrorCode.INTERNAL, "the request is being repeated too fast")


def _once(request: ASGIRequest, credential: Credential, act: Callable[[], Answer]) -> Answer:
    signed = _Claim.signed(credential)
    if stored := _stored(signed):
        return stored
    claims = [signed]
    try:
        named = _Claim.named(request, credential)
        earlier = _stored(named) if named else None
        if earlier is None and named is not None:
            claims.append(named)
        with transaction.atomic():
            rows = [_take(claim, earlier or Answer(0, b"")).pk for claim in claims]
            if earlier is None:
                answer = act()
                SignedRequest.objects.filter(pk__in=rows).update(status=answer.status, body=answer.body)
        return earlier or answer
    except _Repeated:
        raise
    except Exception as cause:
        error = as_service_error(cause)
        if error.status >= 500:
            raise
        answer = error_answer(error, where=where(request))
        with transaction.atomic():
            for claim in claims:
                _take(claim, answer)
            if denials.is_denial(error):
                denials.record(credential.api_key, request, error)
        return answer


def _take(claim: _Claim, answer: Answer) -> SignedRequest:
    try:
        with transaction.atomic():
            return SignedRequest.objects.create(**vars(claim), status=answer.status, body=answer.body)
    except IntegrityError:
        raise _Repeated from None


def _stored(claim: _Claim) -> Answer | None:
    row = SignedRequest.objects.filter(api_key=claim.api_key, once_key=claim.once_key).first()
    if row is None:
        return None
    if row.fingerprint != claim.fingerprint:
        raise ServiceError(
            ErrorCode.IDEMPOTENCY_MISMATCH,
            f"this {IDEMPOTENCY_HEADER} came with another request before: its fingerprint differs",
            IDEMPOTENCY_HEADER,
        )
    return Answer(row.status, bytes(row.body))
