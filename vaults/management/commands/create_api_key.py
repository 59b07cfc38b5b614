"""manage.py create_api_key --organisation ID --name NAME [--public-key HEX] [--scopes a,b] [--member USER]"""

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from vaults import services
from vaults.management.printing import (
    find_member,
    find_organisation,
    print_json,
    service_errors,
    shell_actor,
)
from vaults.models import KeyCurve
from vaults.scopes import ALL_SCOPES


class Command(BaseCommand):
    help = "Let a public key sign requests; without --public-key a pair is made, its secret printed once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--organisation", required=True, help="its id")
        parser.add_argument("--name", required=True)
        parser.add_argument("--public-key", help="64 (ED25519) or 66 (SECP256K1) hex digits")
        parser.add_argument("--curve", choices=KeyCurve.values, default=KeyCurve.ED25519.value)
        parser.add_argument("--scopes", default=",".join(ALL_SCOPES), help="with commas (default: all)")
        parser.add_argument("--member", help="user name of the member whose key it is (default: a robot's)")
        parser.add_argument("--expires-days", type=int, help="how long it is valid (default: until revoked)")
        parser.add_argument("--valid-ips", default="", help="IP addresses and ranges (default: any)")

    def handle(self, *args: Any, **options: Any) -> None:
        organisation = find_organisation(options["organisation"])
        member = find_member(organisation, options["member"]) if options["member"] else None
        scopes = [scope for scope in options["scopes"].split(",") if scope]
        valid_ips = [address for address in options["valid_ips"].split(",") if address]
        days = options["expires_days"]
        expires_at = None if days is None else timezone.now() + timedelta(days=days)
        secret = None
        with service_errors():
            if options["public_key"]:
                api_key = services.register_api_key(
                    actor=shell_actor(),
                    organisation=organisation,
                    name=options["name"],
                    public_key=options["public_key"],
                    scopes=scopes,
                    member=member,
                    valid_ips=valid_ips,
                    expires_at=expires_at,
                )
            else:
                generated = services.generate_api_key(
                    actor=shell_actor(),
                    organisation=organisation,
                    name=options["name"],
                    scopes=scopes,
                    member=member,
                    curve=options["curve"],
                    valid_ips=valid_ips,
                    expires_at=expires_at,
                )
                api_key, secret = generated.api_key, generated.secret
        print_json(
            self.stdout,
            api_key_id=str(api_key.id),
            api_public_key=api_key.public_key,
            curve=api_key.curve,
            scopes=api_key.scopes,
            **({"api_secret": secret} if secret else {}),
        )
