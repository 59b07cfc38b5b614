"""A signed request runs once: an exact repeat gets the stored answer (CONTRACT.md)."""

import logging
from collections.abc import Callable

from django.core.handlers.asgi import ASGIRequest
from django.db import IntegrityError, transaction

from vaults.api import denials
from vaults.api.authentication import Credential
from vaults.api.errors import Answer, as_service_error, error_answer, where
from vaults.models import SignedRequest

logger = logging.getLogger("quorate.api")


class _Repeated(Exception):
    """The signature was used before."""


def once(request: ASGIRequest, credential: Credential, act: Callable[[], Answer]) -> Answer:
    """Run `act` in one transaction together with its stored answer, or give the answer stored before.

    A repeat that arrives while the first still runs waits for it at the unique constraint. An error answer is
    stored as well: a refused call must not come to life when it is repeated after something has changed. Only
    of an internal error nothing is stored; it left nothing behind, so a repeat may try again.
    """
    if stored := _stored(credential):
        return stored
    try:
        with transaction.atomic():
            row = _claim(credential, Answer(0, b""))
            answer = act()
            SignedRequest.objects.filter(pk=row.pk).update(status=answer.status, body=answer.body)
        return answer
    except _Repeated:
        return _stored_for_certain(credential)
    except Exception as cause:
        error = as_service_error(cause)
        if error.status >= 500:
            raise
        answer = error_answer(error, where=where(request))
        try:
            with transaction.atomic():
                _claim(credential, answer)
                if denials.is_denial(error):
                    denials.record(credential.api_key, request, error)
        except _Repeated:
            return _stored_for_certain(credential)
        return answer


def _claim(credential: Credential, answer: Answer) -> SignedRequest:
    try:
        with transaction.atomic():
            return SignedRequest.objects.create(
                api_key=credential.api_key,
                signature_hash=credential.signature_hash,
                status=answer.status,
                body=answer.body,
            )
    except IntegrityError:
        raise _Repeated from None


def _stored(credential: Credential) -> Answer | None:
    row = SignedRequest.objects.filter(
        api_key=credential.api_key, signature_hash=credential.signature_hash
    ).first()
    return Answer(row.status, bytes(row.body)) if row else None


def _stored_for_certain(credential: Credential) -> Answer:
    answer = _stored(credential)
    if answer is None:
        raise RuntimeError("an answer that another call stored has vanished")
    return answer
