"""manage.py create_organisation --name NAME --admin-username USER"""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction

from vaults import services
from vaults.management.printing import print_json, service_errors, shell_actor


class Command(BaseCommand):
    help = "Make an organisation and its first administrator; prints the generated password once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--name", required=True)
        parser.add_argument("--admin-username", required=True)
        parser.add_argument("--admin-name", help="how the administrator is shown (default: the user name)")

    def handle(self, *args: Any, **options: Any) -> None:
        username = options["admin_username"]
        with service_errors(), transaction.atomic():
            organisation = services.create_organisation(actor=shell_actor(), name=options["name"])
            admin = services.create_admin(
                actor=shell_actor(),
                organisation=organisation,
                username=username,
                name=options["admin_name"] or username,
            )
        print_json(
            self.stdout,
            organisation_id=str(organisation.id),
            admin_username=username,
            admin_password=admin.password,
            member_id=str(admin.member.id),
        )
