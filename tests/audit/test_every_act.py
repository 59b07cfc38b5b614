"""C23: every service that changes something stands in the audit log, and so do denials."""

import asyncio
import inspect
import json
from typing import Any

import pytest
from django.utils import timezone

from audit import rationing
from audit import services as audit
from audit.models import AuditRow
from tests.tss.nodes import Signer, Site
from tests.tss.syncing import SYNC, body, call, sync
from tss import services as requests
from tss.models import State
from vaults import services
from vaults.actors import Actor
from vaults.models import Group, GroupStatus, Holder, Member, Organisation
from webhooks import services as webhooks
from wire.checkpoint import SEEN, Witness

ACTOR = Actor.system("tests")

# Service -> what one call of it writes, in order.
ACTS = {
    "create_organisation": ["organisation.created"],
    "create_admin": ["user.created", "member.added"],
    "create_user": ["user.created"],
    "add_member": ["member.added"],
    "change_role": ["member.role_changed"],
    "set_email": ["user.email_set"],
    "set_service_signer": ["organisation.service_signer_set"],
    "generate_api_key": ["api_key.granted"],
    "register_api_key": ["api_key.granted"],
    "revoke_api_key": ["api_key.revoked"],
    "create_enrolment_code": ["enrolment_code.created"],
    "enrol_node": ["node.enrolled"],
    "publish_card": ["node.card_changed"],
    "assign_node_owner": ["node.owner_assigned"],
    "create_project": ["project.created"],
    "update_project": ["project.updated"],
    "create_vault": ["vault.created"],
    "update_vault": ["vault.updated"],
    "set_first_policy": ["vault.policy_changed"],
    "create_group": ["group.created"],
    "replace_holder": ["group.holder_changed"],
    "schedule_refresh": ["group.refresh_scheduled"],
    "retire_group": ["group.deleted"],
    "create_request": ["tss_request.created"],
    "cancel_request": ["tss_request.cancelled"],
    "retry_request": ["tss_request.approved"],
    "expire": ["tss_request.expired"],
    "create_endpoint": ["webhook_endpoint.created"],
    "update_endpoint": ["webhook_endpoint.updated"],
    "rotate_secret": ["webhook_endpoint.secret_rotated"],
    "send_test": ["webhook_event.test_sent"],
    "resend": ["webhook_endpoint.resent"],
    "resend_since": ["webhook_endpoint.resent"],
}
# Steps inside another service's transaction, whose row tells of them; what reads; loops over those above.
NO_ACT = {
    *("count_group", "hold_vault", "promote_group", "supersede_main"),
    *("announce_vault", "announce_policy"),
    *("recheck", "expired", "expire_overdue"),
}


class Book:
    """Calls services and notes what each wrote."""

    def __init__(self) -> None:
        self.acts: dict[str, list[str]] = {}

    def do(self, service: Any, *args: Any, **fields: Any) -> Any:
        before = AuditRow.objects.count()
        result = service(*args, **fields)
        rows = AuditRow.objects.order_by("sequence")[before:]
        self.acts[service.__name__] = [row.act for row in rows]
        assert all(row.actor for row in rows)
        return result


def test_the_list_names_every_service() -> None:
    known = {name for module in (services, requests) for name in module.__all__ if name.islower()}
    known |= {
        name
        for name, each in inspect.getmembers(webhooks, inspect.isfunction)
        if each.__module__ == webhooks.__name__ and not name.startswith("_")
    }
    assert set(ACTS) | NO_ACT == known
    assert not set(ACTS) & NO_ACT


@pytest.mark.django_db
def test_c23_every_service_writes_what_the_list_says(site: Site) -> None:
    book = Book()
    people(book)
    vault_and_group(book, site)
    life_of_requests(book, site)
    endpoint_and_deliveries(book, site)
    assert book.acts == ACTS


def people(book: Book) -> None:
    organisation: Organisation = book.do(services.create_organisation, actor=ACTOR, name="Acts")
    book.do(services.create_admin, actor=ACTOR, organisation=organisation, username="ada", name="Ada")
    user = book.do(services.create_user, actor=ACTOR, username="ben", password="a long password")
    book.do(services.set_email, actor=ACTOR, user=user, email="ben@example.org")
    member: Member = book.do(
        services.add_member, actor=ACTOR, organisation=organisation, user=user, role="approver", name="Ben"
    )
    book.do(services.change_role, actor=ACTOR, member=member, role="operator")
    book.do(services.set_service_signer, actor=ACTOR, organisation=organisation, enabled=False)
    key = {"actor": ACTOR, "organisation": organisation, "name": "key", "scopes": []}
    generated = book.do(services.generate_api_key, **key)
    book.do(services.register_api_key, **key, public_key=bytes(Signer("x").signing.verify_key).hex())
    book.do(services.revoke_api_key, actor=ACTOR, api_key=generated.api_key)
    code = book.do(services.create_enrolment_code, actor=ACTOR, organisation=organisation, name="node")
    signer = Signer("node")
    node = book.do(services.enrol_node, code=code, holder_card=signer.card.to_json(), software="0.1.0")
    signer.version = 2
    book.do(services.publish_card, node=node, card=signer.card)
    book.do(services.assign_node_owner, actor=ACTOR, node=node, owner=member)


def vault_and_group(book: Book, site: Site) -> None:
    project = book.do(
        services.create_project,
        actor=ACTOR,
        organisation=site.organisation,
        name="project",
        participants=3,
        threshold=2,
    )
    book.do(services.update_project, actor=ACTOR, project=project, name="renamed")
    vault = book.do(
        services.create_vault,
        actor=ACTOR,
        organisation=site.organisation,
        name="acts",
        type="Org-Controlled",
    )
    book.do(services.update_vault, actor=ACTOR, vault=vault, name="acts, renamed")
    book.do(services.set_first_policy, actor=ACTOR, vault=vault, changes={"erase_grace": 60_000})
    group = book.do(
        services.create_group,
        actor=ACTOR,
        vault=vault,
        type="SigningGroup",
        participants=3,
        threshold=2,
        holders=[services.HolderChoice(tss_node_id=each.node_id) for each in site.signers],
    )
    # As it is once it has shares.
    Group.objects.filter(pk=group.pk).update(status=GroupStatus.VALID)
    (joined,) = site.join("Newcomer")
    holder: Holder = group.holders.first()
    book.do(services.replace_holder, actor=ACTOR, holder=holder, new_tss_node_id=joined.node_id)
    book.do(services.schedule_refresh, actor=ACTOR, group=group, every_days=30)
    group.refresh_from_db()
    book.do(services.retire_group, actor=ACTOR, group=group)


def life_of_requests(book: Book, site: Site) -> None:
    fields = {"actor": site.actor, "vault": site.vault, "type": "KeyGen"}
    target = {"target_group_id": str(site.group.id)}
    request = book.do(requests.create_request, **fields, **target)
    book.do(requests.cancel_request, actor=ACTOR, request=request)
    request = site.request()
    type(request).objects.filter(pk=request.pk).update(expires_at=request.created_at)
    book.do(requests.expire, request.pk)
    request = site.approved()
    type(request).objects.filter(pk=request.pk).update(state=State.FAILED, retryable=True)
    request.refresh_from_db()
    book.do(requests.retry_request, actor=ACTOR, request=request)


def endpoint_and_deliveries(book: Book, site: Site) -> None:
    began, type = timezone.now(), "mpc_vaults.created"
    ours = {"actor": ACTOR, "organisation": site.organisation}
    endpoint = book.do(
        webhooks.create_endpoint, **ours, url="https://hooks.example.com/", subscribed_events=[type]
    )
    book.do(webhooks.update_endpoint, actor=ACTOR, endpoint=endpoint, description="for tests")
    book.do(webhooks.rotate_secret, actor=ACTOR, endpoint=endpoint, overlap_hours=1)
    book.do(webhooks.send_test, **ours, type=type)
    book.do(webhooks.resend, actor=ACTOR, delivery=endpoint.deliveries.get())
    book.do(webhooks.resend_since, actor=ACTOR, endpoint=endpoint, since=began)


@pytest.mark.django_db(transaction=True)
@pytest.mark.slow
def test_c23_what_is_handed_in_in_a_nodes_name_is_audited_once_a_minute(site: Site) -> None:
    rationing.forget()
    alice, bob = site.signers[:2]
    for _ in range(3):
        status, _ = asyncio.run(call(alice, SYNC, body(), body=b"another"))
        assert status == 401
    checkpoint = audit.checkpoint()
    assert checkpoint is not None
    word = Witness.sign(
        bob.sign, verdict=SEEN, checkpoint=checkpoint, earlier=None, node_id=alice.node_id, time=1
    )
    for _ in range(3):
        sync(alice, audit={"seen": 0, "words": [word.to_json()]})
    rows = AuditRow.objects.filter(act="node.denied", subject=f"node:{alice.node_id}").order_by("sequence")
    assert [json.loads(row.detail)["what"] for row in rows] == ["call", "audit.words"]
    assert {row.organisation_id for row in rows} == {str(site.organisation.id)}
