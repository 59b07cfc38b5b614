"""What was refused to whom goes into the audit log, in a transaction of its own."""

from django.core.handlers.asgi import ASGIRequest
from django.db import transaction

from audit import rationing
from audit import services as audit
from vaults.errors import ErrorCode, ServiceError
from vaults.models import ApiKey


def is_denial(error: ServiceError) -> bool:
    """403, and 404 for an object: whether it exists elsewhere or nowhere, the same is written (A01)."""
    return error.code in (ErrorCode.FORBIDDEN, ErrorCode.NOT_FOUND)


def record(api_key: ApiKey, request: ASGIRequest, error: ServiceError) -> None:
    """Write one denial of a caller whose signature was good."""
    raw_path: bytes = request.scope.get("raw_path") or request.path.encode()
    with transaction.atomic():
        audit.record(
            actor=f"api_key:{api_key.id}",
            act="api.denied",
            subject=f"{request.method} {raw_path.decode('ascii', 'backslashreplace')}",
            detail={"error_code": int(error.code), "status": error.status, "reason": error.message},
            organisation_id=str(api_key.organisation_id),
        )


def record_unauthenticated(
    api_key: ApiKey, request: ASGIRequest, error: ServiceError, *, verified: bool
) -> None:
    """Write a 401 for a known key; rationed.

    A public key is public, so anybody can send bad signatures in its name; and one good call that was
    captured can be sent for ever after its time.
    """
    if rationing.due((api_key.id, error.code, verified)):
        record(api_key, request, error)
