"""Prepares the coordinator's database of the demo; run once in a process of its own, prints JSON.

Does what an operator does with the management commands, through the same services. `--people`: every node of
a holder gets an owner, who can log in and finds in the inbox what waits.
"""

import json
import os
import secrets
import sys

import django
from django.core.management import call_command

NODES = ("alice", "bob", "carol", "dave", "erin")


def main() -> None:
    """Migrate, make the organisation, its admin, an API key and an enrolment code for every node."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.embedded")
    django.setup()
    call_command("migrate", verbosity=0, interactive=False)

    # Models can be imported only after django.setup().
    from vaults import services
    from vaults.actors import Actor
    from vaults.scopes import ALL_SCOPES

    actor = Actor.system("quickstart")
    organisation = services.create_organisation(actor=actor, name="Demo")
    services.create_admin(actor=actor, organisation=organisation, username="admin", name="Demo admin")
    key = services.generate_api_key(
        actor=actor, organisation=organisation, name="quickstart", scopes=list(ALL_SCOPES)
    )
    people = NODES if "--people" in sys.argv else ()
    owners = {}
    for name in people:
        # Nobody learns it: people come in with a one-time code (Demo.way_in).
        user = services.create_user(actor=actor, username=name, password=secrets.token_urlsafe())
        # No mail leaves the machine: letters go to the site's log.
        services.set_email(actor=actor, user=user, email=f"{name}@example.com")
        owners[name] = services.add_member(
            actor=actor, organisation=organisation, user=user, role="approver", name=name
        )
    codes = {
        name: services.create_enrolment_code(
            actor=actor, organisation=organisation, name=name, owner=owners.get(name), service=False
        )
        for name in NODES
    }
    codes["service"] = services.create_enrolment_code(
        actor=actor, organisation=None, name="service", service=True
    )
    json.dump(
        {
            "admin_user": "admin",
            "api_secret": key.secret,
            "api_public_key": key.api_key.public_key,
            "codes": codes,
            "people": list(people),
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()
