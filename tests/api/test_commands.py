"""The management commands, as a script uses them: JSON out."""

import io
import json
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.core.management import CommandError, call_command

from audit.models import AuditRow
from tests.api.client import Client, now_ms
from tests.api.conftest import Tenant
from tests.wire.builders import card
from vaults import services
from vaults.models import Member, Node, Organisation


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


def test_access(tenant: Tenant) -> None:
    organisation = ("--organisation", str(tenant.organisation.id))
    added = run(
        "access", "add-member", *organisation, *("--username", "ann", "--name", "Ann", "--role", "approver")
    )
    assert authenticate(username="ann", password=added["password"]) is not None
    run("access", "change-role", *organisation, *("--username", "ann", "--role", "operator"))
    assert Member.objects.get().role == "operator"
    node_id = tenant.node_ids[0]
    assert run("access", "own-node", "--node", node_id, "--owner", "ann")["owner"] == added["member_id"]
    assert str(Node.objects.get(pk=node_id).owner_id) == added["member_id"]
    assert run("access", "own-node", "--node", node_id)["owner"] is None
    run("access", "service-signer", *organisation, *("--enabled", "no"))
    assert not Organisation.objects.get().service_signer_enabled
    run("access", "revoke-key", "--public-key", tenant.client.public_key)
    assert tenant.client.get("/developers/api_key_info").error == (401, 2024, "")
    acts = AuditRow.objects.order_by("-sequence").values_list("act", flat=True)
    assert set(acts) >= {
        "member.added",
        "member.role_changed",
        "node.owner_assigned",
        "organisation.service_signer_set",
        "api_key.revoked",
    }
    with pytest.raises(CommandError, match="is revoked already"):
        run("access", "revoke-key", "--public-key", tenant.client.public_key)


def test_key_that_expires(tenant: Tenant) -> None:
    arguments = ("create_api_key", "--organisation", str(tenant.organisation.id), "--name", "short")
    key = run(*arguments, "--expires-days", "1")
    info = Client(key["api_secret"]).get("/developers/api_key_info").json
    assert 0 < info["expired_timestamp"] - now_ms() <= 24 * 3600 * 1000
    with pytest.raises(CommandError, match="must be in the future"):
        run(*arguments, "--expires-days", "0")
