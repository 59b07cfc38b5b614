"""Registering keys: only what can sign, and no secret in sight."""

import pytest

from tests.api.conftest import ACTOR, Tenant
from vaults import services
from vaults.errors import ErrorCode, ServiceError
from vaults.models import ApiKey
from vaults.scopes import READ_SCOPES

GOOD = "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"
BAD_KEYS = [
    "",
    "zz" * 32,
    GOOD[:-2],
    " " + GOOD[1:],
    "00" * 32,  # small order
    "01" + "00" * 31,  # the neutral element
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",  # order 2
    "ff" * 32,
    "02" + "ff" * 32,  # not on the curve
    "04" + GOOD,
    "00" * 33,
]


def register(tenant: Tenant, **changes: object) -> ApiKey:
    arguments = {"name": "key", "public_key": GOOD, "scopes": READ_SCOPES} | changes
    return services.register_api_key(actor=ACTOR, organisation=tenant.organisation, **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("public_key", BAD_KEYS)
def test_only_valid_keys(tenant: Tenant, public_key: str) -> None:
    with pytest.raises(ServiceError) as caught:
        register(tenant, public_key=public_key)
    assert (caught.value.code, caught.value.field) == (ErrorCode.INVALID, "public_key")


def test_a_key_belongs_to_one(tenant: Tenant, other: Tenant) -> None:
    register(tenant, public_key=GOOD.upper())
    with pytest.raises(ServiceError) as caught:
        register(other)
    assert caught.value.code == ErrorCode.DUPLICATE


def test_fields_are_named(tenant: Tenant, other: Tenant) -> None:
    user = services.create_user(actor=ACTOR, username="ann", password="x")
    stranger = services.add_member(
        actor=ACTOR, organisation=other.organisation, user=user, role="admin", name="Ann"
    )
    for changes, field in (
        ({"name": "x" * 31}, "name"),
        ({"scopes": ["mpc_vault.read", "everything"]}, "scopes"),
        ({"valid_ips": ["192.0.2.1", "192.0.2.1/24"]}, "valid_ips[1]"),
        ({"member": stranger}, "member"),
    ):
        with pytest.raises(ServiceError) as caught:
            register(tenant, **changes)
        assert caught.value.field == field


@pytest.mark.parametrize("curve", ["ED25519", "SECP256K1"])
def test_a_generated_secret_is_shown_once(tenant: Tenant, curve: str) -> None:
    made = services.generate_api_key(
        actor=ACTOR, organisation=tenant.organisation, name="made", scopes=READ_SCOPES, curve=curve
    )
    assert len(made.secret) == 64
    assert made.secret not in repr(made)
    assert made.secret not in str(ApiKey.objects.filter(name="made").values())


def test_a_key_is_revoked_once(tenant: Tenant) -> None:
    services.revoke_api_key(actor=ACTOR, api_key=tenant.api_key)
    with pytest.raises(ServiceError) as caught:
        services.revoke_api_key(actor=ACTOR, api_key=ApiKey.objects.get(pk=tenant.api_key.pk))
    assert caught.value.code == ErrorCode.WRONG_STATE
