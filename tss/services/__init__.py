"""What people and robots do with requests (holders' decisions: tss.decisions)."""

from tss.services.creation import create_request
from tss.services.ending import cancel_request, expire, expire_overdue, expired, recheck, retry_request

__all__ = [
    "cancel_request",
    "create_request",
    "expire",
    "expire_overdue",
    "expired",
    "recheck",
    "retry_request",
]
