"""Serves one endpoint for a while: sends what is due, oldest first, and writes down what came of it.

One worker at a time has an endpoint, by a lease with a fence on its row (leasing.leases). A worker that dies
between sending and writing down has sent something twice at most: the next one sends it again under the same
webhook-id. No database connection is held while the network is waited for.
"""

import json
import logging
import threading
import time
import uuid
from dataclasses import dataclass, field

from django.conf import settings
from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone

from leasing.leases import Lease, LeaseLost
from webhooks import representation
from webhooks.guard import Refused, target_of
from webhooks.models import Delivery, EndpointStatus, WebhookEndpoint
from webhooks.outcomes import Try, record
from webhooks.signing import Signer, signer_of
from webhooks.transport import Answer, Client

logger = logging.getLogger(__name__)

USER_AGENT = "Quorate-Webhooks/1"
# After this the endpoint goes behind the others that wait for a thread.
_SLICE_S = 5.0
# What is sent before it is written down: so much may come twice after a crash.
_BATCH = 50
_BATCH_S = 0.5
# Whoever takes longer is slow, and comes after the others.
_SLOW_MS = 2000
_IDLE_S = 30.0


def serve(endpoint_id: uuid.UUID) -> bool:
    """Deliver what is due to an endpoint, for a slice of time; whether more is due.

    False also where somebody else serves it: whoever gives an endpoint back looks once more.
    """
    try:
        active = WebhookEndpoint.objects.filter(pk=endpoint_id, status=EndpointStatus.ACTIVE)
        lease = Lease.claim(active, seconds=lease_s())
        if lease is None:
            return False
        try:
            _serve(lease)
        except LeaseLost as lost:
            logger.warning("lease lost: %s", lost)
            return False
        finally:
            lease.release()
        # Somebody who rang while the lease was held has gone away again.
        return due(endpoint_id).exists()
    finally:
        connection.close()


def due(endpoint_id: uuid.UUID) -> "QuerySet[Delivery]":
    """The deliveries of an endpoint whose time has come, oldest event first."""
    rows = Delivery.objects.filter(endpoint=endpoint_id, next_attempt_at__lte=timezone.now())
    return rows.select_related("event").order_by("event_id")


def release_all() -> None:
    """Free every endpoint at once; only where all workers are known to be gone."""
    WebhookEndpoint.objects.filter(leased_until__isnull=False).update(leased_until=None)


def lease_s() -> float:
    """Seconds: one attempt fits in, and a sign of life like that of any job."""
    seconds: float = settings.QUORATE["WEBHOOK_TIMEOUT_S"] + settings.QUORATE["JOB_LEASE_S"]
    return seconds


def _serve(lease: Lease[WebhookEndpoint]) -> None:
    end = time.monotonic() + _SLICE_S
    # Between two deliveries a process may be told to end.
    while time.monotonic() < end and threading.main_thread().is_alive():
        endpoint = lease.row
        batch = list(due(endpoint.pk)[:_BATCH])
        if not batch or endpoint.status != EndpointStatus.ACTIVE:
            return
        connection.close()
        tries = _send(endpoint, batch)
        record(lease, tries)
        if tries[-1].answer.milliseconds > _SLOW_MS:
            return
        endpoint.refresh_from_db()


def _send(endpoint: WebhookEndpoint, batch: list[Delivery]) -> list[Try]:
    """Send until one fails or the time of a batch is over."""
    signer = signer_of(endpoint, timezone.now())
    end = time.monotonic() + _BATCH_S
    tries: list[Try] = []
    try:
        client = _clients.take(endpoint)
    except Refused as refused:
        return [Try(batch[0], {}, Answer(None, failure=f"not sent: the URL {refused}"))]
    for delivery in batch:
        tries.append(_try(client, signer, endpoint, delivery))
        if not tries[-1].success or time.monotonic() >= end:
            break
    _clients.give_back(endpoint, client)
    return tries


def _try(client: Client, signer: Signer, endpoint: WebhookEndpoint, delivery: Delivery) -> Try:
    shape = representation.payload(delivery.event, endpoint.url)
    body = json.dumps(shape, ensure_ascii=False, separators=(",", ":")).encode()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        **signer.headers(event_id=str(delivery.event.event_id), body=body, now=timezone.now()),
    }
    answer = client.post(body, headers)
    return Try(delivery, headers, answer, signer.masked(answer.body))


@dataclass
class _Clients:
    """Connections that are open between two slices of their endpoints."""

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _idle: dict[uuid.UUID, tuple[float, Client]] = field(default_factory=dict)

    def take(self, endpoint: WebhookEndpoint) -> Client:
        """A client of the endpoint, which nobody else has meanwhile. Raises Refused."""
        with self._lock:
            kept = self._idle.pop(endpoint.pk, None)
        target = target_of(endpoint.url)
        if kept is not None and kept[1].target == target:
            return kept[1]
        return Client(target, timeout=settings.QUORATE["WEBHOOK_TIMEOUT_S"])

    def give_back(self, endpoint: WebhookEndpoint, client: Client) -> None:
        """Keep the client for the next slice, and close those that nobody came back for."""
        now = time.monotonic()
        with self._lock:
            stale = [key for key, (since, _) in self._idle.items() if now - since > _IDLE_S]
            gone = [self._idle.pop(key)[1] for key in stale]
            if endpoint.pk in self._idle:
                gone.append(self._idle[endpoint.pk][1])
            self._idle[endpoint.pk] = (now, client)
        for each in gone:
            each.close()


_clients = _Clients()
