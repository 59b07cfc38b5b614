"""manage.py create_enrolment_code (--organisation ID | --service) --name NAME [--owner USER]"""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from vaults import services
from vaults.management.printing import (
    find_member,
    find_organisation,
    print_json,
    service_errors,
    shell_actor,
)


class Command(BaseCommand):
    help = "Make a one-time code with which a signer node joins; printed once."

    def add_arguments(self, parser: CommandParser) -> None:
        kind = parser.add_mutually_exclusive_group(required=True)
        kind.add_argument("--organisation", help="its id")
        kind.add_argument("--service", action="store_true", help="for the service's own signer")
        parser.add_argument("--name", required=True, help="what people call the node")
        parser.add_argument("--owner", help="user name of the member who owns the node")

    def handle(self, *args: Any, **options: Any) -> None:
        organisation = find_organisation(options["organisation"]) if options["organisation"] else None
        owner = find_member(organisation, options["owner"]) if organisation and options["owner"] else None
        with service_errors():
            code = services.create_enrolment_code(
                actor=shell_actor(),
                organisation=organisation,
                name=options["name"],
                service=options["service"],
                owner=owner,
            )
        print_json(self.stdout, code=code, name=options["name"])
