"""Every type of event, and what it says; docs/webhooks.md is made from the same words."""

COMPATIBLE = {
    "wallets.mpc.tss_request.created": "A TSS request was created.",
    "wallets.mpc.tss_request.updated": "A TSS request changed.",
    "wallets.mpc.tss_request.succeeded": "A TSS request succeeded.",
    "wallets.mpc.tss_request.failed": "A TSS request failed, or ended without approval.",
    "mpc_vaults.created": "A vault was created.",
    "mpc_vaults.updated": "A vault was renamed, or got its root keys.",
    "mpc_vaults.deleted": "A vault was deleted. No call of this service does that.",
}
NATIVE = {
    "quorate.tss_request.created": "A request of a type that only this service has was created.",
    "quorate.tss_request.updated": "Such a request changed.",
    "quorate.tss_request.succeeded": "Such a request succeeded.",
    "quorate.tss_request.failed": "Such a request failed, or ended without approval.",
    "quorate.approval.approved": "A holder approved a request.",
    "quorate.approval.rejected": "A holder rejected a request.",
    "quorate.approval.withdrawn": "A holder took its approval back.",
    "quorate.vault.policy_changed": "The policy of a vault changed.",
    "quorate.group.created": "A key share holder group was created.",
    "quorate.group.updated": "A group got new shares, another role, or lost its place to another one.",
    "quorate.group.deleted": "A group was deleted.",
    "quorate.group.holder_changed": "A holder's place in a group is to be given to another node.",
    "quorate.group.refresh_scheduled": "The schedule of a group's Refresh changed.",
    "quorate.share_set.activated": "A group's new shares are certified and in use.",
    "quorate.share_set.superseded": "A group's shares are no longer in use.",
    "quorate.share_set.erased": "A holder signed that it erased an old share.",
    "quorate.share_set.abandoned": "A holder signed that it gave a new share up.",
    "quorate.node.enrolled": "A node joined.",
    "quorate.node.owner_assigned": "A node got another owner.",
    "quorate.node.online": "A node is calling again.",
    "quorate.node.offline": "A node has not called for a while.",
    "quorate.webhook_endpoint.disabled": "The service stopped delivering to an endpoint.",
}
ALL = COMPATIBLE | NATIVE
