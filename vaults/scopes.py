"""What an API key may do: the vendor's scope names, and what each role of a member adds up to."""

from vaults.models import ApiKey, Role

ALL_SCOPES = (
    "mpc_project.create",
    "mpc_project.read",
    "mpc_project.update",
    "mpc_vault.create",
    "mpc_vault.read",
    "mpc_vault.update",
    "mpc_key_group.create",
    "mpc_key_group.read",
    "mpc_key_group.update",
    "mpc_key_group.delete",
    "webhook.edit",
    "webhook.read",
    "webhook.resend",
    "api_key.read",
    "callback.read",
    "callback.resend",
)
READ_SCOPES = tuple(scope for scope in ALL_SCOPES if scope.endswith(".read"))

_OF_ROLE: dict[str, tuple[str, ...]] = {
    Role.ADMIN: ALL_SCOPES,
    Role.OPERATOR: ALL_SCOPES,
    # Approvers act through their nodes and passkeys, not through the API.
    Role.APPROVER: READ_SCOPES,
    Role.AUDITOR: READ_SCOPES,
}


def allowed(api_key: ApiKey, scope: str) -> bool:
    """Whether the key has `scope`, and so has the role that its member holds now; a robot has no role."""
    if scope not in api_key.scopes:
        return False
    return api_key.member is None or scope in _OF_ROLE[api_key.member.role]
