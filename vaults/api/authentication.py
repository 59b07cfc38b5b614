"""Who calls: API keys that sign every request.

The same work is done for every well-formed call, whether the key is known or not: the signature is checked
against the key that the caller names, the key is looked up, and only then the call is answered.
"""

import ipaddress
import re
import time
from dataclasses import dataclass
from hashlib import sha256

from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from vaults.actors import Actor
from vaults.api import denials
from vaults.api.signatures import SignedParts, verify
from vaults.errors import ErrorCode, ServiceError
from vaults.models import ApiKey

KEY_HEADER = "BIZ-API-KEY"
NONCE_HEADER = "BIZ-API-NONCE"
SIGNATURE_HEADER = "BIZ-API-SIGNATURE"

_KEY = re.compile(r"[0-9a-f]{64}|[0-9a-f]{66}")
_NONCE = re.compile(r"[0-9]{1,16}")
_SIGNATURE = re.compile(r"(?:[0-9a-f]{2}){8,72}")


@dataclass(frozen=True)
class Credential:
    """The key that signed the call, and a name for its one signature: equal for every exact repeat."""

    api_key: ApiKey
    signature_hash: str


class SignedRequestAuthentication(BaseAuthentication):
    """DRF's seam: request.user is the Actor, request.auth the Credential."""

    def authenticate(self, request: Request) -> tuple[Actor, Credential]:
        credential = authenticate(asgi_request(request))
        return Actor.of_api_key(credential.api_key), credential

    def authenticate_header(self, request: Request) -> str:
        return "Biz-Api-Signature"


def authenticate(request: ASGIRequest) -> Credential:
    """The caller's credential; also for async views, which DRF does not serve.

    Raises ServiceError 2022 (headers missing), 2023 (bad signature or clock), 2024 (key not usable).
    """
    key = _header(request, KEY_HEADER).lower()
    nonce = _header(request, NONCE_HEADER)
    signature_text = _header(request, SIGNATURE_HEADER).lower()
    if not _KEY.fullmatch(key):
        raise ServiceError(
            ErrorCode.KEY_UNKNOWN, f"{KEY_HEADER} must be 64 (ED25519) or 66 (SECP256K1) hex digits"
        )
    if not _NONCE.fullmatch(nonce):
        raise _bad_signature(f"{NONCE_HEADER} must be the Unix time in milliseconds")
    if not _SIGNATURE.fullmatch(signature_text):
        raise _bad_signature(f"{SIGNATURE_HEADER} must be a signature in hex")
    signature = bytes.fromhex(signature_text)
    parts = _signed_parts(request, nonce)
    genuine = not parts.ambiguous() and verify(bytes.fromhex(key), signature, parts)
    api_key = (
        ApiKey.objects.filter(public_key=key).select_related("organisation", "member__organisation").first()
    )
    try:
        _check(request, genuine, nonce, api_key)
    except ServiceError as error:
        if api_key is not None:
            denials.record_unauthenticated(api_key, request, error, verified=genuine)
        raise
    if api_key is None:
        raise ServiceError(ErrorCode.KEY_UNKNOWN, "the API key is unknown")
    return Credential(api_key, sha256(signature).hexdigest())


def asgi_request(request: Request) -> ASGIRequest:
    """The framework's request behind DRF's; the site has no other interface than ASGI."""
    inner = request._request
    if not isinstance(inner, ASGIRequest):
        raise TypeError("the API runs under ASGI only")
    return inner


def credential_of(request: Request) -> Credential:
    """What `authenticate` found."""
    credential: object = request.auth
    if not isinstance(credential, Credential):
        raise TypeError("the request is not authenticated")
    return credential


def _header(request: ASGIRequest, name: str) -> str:
    value = request.headers.get(name, "")
    if not value:
        raise ServiceError(ErrorCode.HEADERS_MISSING, f"the header {name} is missing")
    return value


def _signed_parts(request: ASGIRequest, nonce: str) -> SignedParts:
    raw_path = request.scope.get("raw_path") or request.path.encode()
    return SignedParts(
        method=request.method or "",
        raw_path=raw_path.split(b"?", 1)[0],
        path=request.path,
        nonce=nonce,
        query=request.scope.get("query_string", b""),
        body=request.body,
    )


def _check(request: ASGIRequest, genuine: bool, nonce: str, api_key: ApiKey | None) -> None:
    if not genuine:
        raise _bad_signature(
            f"{SIGNATURE_HEADER} is not the key's signature of this method, path, nonce, query and body"
        )
    skew = int(nonce) - time.time_ns() // 1_000_000
    allowed = settings.QUORATE["API_CLOCK_SKEW_MS"]
    if abs(skew) > allowed:
        side = "ahead of" if skew > 0 else "behind"
        raise _bad_signature(
            f"{NONCE_HEADER} is {abs(skew)} ms {side} the server's clock, allowed are {allowed} ms; "
            "set the clock and sign again"
        )
    if api_key is not None:
        check_usable(api_key, request)


def check_usable(api_key: ApiKey, request: ASGIRequest) -> None:
    """Raises ServiceError 2024 for a key that is revoked, has expired or may not be used from there."""
    if api_key.revoked_at is not None:
        raise ServiceError(ErrorCode.KEY_UNKNOWN, "the API key is revoked")
    if api_key.expires_at is not None and api_key.expires_at <= timezone.now():
        raise ServiceError(ErrorCode.KEY_UNKNOWN, "the API key has expired")
    if api_key.valid_ips and not _allowed_address(request.META.get("REMOTE_ADDR", ""), api_key.valid_ips):
        raise ServiceError(ErrorCode.KEY_UNKNOWN, "the API key may not be used from this IP address")


def _allowed_address(text: str, networks: list[str]) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in ipaddress.ip_network(network) for network in networks)


def _bad_signature(message: str) -> ServiceError:
    return ServiceError(ErrorCode.BAD_SIGNATURE, message)
