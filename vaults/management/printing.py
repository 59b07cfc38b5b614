"""What the management commands share: JSON out for scripts, a clear error, an actor for the audit log."""

import getpass
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import CommandError, OutputWrapper

from vaults.actors import Actor
from vaults.errors import ServiceError
from vaults.models import Member, Organisation
from vaults.selectors import parse_id


def shell_actor() -> Actor:
    """Whoever can run commands on this machine, by the name of the account."""
    return Actor.system(f"shell/{getpass.getuser()}")


def print_json(stdout: OutputWrapper, **values: Any) -> None:
    stdout.write(json.dumps(values, indent=2))


@contextmanager
def service_errors() -> Iterator[None]:
    """Turn a ServiceError into the command's own error."""
    try:
        yield
    except ServiceError as error:
        raise CommandError(error.message) from error


def find_organisation(text: str) -> Organisation:
    """An organisation by its id. Raises CommandError."""
    key = parse_id(text)
    organisation = Organisation.objects.filter(pk=key).first() if key else None
    if organisation is None:
        raise CommandError(f"there is no organisation {text}")
    return organisation


def find_member(organisation: Organisation, username: str) -> Member:
    """A member by the user's name. Raises CommandError."""
    member = Member.objects.filter(organisation=organisation, user__username=username).first()
    if member is None:
        raise CommandError(f"{username} is not a member of {organisation.name}")
    return member
