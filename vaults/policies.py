"""A vault's policy as people set it: the first one, and one that takes its place (R12)."""

from collections.abc import Mapping
from typing import Any

from django.conf import settings

from vaults.errors import invalid
from vaults.models import Vault
from wire.fields import WireError
from wire.intent import TYPES
from wire.policy import VaultPolicy

# Approvers decide; who decides should not be the one who asks (R14). Auditors only read.
_FIRST_CREATORS = ("admin", "operator", "robot")
# What people may change; the rest of the document says whose it is and what came before it.
RULES = ("creators", "request_lifetime", "required_approvals", "erase_grace", "shared_nodes")


def first(vault_id: str) -> VaultPolicy:
    """The policy that a new vault starts with, from the settings."""
    return VaultPolicy(
        vault_id=vault_id,
        creators=dict.fromkeys(TYPES, _FIRST_CREATORS),
        request_lifetime=settings.QUORATE["REQUEST_LIFETIME_MS"],
        required_approvals=settings.QUORATE["REQUIRED_APPROVALS"],
        erase_grace=settings.QUORATE["ERASE_GRACE_MS"],
        shared_nodes=True,
    )


def current(vault: Vault) -> VaultPolicy:
    """The policy that governs the vault now."""
    return VaultPolicy.parse(vault.policy.encode())


def amended(
    policy: VaultPolicy, changes: Mapping[str, Any], *, predecessor: bytes, path: str = "policy"
) -> VaultPolicy:
    """The policy with the rules changed that `changes` names; null leaves a rule as it is.

    predecessor: hash of the policy that it would replace, empty for a first one; path: where the caller gave
    the changes, "" for the whole body. Raises ServiceError 2006 naming the field, also for one that is no
    rule: a misspelt rule must not pass for one that was set.
    """

    def at(field: str) -> str:
        return f"{path}.{field}" if path else field

    if unknown := sorted(set(changes) - set(RULES)):
        raise invalid(at(unknown[0]), f"is none of {', '.join(RULES)}")
    named = {name: changes[name] for name in RULES if changes.get(name) is not None}
    document = policy.to_json() | named | {"predecessor": predecessor.hex()}
    try:
        return VaultPolicy.from_json(document, "policy")
    except WireError as error:
        raise invalid(at(error.field.removeprefix("policy.")), error.message) from None
