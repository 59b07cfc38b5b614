"""What was refused to whom goes into the audit log, in a transaction of its own."""

import threading
import time
from uuid import UUID

from django.core.handlers.asgi import ASGIRequest
from django.db import transaction

from audit import services as audit
from vaults.errors import ErrorCode, ServiceError
from vaults.models import ApiKey

# A public key is public: whoever knows one can send bad signatures in its name, so those rows are rationed.
_QUIET_S = 60.0
_MAX_KNOWN = 10_000

_lock = threading.Lock()
_last: dict[UUID, float] = {}


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
            detail={"error_code": int(error.code), "status": error.status},
            organisation_id=str(api_key.organisation_id),
        )


def record_unauthenticated(
    api_key: ApiKey, request: ASGIRequest, error: ServiceError, *, verified: bool
) -> None:
    """Write a 401 for a known key; of bad signatures, one row per key and minute in each process."""
    if verified or _due(api_key.id):
        record(api_key, request, error)


def _due(key: UUID) -> bool:
    now = time.monotonic()
    with _lock:
        if now - _last.get(key, -_QUIET_S) < _QUIET_S:
            return False
        if len(_last) >= _MAX_KNOWN:
            _last.clear()
        _last[key] = now
    return True
