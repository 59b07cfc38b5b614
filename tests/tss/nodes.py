"""An organisation whose holders are real identities with real protocol machines; only HTTP is missing."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from django.db import connection
from nacl.public import PrivateKey
from nacl.signing import SigningKey

from mpc.certificate import Certificate
from mpc.keygen import KeyGen
from tss import certificates, decisions, driver, mailbox, services
from tss.documents import context_of
from tss.models import Ceremony, Job, JobKind, Message, TssRequest
from tss.representation import milliseconds
from vaults import services as vaults
from vaults.actors import Actor
from vaults.models import ApiKey, Group, Member, Node, Organisation, Vault
from vaults.services import HolderChoice
from wire.abort import Abort
from wire.approval import Approval
from wire.envelope import ABORT, ROUND_MESSAGE, Envelope
from wire.identity import HolderCard
from wire.session import KEYGEN_PROTOCOL

SYSTEM = Actor.system("test")


@dataclass
class Signer:
    """A holder's node: its identity, its row, and the machine of the ceremony that it is in."""

    name: str
    signing: SigningKey = field(default_factory=SigningKey.generate, repr=False)
    encryption: PrivateKey = field(default_factory=PrivateKey.generate, repr=False)
    index: int = 0
    machine: Any = field(default=None, repr=False)
    certificate: Certificate | None = None

    def sign(self, message: bytes) -> bytes:
        return self.signing.sign(message).signature

    @property
    def card(self) -> HolderCard:
        unsigned = HolderCard(
            signing_key=bytes(self.signing.verify_key),
            encryption_key=bytes(self.encryption.public_key),
            kind="api",
            version=1,
            method="node",
            signature=bytes(64),
        )
        return replace(unsigned, signature=self.sign(unsigned.signed_bytes()))

    @property
    def node_id(self) -> str:
        return self.card.node_id

    @property
    def row(self) -> Node:
        return Node.objects.get(pk=self.node_id)

    def enrol(self, organisation: Organisation, owner: Member | None = None) -> None:
        code = vaults.create_enrolment_code(
            actor=SYSTEM, organisation=organisation, name=self.name, owner=owner
        )
        vaults.enrol_node(code=code, holder_card=self.card.to_json(), software="0.1.0")

    def decision(self, request: TssRequest, decision: str = "approve", **changes: Any) -> dict[str, Any]:
        """A signed decision; `changes` replace fields before signing."""
        fields: dict[str, Any] = {
            "digest": bytes.fromhex(request.digest),
            "decision": decision,
            "node_id": self.node_id,
            "time": milliseconds(request.created_at) + 1,
            "reason": "",
        } | changes
        return Approval.sign(self.sign, **fields).to_json()

    def decide(self, request: TssRequest, decision: str = "approve", **changes: Any) -> None:
        decisions.decide(node=self.row, value=self.decision(request, decision, **changes))

    def envelope(self, ceremony: Ceremony, round: int, body: bytes, **changes: Any) -> bytes:
        """A signed envelope of this participant; `changes` replace fields before signing."""
        fields: dict[str, Any] = {
            "type": ROUND_MESSAGE,
            "session_id": bytes.fromhex(ceremony.session_id),
            "protocol": KEYGEN_PROTOCOL,
            "round": round,
            "sender": self.index,
            "recipient": 0,
            "body": body,
        } | changes
        return Envelope.seal(self.sign, **fields).encode()

    def send(self, ceremony: Ceremony, round: int, body: bytes, **changes: Any) -> None:
        mailbox.store(node=self.row, data=self.envelope(ceremony, round, body, **changes))

    def abort(self, ceremony: Ceremony, round: int, *, code: str, message: str, blamed: int = 0) -> None:
        body = Abort(code=code, message=message, blamed=blamed).encode()
        self.send(ceremony, round, body, type=ABORT)

    def begin(self, ceremony: Ceremony) -> None:
        """Start the protocol and send round 0."""
        context = context_of(ceremony.request, ceremony.attempt)
        self.machine, step = KeyGen.start(context, self.index, self.sign, notes=b"")
        self._send_all(ceremony, step)

    def receive(self, ceremony: Ceremony) -> None:
        """Take the others' messages of the round that the machine waits for, and answer."""
        rows = Message.objects.filter(ceremony=ceremony, type=ROUND_MESSAGE, round=self.machine.round)
        envelopes = [Envelope.parse(bytes(row.envelope)) for row in rows]
        bodies = {each.sender: each.body for each in envelopes if each.sender != self.index}
        step = self.machine.receive(bodies)
        self._send_all(ceremony, step)
        self.certificate = step.certificate

    def hand_in(self, ceremony: Ceremony) -> None:
        """Give the coordinator the certificate."""
        assert self.certificate is not None
        certificates.accept(
            node=self.row, value=certificate_item(ceremony.session_id, self.certificate.encode())
        )

    def _send_all(self, ceremony: Ceremony, step: Any) -> None:
        for message in step.outgoing:
            self.send(ceremony, message.round, message.body, recipient=message.to)


def certificate_item(session_id: str, encoded: bytes) -> dict[str, str]:
    from base64 import b64encode

    return {"session_id": session_id, "certificate": b64encode(encoded).decode()}


@dataclass
class Site:
    """An organisation with a vault, signers and a MainGroup of them."""

    organisation: Organisation
    actor: Actor
    vault: Vault
    signers: list[Signer]
    group: Group

    @classmethod
    def make(cls, participants: int = 3, threshold: int = 2) -> "Site":
        organisation = vaults.create_organisation(actor=SYSTEM, name="Acme")
        key = ApiKey.objects.create(
            organisation=organisation, name="robot", curve="ED25519", public_key=secrets.token_hex(32)
        )
        actor = Actor.of_api_key(key)
        vault = vaults.create_vault(
            actor=actor, organisation=organisation, name="Treasury", type="Org-Controlled"
        )
        names = [f"Holder {chr(ord('A') + position)}" for position in range(participants)]
        signers = [Signer(name) for name in names]
        for signer in signers:
            signer.enrol(organisation)
        site = cls(organisation, actor, vault, signers, None)  # type: ignore[arg-type]
        site.group = site.new_group(threshold)
        return site

    def new_group(self, threshold: int = 2, type: str = "MainGroup", vault: Vault | None = None) -> Group:
        group = vaults.create_group(
            actor=self.actor,
            vault=vault or self.vault,
            type=type,
            participants=len(self.signers),
            threshold=threshold,
            holders=[HolderChoice(tss_node_id=signer.node_id) for signer in self.signers],
        )
        for index, signer in enumerate(self.signers, start=1):
            signer.index = index
        return group

    def request(self, group: Group | None = None, **changes: Any) -> TssRequest:
        target = group or self.group
        fields: dict[str, Any] = {
            "actor": self.actor,
            "vault": target.vault,
            "type": "KeyGen",
            "target_group_id": str(target.id),
        } | changes
        return services.create_request(**fields)

    def approved(self, group: Group | None = None) -> TssRequest:
        request = self.request(group)
        for signer in self.signers:
            signer.decide(request)
        return fresh(request)

    def started(self, group: Group | None = None) -> Ceremony:
        """A request that all have approved and whose ceremony is open."""
        request = self.approved(group)
        run_job(JobKind.START_CEREMONY, request.id)
        return Ceremony.objects.select_related("request").get(request=request)

    def run(self, ceremony: Ceremony) -> None:
        """Run the whole protocol honestly; every signer then holds the certificate."""
        for signer in self.signers:
            signer.begin(ceremony)
        while any(signer.certificate is None for signer in self.signers):
            for signer in self.signers:
                signer.receive(ceremony)


def fresh(request: TssRequest) -> TssRequest:
    return TssRequest.objects.select_related("target_group").get(pk=request.pk)


def and_close(act: Callable[[], object]) -> Callable[[], None]:
    """`act` for another thread, which then gives its database connection back."""

    def run() -> None:
        try:
            act()
        finally:
            connection.close()

    return run


def run_job(kind: JobKind, reference: str) -> bool:
    """What the worker does when it is rung for the open job."""
    return driver.run(Job.objects.get(kind=kind, reference=reference, done_at__isnull=True).pk)
