"""Projects, vaults, groups, holders and the caller's own key: the compatible API's calls."""

from typing import Any, ClassVar

from vaults import counts, representation, selectors, services
from vaults.api.base import ApiView, Call
from vaults.api.body import Body
from vaults.api.operations import (
    UUID,
    Operation,
    Parameter,
    array,
    body_object,
    choice,
    nullable,
    page_of,
    ref,
)
from vaults.api.pagination import AS_MADE, page
from vaults.api.schemas import PAGE
from vaults.errors import invalid, missing, not_found
from vaults.models import Group, GroupType, Project, Vault, VaultType
from wire.manifest import MAX_PARTICIPANTS

_MAX_GROUP_IDS = 50


class Projects(ApiView):
    scopes: ClassVar = {"GET": "mpc_project.read", "POST": "mpc_project.create"}
    operations: ClassVar = {
        "GET": Operation("Projects", "Projects", PAGE, answer=page_of("Project", total=True)),
        "POST": Operation("Make a project", "Projects", body=ref("NewProject"), answer=ref("Project")),
    }

    def answer_get(self, call: Call, **ids: str) -> Any:
        total = counts.total(selectors.projects_scope(call.organisation.id))
        rows = selectors.projects(organisation=call.organisation)
        return page(rows, call, total=total, shape=representation.project)

    def answer_post(self, call: Call, **ids: str) -> Any:
        body = call.body()
        project = services.create_project(
            actor=call.actor,
            organisation=call.organisation,
            name=body.text("name"),
            participants=body.integer("participants"),
            threshold=body.integer("threshold"),
        )
        return representation.project(project)


class ProjectById(ApiView):
    scopes: ClassVar = {"GET": "mpc_project.read", "PUT": "mpc_project.update"}
    operations: ClassVar = {
        "GET": Operation("One project", "Projects", answer=ref("Project")),
        "PUT": Operation("Rename a project", "Projects", body=ref("ProjectName"), answer=ref("Project")),
    }

    def answer_get(self, call: Call, **ids: str) -> Any:
        return representation.project(_project(call, ids["project_id"]))

    def answer_put(self, call: Call, **ids: str) -> Any:
        project = _project(call, ids["project_id"])
        name = call.body().text("name")
        return representation.project(services.update_project(actor=call.actor, project=project, name=name))


class Vaults(ApiView):
    scopes: ClassVar = {"GET": "mpc_vault.read", "POST": "mpc_vault.create"}
    operations: ClassVar = {
        "GET": Operation(
            "Vaults",
            "Vaults",
            (
                Parameter("vault_type", choice(*VaultType.values), "Of this type", required=True),
                Parameter("project_id", UUID, "Of this project"),
                *PAGE,
            ),
            answer=page_of("Vault", total=True),
            names=True,
        ),
        "POST": Operation("Make a vault", "Vaults", body=ref("NewVault"), answer=ref("Vault"), names=True),
    }

    def answer_get(self, call: Call, **ids: str) -> Any:
        type = call.query("vault_type")
        if not type:
            raise missing("vault_type")
        _choice("vault_type", type, VaultType.values)
        project = _named_project(call, call.query("project_id"))
        rows = selectors.vaults(organisation=call.organisation, type=type, project=project)
        scope = selectors.vaults_scope(call.organisation.id, type, project.id if project else None)
        return page(rows, call, total=counts.total(scope), shape=representation.vault)

    def answer_post(self, call: Call, **ids: str) -> Any:
        body = call.body()
        type = body.text("vault_type")
        user_controlled = type == VaultType.USER_CONTROLLED
        vault = services.create_vault(
            actor=call.actor,
            organisation=call.organisation,
            name=body.text("name"),
            type=type,
            project=_named_project(call, body.optional_text("project_id")) if user_controlled else None,
        )
        return representation.vault(vault)


class VaultById(ApiView):
    scopes: ClassVar = {"GET": "mpc_vault.read", "PUT": "mpc_vault.update"}
    operations: ClassVar = {
        "GET": Operation("One vault", "Vaults", answer=ref("Vault")),
        "PUT": Operation("Rename a vault", "Vaults", body=ref("VaultName"), answer=ref("Vault")),
    }

    def answer_get(self, call: Call, **ids: str) -> Any:
        return representation.vault(vault_of(call, ids["vault_id"]))

    def answer_put(self, call: Call, **ids: str) -> Any:
        vault = vault_of(call, ids["vault_id"])
        name = call.body().text("name")
        return representation.vault(services.update_vault(actor=call.actor, vault=vault, name=name))


class ServiceHolders(ApiView):
    """The service's own signers: a bare array, as the vendor answers it."""

    scopes: ClassVar = {"GET": None}
    operations: ClassVar = {
        "GET": Operation("The service's own signers", "Groups", answer=array(ref("KeyShareHolder")))
    }

    def answer_get(self, call: Call, **ids: str) -> Any:
        nodes = selectors.service_nodes(organisation=call.organisation)
        return [representation.service_holder(node) for node in nodes]


class Groups(ApiView):
    scopes: ClassVar = {"GET": "mpc_key_group.read", "POST": "mpc_key_group.create"}
    operations: ClassVar = {
        "GET": Operation(
            "Groups of a vault",
            "Groups",
            (Parameter("key_share_holder_group_type", choice(*GroupType.values), "Of this type"), *PAGE),
            answer=page_of("KeyShareHolderGroup", total=True),
        ),
        "POST": Operation(
            "Make a group", "Groups", body=ref("NewKeyShareHolderGroup"), answer=ref("KeyShareHolderGroup")
        ),
    }

    def answer_get(self, call: Call, **ids: str) -> Any:
        vault = vault_of(call, ids["vault_id"])
        type = call.query("key_share_holder_group_type") or None
        if type is not None:
            _choice("key_share_holder_group_type", type, GroupType.values)
        total = counts.total(selectors.groups_scope(vault.id, type))
        return page(selectors.groups(vault=vault, type=type), call, total=total, shape=representation.group)

    def answer_post(self, call: Call, **ids: str) -> Any:
        vault = vault_of(call, ids["vault_id"])
        body = call.body()
        group = services.create_group(
            actor=call.actor,
            vault=vault,
            type=body.text("key_share_holder_group_type"),
            participants=body.integer("participants"),
            threshold=body.integer("threshold"),
            holders=[
                _holder_choice(holder)
                for holder in body.objects("key_share_holders", max_length=MAX_PARTICIPANTS)
            ],
        )
        return representation.group(selectors.get_group(vault=vault, group_id=str(group.id)))


class Schedule(ApiView):
    """How often a Refresh of the group is asked for; native."""

    scopes: ClassVar = {"PUT": "mpc_key_group.update"}
    operations: ClassVar = {
        "PUT": Operation(
            "How often a Refresh is asked for",
            "Groups",
            body=body_object({"every_days": nullable({"type": "integer", "minimum": 1, "maximum": 365})}),
            answer=ref("KeyShareHolderGroup"),
        )
    }

    def answer_put(self, call: Call, **ids: str) -> Any:
        group = group_of(call, ids)
        body = call.body()
        # null means never, so it does not count as absent here.
        every_days = None if body.is_null("every_days") else body.integer("every_days")
        return representation.group(
            services.schedule_refresh(actor=call.actor, group=group, every_days=every_days)
        )


class Holders(ApiView):
    scopes: ClassVar = {"GET": "mpc_key_group.read"}
    operations: ClassVar = {
        "GET": Operation(
            "Holders of a vault's groups",
            "Groups",
            (
                Parameter(
                    "key_share_holder_group_ids",
                    {"type": "string"},
                    f"Of these groups: at most {_MAX_GROUP_IDS} ids, separated by commas",
                ),
                *PAGE,
            ),
            answer=page_of("KeyShareHolder", total=True),
        )
    }

    def answer_get(self, call: Call, **ids: str) -> Any:
        vault = vault_of(call, ids["vault_id"])
        text = call.query("key_share_holder_group_ids")
        groups = _named_groups(vault, text) if text else None
        rows = selectors.holders(vault=vault, groups=groups)
        total = selectors.number_of_holders(vault=vault, groups=groups)
        return page(rows, call, total=total, shape=representation.holder, order=AS_MADE)


class HolderByNode(ApiView):
    scopes: ClassVar = {"GET": "mpc_key_group.read"}
    operations: ClassVar = {
        "GET": Operation("A node's place in the vault", "Groups", answer=ref("KeyShareHolder"))
    }

    def answer_get(self, call: Call, **ids: str) -> Any:
        vault = vault_of(call, ids["vault_id"])
        return representation.holder(selectors.get_holder(vault=vault, tss_node_id=ids["tss_node_id"]))


class ApiKeyInfo(ApiView):
    scopes: ClassVar = {"GET": "api_key.read"}
    operations: ClassVar = {"GET": Operation("The caller's own key", "Own key", answer=ref("ApiKey"))}

    def answer_get(self, call: Call, **ids: str) -> Any:
        return representation.api_key(call.credential.api_key)


def vault_of(call: Call, vault_id: str) -> Vault:
    """The vault of a path, if it is the caller's. Raises ServiceError 2028."""
    return selectors.get_vault(organisation=call.organisation, vault_id=vault_id)


def group_of(call: Call, ids: dict[str, str]) -> Group:
    """The group of a path, if it is the caller's. Raises ServiceError 2028."""
    vault = vault_of(call, ids["vault_id"])
    return selectors.get_group(vault=vault, group_id=ids["key_share_holder_group_id"])


def _project(call: Call, project_id: str) -> Project:
    return selectors.get_project(organisation=call.organisation, project_id=project_id)


def _named_project(call: Call, project_id: str) -> Project | None:
    if not project_id:
        return None
    if selectors.parse_id(project_id) is None:
        raise invalid("project_id", "must be a UUID")
    return _project(call, project_id)


def _named_groups(vault: Vault, text: str) -> list[Group]:
    field = "key_share_holder_group_ids"
    texts = text.split(",")
    if len(texts) > _MAX_GROUP_IDS:
        raise invalid(field, f"must have at most {_MAX_GROUP_IDS} ids")
    ids = {key for part in texts if (key := selectors.parse_id(part)) is not None}
    if len(ids) != len(texts):
        raise invalid(field, "must be distinct UUIDs with commas between them")
    groups = list(selectors.known_groups(vault).filter(pk__in=ids))
    if len(groups) != len(ids):
        raise not_found("key share holder group")
    return groups


def _holder_choice(body: Body) -> services.HolderChoice:
    return services.HolderChoice(
        tss_node_id=body.optional_text("tss_node_id"),
        name=body.optional_text("name"),
        type=body.optional_text("type"),
        signer=body.boolean("signer"),
    )


def _choice(field: str, value: str, choices: list[str]) -> None:
    if value not in choices:
        raise invalid(field, f"must be one of {', '.join(choices)}")
