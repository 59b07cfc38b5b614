"""manage.py webhooks (list | secret | rotate-secret | resend | test) ..."""

from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from vaults.management.printing import find_organisation, print_json, service_errors, shell_actor
from webhooks import representation, selectors, services, signing
from webhooks.models import WebhookEndpoint


class Command(BaseCommand):
    help = "Look after webhook endpoints: their state and secrets, deliveries made again, test events."

    def add_arguments(self, parser: CommandParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True)
        listing = acts.add_parser("list")
        secret = acts.add_parser("secret", help="what its deliveries are verified with")
        rotate = acts.add_parser("rotate-secret")
        again = acts.add_parser("resend", help="what the endpoint missed since a time")
        test = acts.add_parser("test", help="deliver a test event to whoever subscribes to its type")
        for each in (listing, secret, rotate, again, test):
            each.add_argument("--organisation", required=True, help="its id")
        for each in (secret, rotate, again):
            each.add_argument("--endpoint", required=True, help="its id")
        rotate.add_argument("--overlap-hours", type=int, default=24)
        again.add_argument("--since", required=True, help="ISO 8601, with a time zone")
        again.add_argument("--delivered", action="store_true", help="also what has arrived")
        test.add_argument("--type", required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        acts = {
            "list": _list,
            "secret": _secret,
            "rotate-secret": _rotate_secret,
            "resend": _resend,
            "test": _test,
        }
        with service_errors():
            print_json(self.stdout, **acts[options["act"]](options))


def _list(options: dict[str, Any]) -> dict[str, Any]:
    rows = selectors.endpoints(organisation=find_organisation(options["organisation"]))
    return {"endpoints": [representation.endpoint(row) for row in rows.order_by("created_at")]}


def _secret(options: dict[str, Any]) -> dict[str, Any]:
    secrets = signing.signer_of(_endpoint(options), timezone.now()).secrets[0]
    return {"secret": secrets.secret, "public_key": secrets.public_key}


def _rotate_secret(options: dict[str, Any]) -> dict[str, Any]:
    rotated = services.rotate_secret(
        actor=shell_actor(), endpoint=_endpoint(options), overlap_hours=options["overlap_hours"]
    )
    return representation.endpoint(rotated)


def _resend(options: dict[str, Any]) -> dict[str, Any]:
    count = services.resend_since(
        actor=shell_actor(),
        endpoint=_endpoint(options),
        since=_moment(options["since"]),
        delivered=options["delivered"],
    )
    return {"resent": count}


def _test(options: dict[str, Any]) -> dict[str, Any]:
    organisation = find_organisation(options["organisation"])
    event = services.send_test(actor=shell_actor(), organisation=organisation, type=options["type"])
    return {"event_id": str(event.event_id)}


def _endpoint(options: dict[str, Any]) -> WebhookEndpoint:
    organisation = find_organisation(options["organisation"])
    return selectors.get_endpoint(organisation=organisation, endpoint_id=options["endpoint"])


def _moment(text: str) -> datetime:
    try:
        moment = parse_datetime(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise CommandError("--since must be a time like 2026-11-27T10:00:00Z")
    return moment
