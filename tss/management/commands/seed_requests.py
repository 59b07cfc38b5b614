"""manage.py seed_requests --like REQUEST_ID [--requests N] [--per-group K] [--events M]"""

import dataclasses
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from tss.models import TssRequest
from tss.seeding import seed
from vaults.management.printing import print_json


class Command(BaseCommand):
    help = "Fill a database for measurements with copies of one request. Never on a site in use."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--like", required=True, help="id of the request to copy")
        parser.add_argument("--requests", type=int, default=1_000_000)
        parser.add_argument("--per-group", type=int, default=20, help="requests for each group")
        parser.add_argument("--events", type=int, default=5_000_000, help="rows of the outbox")
        parser.add_argument("--force", action="store_true", help="also under production settings")

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.SETTINGS_MODULE == "config.settings.production" and not options["force"]:
            raise CommandError("these are production settings: copies are no requests; --force says you know")
        if min(options["requests"], options["per_group"], options["events"]) < 1:
            raise CommandError("--requests, --per-group and --events must be above zero")
        like = TssRequest.objects.filter(pk=options["like"]).first()
        if like is None:
            raise CommandError("there is no request with this id")
        try:
            made = seed(
                like=like,
                requests=options["requests"],
                per_group=options["per_group"],
                events=options["events"],
            )
        except ValueError as error:
            raise CommandError(str(error)) from None
        print_json(self.stdout, **dataclasses.asdict(made), requests_per_group=options["per_group"])
