"""manage.py access (add-member | change-role | set-email | own-node | revoke-key | service-signer) ..."""

import secrets
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from vaults import services
from vaults.management.printing import (
    find_member,
    find_organisation,
    print_json,
    service_errors,
    shell_actor,
)
from vaults.models import ApiKey, Node, Role


class Command(BaseCommand):
    help = "Say who may do what: members and roles, owners of nodes, revoked keys, the service's own signer."

    def add_arguments(self, parser: CommandParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True)
        add = acts.add_parser("add-member", help="a new user gets a password, printed once")
        role = acts.add_parser("change-role")
        for each in (add, role):
            each.add_argument("--organisation", required=True, help="its id")
            each.add_argument("--username", required=True)
            each.add_argument("--role", choices=Role.values, required=True)
        add.add_argument("--name", required=True, help="how the member is shown")
        email = acts.add_parser("set-email", help="where letters to the user go; without --email nowhere")
        email.add_argument("--username", required=True)
        email.add_argument("--email", default="")
        owner = acts.add_parser("own-node", help="without --owner the node belongs to nobody")
        owner.add_argument("--node", required=True, help="its id")
        owner.add_argument("--owner", help="user name of a member of the node's organisation")
        revoke = acts.add_parser("revoke-key")
        revoke.add_argument("--public-key", required=True)
        service = acts.add_parser("service-signer", help="whether new groups may name it")
        service.add_argument("--organisation", required=True, help="its id")
        service.add_argument("--enabled", choices=("yes", "no"), required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        acts = {
            "add-member": _add_member,
            "change-role": _change_role,
            "set-email": _set_email,
            "own-node": _own_node,
            "revoke-key": _revoke_key,
            "service-signer": _service_signer,
        }
        with service_errors():
            print_json(self.stdout, **acts[options["act"]](options))


def _add_member(options: dict[str, Any]) -> dict[str, Any]:
    organisation = find_organisation(options["organisation"])
    user = User.objects.filter(username=options["username"]).first()
    secret = {}
    if user is None:
        password = secrets.token_urlsafe(18)
        user = services.create_user(actor=shell_actor(), username=options["username"], password=password)
        secret = {"password": password}
    member = services.add_member(
        actor=shell_actor(),
        organisation=organisation,
        user=user,
        role=options["role"],
        name=options["name"],
    )
    return {"member_id": str(member.id), "role": member.role, **secret}


def _change_role(options: dict[str, Any]) -> dict[str, Any]:
    member = find_member(find_organisation(options["organisation"]), options["username"])
    services.change_role(actor=shell_actor(), member=member, role=options["role"])
    return {"member_id": str(member.id), "role": member.role}


def _set_email(options: dict[str, Any]) -> dict[str, Any]:
    user = User.objects.filter(username=options["username"]).first()
    if user is None:
        raise CommandError(f"there is no user {options['username']}")
    services.set_email(actor=shell_actor(), user=user, email=options["email"])
    return {"username": user.username, "email": user.email}


def _own_node(options: dict[str, Any]) -> dict[str, Any]:
    node = Node.objects.filter(pk=options["node"]).select_related("organisation").first()
    if node is None or node.organisation is None:
        raise CommandError(f"no organisation has a node {options['node']}")
    owner = find_member(node.organisation, options["owner"]) if options["owner"] else None
    services.assign_node_owner(actor=shell_actor(), node=node, owner=owner)
    return {"tss_node_id": node.tss_node_id, "owner": str(owner.id) if owner else None}


def _revoke_key(options: dict[str, Any]) -> dict[str, Any]:
    api_key = ApiKey.objects.filter(public_key=options["public_key"].lower()).first()
    if api_key is None:
        raise CommandError(f"there is no API key {options['public_key']}")
    services.revoke_api_key(actor=shell_actor(), api_key=api_key)
    return {"api_key_id": str(api_key.id), "revoked": True}


def _service_signer(options: dict[str, Any]) -> dict[str, Any]:
    organisation = find_organisation(options["organisation"])
    enabled = options["enabled"] == "yes"
    services.set_service_signer(actor=shell_actor(), organisation=organisation, enabled=enabled)
    return {"organisation_id": str(organisation.id), "service_signer_enabled": enabled}
