"""Projects and vaults."""

import uuid
from collections.abc import Mapping

from django.db import IntegrityError, transaction
from django.db.models import F

from audit import services as audit
from vaults import counts, policies, representation, selectors
from vaults.actors import Actor
from vaults.errors import ErrorCode, ServiceError, invalid, wrong_state
from vaults.models import Organisation, Project, RootKey, Vault, VaultType
from vaults.text import check_name
from webhooks import outbox
from wire.manifest import MAX_PARTICIPANTS

_MAX_PROJECT_NAME = 100
_MAX_VAULT_NAME = 30


def create_project(
    *, actor: Actor, organisation: Organisation, name: str, participants: int, threshold: int
) -> Project:
    """Make a project of user-controlled wallets. Raises ServiceError 2003, 2006."""
    check_name(name, field="name", max_length=_MAX_PROJECT_NAME)
    check_scheme(participants, threshold)
    with transaction.atomic():
        project = Project.objects.create(
            organisation=organisation, name=name, participants=participants, threshold=threshold
        )
        counts.count(selectors.projects_scope(organisation.id))
        _audit(actor, "project.created", f"project:{project.id}", organisation.id, {"name": name})
    return project


def update_project(*, actor: Actor, project: Project, name: str) -> Project:
    """Rename a project. Raises ServiceError 2003, 2006."""
    check_name(name, field="name", max_length=_MAX_PROJECT_NAME)
    with transaction.atomic():
        Project.objects.filter(pk=project.pk).update(name=name)
        _audit(actor, "project.updated", f"project:{project.id}", project.organisation_id, {"name": name})
    project.name = name
    return project


def create_vault(
    *, actor: Actor, organisation: Organisation, name: str, type: str, project: Project | None = None
) -> Vault:
    """Make a vault with its first policy (R12).

    project: required for a User-Controlled vault, ignored otherwise. Raises ServiceError 2003, 2006, 2040.
    """
    check_name(name, field="name", max_length=_MAX_VAULT_NAME)
    if type not in VaultType.values:
        raise invalid("vault_type", f"must be one of {', '.join(VaultType.values)}")
    if type == VaultType.ORG_CONTROLLED:
        project = None
    elif project is None:
        raise ServiceError(
            ErrorCode.MISSING, "project_id is required for a User-Controlled vault", "project_id"
        )
    vault_id = uuid.uuid4()
    policy = policies.first(str(vault_id))
    with transaction.atomic():
        try:
            with transaction.atomic():
                vault = Vault.objects.create(
                    id=vault_id,
                    organisation=organisation,
                    project=project,
                    name=name,
                    type=type,
                    policy=policy.encode().decode(),
                )
        except IntegrityError:
            raise _taken(name) from None
        counts.count(selectors.vaults_scope(organisation.id, type))
        if project is not None:
            counts.count(selectors.vaults_scope(organisation.id, type, project.id))
        announce_vault(vault, "mpc_vaults.created")
        detail = {"name": name, "type": type, "policy_hash": policy.hash().hex()}
        _audit(actor, "vault.created", f"vault:{vault.id}", organisation.id, detail)
    return vault


def update_vault(*, actor: Actor, vault: Vault, name: str) -> Vault:
    """Rename a vault. Raises ServiceError 2003, 2006, 2040."""
    check_name(name, field="name", max_length=_MAX_VAULT_NAME)
    with transaction.atomic():
        try:
            with transaction.atomic():
                Vault.objects.filter(pk=vault.pk).update(name=name)
        except IntegrityError:
            raise _taken(name) from None
        detail = {"from": vault.name, "to": name}
        vault.name = name
        announce_vault(vault, "mpc_vaults.updated")
        _audit(actor, "vault.updated", f"vault:{vault.id}", vault.organisation_id, detail)
    return vault


def hold_vault(vault: Vault) -> None:
    """Let no other transaction that holds the vault pass until the caller's ends.

    What reads the vault's groups, policy or requests and then changes one of them because of the others
    begins with this: an UPDATE locks its row on Postgres, and SQLite has one writer at a time anyway.
    """
    Vault.objects.filter(pk=vault.pk).update(type=F("type"))
    vault.refresh_from_db(fields=["policy"])


def set_first_policy(*, actor: Actor, vault: Vault, changes: Mapping[str, object]) -> Vault:
    """Change rules of a vault that has no key yet; its KeyGen intent will name the result (R12).

    The caller holds the vault and has made sure that no request names the policy as it is. Raises
    ServiceError 2006 naming the field; 2029 once there is a key.
    """
    # Not `vault.root_keys`: what a list prefetched may be older than the vault's lock.
    if RootKey.objects.filter(vault=vault).exists():
        raise wrong_state("the vault has a key: make a PolicyChange request, which its Main group approves")
    policy = policies.amended(policies.current(vault), changes, predecessor=b"", path="")
    with transaction.atomic():
        vault.policy = policy.encode().decode()
        vault.save(update_fields=["policy"])
        announce_policy(vault)
        detail = {"policy_hash": policy.hash().hex(), "policy": policy.to_json()}
        _audit(actor, "vault.policy_changed", f"vault:{vault.id}", vault.organisation_id, detail)
    return vault


def check_scheme(participants: int, threshold: int) -> None:
    """2 <= threshold <= participants <= 100. Raises ServiceError 2006."""
    if not 2 <= participants <= MAX_PARTICIPANTS:
        raise invalid("participants", f"must be between 2 and {MAX_PARTICIPANTS}")
    if not 2 <= threshold <= participants:
        raise invalid("threshold", f"must be between 2 and participants ({participants})")


def _taken(name: str) -> ServiceError:
    return ServiceError(ErrorCode.DUPLICATE, f"name: the organisation has a vault called {name}", "name")


def announce_vault(vault: Vault, type: str) -> None:
    """Event of a change of the vault, in its transaction."""
    data = {"data_type": "MPCVault", **representation.vault(vault)}
    outbox.emit(organisation_id=str(vault.organisation_id), type=type, data=data)


def announce_policy(vault: Vault) -> None:
    """Event of another policy, in the transaction of the change."""
    outbox.emit(
        organisation_id=str(vault.organisation_id),
        type="quorate.vault.policy_changed",
        data={
            "data_type": "Policy",
            "vault_id": str(vault.id),
            "policy_hash": policies.current(vault).hash().hex(),
        },
    )


def _audit(
    actor: Actor, act: str, subject: str, organisation_id: uuid.UUID, detail: Mapping[str, object]
) -> None:
    audit.record(
        actor=actor.label, act=act, subject=subject, detail=detail, organisation_id=str(organisation_id)
    )
