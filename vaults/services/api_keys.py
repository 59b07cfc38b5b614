"""API keys: the coordinator keeps public keys only."""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from coincurve import PrivateKey, PublicKey
from django.db import IntegrityError, transaction
from django.utils import timezone
from nacl.bindings import crypto_core_ed25519_is_valid_point
from nacl.signing import SigningKey

from audit import services as audit
from vaults.actors import Actor
from vaults.errors import ErrorCode, ServiceError, invalid, wrong_state
from vaults.models import ApiKey, KeyCurve, Member, Organisation
from vaults.scopes import ALL_SCOPES
from vaults.text import check_name

_MAX_VALID_IPS = 100
_HEX_DIGITS = {64: KeyCurve.ED25519, 66: KeyCurve.SECP256K1}


@dataclass(frozen=True)
class GeneratedKey:
    """A key pair made here; `secret` (64 hex digits) is shown once and kept nowhere."""

    api_key: ApiKey
    secret: str = field(repr=False)


def generate_api_key(
    *,
    actor: Actor,
    organisation: Organisation,
    name: str,
    scopes: Sequence[str],
    member: Member | None = None,
    curve: str = KeyCurve.ED25519,
    valid_ips: Sequence[str] = (),
    expires_at: datetime | None = None,
) -> GeneratedKey:
    """Make a key pair and register its public key, for whoever does not make one of their own."""
    if curve == KeyCurve.SECP256K1:
        private = PrivateKey()
        secret, public = private.secret, private.public_key.format()
    elif curve == KeyCurve.ED25519:
        signing_key = SigningKey.generate()
        secret, public = bytes(signing_key), bytes(signing_key.verify_key)
    else:
        raise invalid("curve", f"must be one of {', '.join(KeyCurve.values)}")
    api_key = register_api_key(
        actor=actor,
        organisation=organisation,
        name=name,
        public_key=public.hex(),
        scopes=scopes,
        member=member,
        valid_ips=valid_ips,
        expires_at=expires_at,
    )
    return GeneratedKey(api_key, secret.hex())


def register_api_key(
    *,
    actor: Actor,
    organisation: Organisation,
    name: str,
    public_key: str,
    scopes: Sequence[str],
    member: Member | None = None,
    valid_ips: Sequence[str] = (),
    expires_at: datetime | None = None,
) -> ApiKey:
    """Let a public key sign requests: 64 hex digits Ed25519, 66 SECP256K1 (compressed).

    member: whose key it is; a robot's where None. valid_ips: addresses and CIDR ranges, empty for any.
    Raises ServiceError 2006 naming the field, 2040 when the key is registered already.
    """
    check_name(name, field="name", max_length=30)
    curve, key = _parse_public_key(public_key)
    if unknown := sorted(set(scopes) - set(ALL_SCOPES)):
        raise invalid("scopes", f"unknown: {', '.join(unknown)}")
    if member is not None and member.organisation_id != organisation.pk:
        raise invalid("member", "is not a member of the organisation")
    if expires_at is not None and expires_at <= timezone.now():
        raise invalid("expires_at", "must be in the future")
    networks = _parse_networks(valid_ips)
    with transaction.atomic():
        try:
            with transaction.atomic():
                api_key = ApiKey.objects.create(
                    organisation=organisation,
                    member=member,
                    name=name,
                    curve=curve,
                    public_key=key,
                    scopes=sorted(set(scopes)),
                    valid_ips=networks,
                    expires_at=expires_at,
                )
        except IntegrityError:
            raise ServiceError(
                ErrorCode.DUPLICATE, "public_key: is registered already", "public_key"
            ) from None
        _audit(actor, "api_key.granted", api_key, {"public_key": key, "scopes": api_key.scopes})
    return api_key


def revoke_api_key(*, actor: Actor, api_key: ApiKey) -> ApiKey:
    """Make a key useless from now on. Raises ServiceError 2029 when it is revoked already."""
    now = timezone.now()
    with transaction.atomic():
        revoked = ApiKey.objects.filter(pk=api_key.pk, revoked_at=None).update(revoked_at=now, updated_at=now)
        if revoked != 1:
            raise wrong_state("the API key is revoked already")
        _audit(actor, "api_key.revoked", api_key, {"public_key": api_key.public_key})
    api_key.revoked_at = api_key.updated_at = now
    return api_key


def _parse_public_key(text: str) -> tuple[KeyCurve, str]:
    curve = _HEX_DIGITS.get(len(text))
    try:
        data = bytes.fromhex(text)
    except ValueError:
        data = b""
    if curve is None or 2 * len(data) != len(text):
        raise invalid("public_key", "must be 64 (ED25519) or 66 (SECP256K1) hex digits")
    if curve is KeyCurve.ED25519:
        # A point of small order would verify signatures that nobody made.
        valid = crypto_core_ed25519_is_valid_point(data)
    else:
        try:
            valid = PublicKey(data).format() == data
        except ValueError:
            valid = False
    if not valid:
        raise invalid("public_key", f"is not a valid {curve} public key")
    return curve, data.hex()


def _parse_networks(values: Sequence[str]) -> list[str]:
    if len(values) > _MAX_VALID_IPS:
        raise invalid("valid_ips", f"must have at most {_MAX_VALID_IPS} entries")
    networks = []
    for position, value in enumerate(values):
        try:
            networks.append(str(ipaddress.ip_network(value)))
        except ValueError:
            raise invalid(
                f"valid_ips[{position}]", "must be an IP address or a CIDR range without host bits"
            ) from None
    return networks


def _audit(actor: Actor, act: str, api_key: ApiKey, detail: Mapping[str, object]) -> None:
    audit.record(
        actor=actor.label,
        act=act,
        subject=f"api_key:{api_key.id}",
        detail={"name": api_key.name, **detail},
        organisation_id=str(api_key.organisation_id),
    )
