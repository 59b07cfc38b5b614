"""manage.py audit verify"""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit import services


class Command(BaseCommand):
    help = "Check the audit log's hash chain; prints its head, to be noted elsewhere and compared later."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("act", choices=["verify"])

    def handle(self, *args: Any, **options: Any) -> None:
        broken = services.verify()
        if broken is not None:
            raise CommandError(f"the chain breaks at row {broken}: it was changed or removed")
        sequence, digest = services.head()
        self.stdout.write(json.dumps({"rows": sequence, "head": digest}, indent=2))
