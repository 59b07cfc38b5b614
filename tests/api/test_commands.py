"""The management commands, as a script uses them: JSON out."""

import io
import json
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.core.management import CommandError, call_command

from tests.api.client import Client
from tests.wire.builders import card
from vaults import services
from vaults.models import Organisation


def run(*arguments: str) -> Any:
    out = io.StringIO()
    call_command(*arguments, stdout=out)
    return json.loads(out.getvalue())


def test_from_nothing_to_a_signed_call(transactional_db: None) -> None:
    made = run("create_organisation", "--name", "Acme", "--admin-username", "root")
    organisation = made["organisation_id"]
    admin = authenticate(username="root", password=made["admin_password"])
    assert admin is not None
    assert admin.is_superuser
    key = run("create_api_key", "--organisation", organisation, "--name", "robot")
    info = Client(key["api_secret"]).get("/developers/api_key_info").json
    assert info["key"] == key["api_public_key"]
    mine = run(
        *("create_api_key", "--organisation", organisation, "--name", "mine", "--member", "root"),
        *("--public-key", "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"),
        *("--scopes", "mpc_vault.read"),
    )
    assert mine["scopes"] == ["mpc_vault.read"]
    assert "api_secret" not in mine
    code = run("create_enrolment_code", "--organisation", organisation, "--name", "alice", "--owner", "root")[
        "code"
    ]
    node = services.enrol_node(code=code, holder_card=card("alice").to_json(), software="0.1.0")
    assert str(node.owner_id) == made["member_id"]
    code = run("create_enrolment_code", "--service", "--name", "service")["code"]
    service = card("service", kind="service").to_json()
    assert services.enrol_node(code=code, holder_card=service, software="0.1.0").organisation is None
    assert run("audit", "verify")["rows"] > 5


def test_second_administrator_is_no_site_administrator(transactional_db: None) -> None:
    run("create_organisation", "--name", "Acme", "--admin-username", "root")
    made = run("create_organisation", "--name", "Globex", "--admin-username", "second")
    admin = authenticate(username="second", password=made["admin_password"])
    assert admin is not None
    assert (admin.is_staff, admin.is_superuser) == (True, False)


def test_errors_are_clear_and_leave_nothing(transactional_db: None) -> None:
    run("create_organisation", "--name", "Acme", "--admin-username", "root")
    with pytest.raises(CommandError, match="root is taken"):
        run("create_organisation", "--name", "Globex", "--admin-username", "root")
    assert Organisation.objects.count() == 1
    with pytest.raises(CommandError, match="there is no organisation nowhere"):
        run("create_api_key", "--organisation", "nowhere", "--name", "x")
    with pytest.raises(CommandError, match="hex digits"):
        run(
            *("create_api_key", "--organisation", str(Organisation.objects.get().id)),
            *("--name", "x", "--public-key", "abc"),
        )
