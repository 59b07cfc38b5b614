"""manage.py recover_account --username NAME"""

from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.services import recovery
from vaults.management.printing import print_json, shell_actor


class Command(BaseCommand):
    help = "Print a one-time code with which a person opens an account whose keys are new or lost."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--username", required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["username"]).first()
        if user is None:
            raise CommandError(f"there is no user {options['username']}")
        code = recovery.make_code(actor=shell_actor(), user=user)
        minutes = int(recovery.LIFETIME.total_seconds() // 60)
        print_json(self.stdout, page="/account/recover", code=code, valid_minutes=minutes)
