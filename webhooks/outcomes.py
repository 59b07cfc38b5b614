"""What came of a batch of deliveries: rows of the log, the next try, the end of an endpoint that is dead."""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from audit import services as audit
from leasing.leases import Lease
from vaults.actors import Actor
from vaults.models import Member, Role
from webhooks import outbox
from webhooks.models import Attempt, Delivery, DeliveryStatus, EndpointStatus, WebhookEndpoint
from webhooks.schedule import next_try
from webhooks.transport import Answer

logger = logging.getLogger(__name__)

_SERVICE = Actor.system("webhooks")
_GONE = 410


@dataclass(frozen=True)
class Try:
    """One attempt. headers: as sent; text: the answer's body as it may be kept."""

    delivery: Delivery
    headers: dict[str, str]
    answer: Answer
    text: str = ""

    @property
    def success(self) -> bool:
        return self.answer.status is not None and 200 <= self.answer.status < 300


def record(lease: Lease[WebhookEndpoint], tries: list[Try]) -> None:
    """Write down a batch, of which only the last may have failed. Raises LeaseLost, and writes nothing."""
    now = timezone.now()
    with transaction.atomic():
        lease.hold()
        endpoint = lease.row
        # From here to the commit nobody changes it: whether it is still active is certain.
        endpoint.refresh_from_db(fields=["status", "failing_since"])
        done = [each.delivery.pk for each in tries if each.success]
        Delivery.objects.filter(pk__in=done).update(
            status=DeliveryStatus.SUCCESS, next_attempt_at=None, tries=F("tries") + 1
        )
        Attempt.objects.bulk_create(_log(each) for each in tries)
        last = tries[-1]
        if done and endpoint.failing_since is not None:
            lease.mine().update(failing_since=None)
            endpoint.failing_since = None
        if not last.success:
            _failed(lease, last, now)


def _failed(lease: Lease[WebhookEndpoint], last: Try, now: datetime) -> None:
    delivery, endpoint = last.delivery, lease.row
    again = None
    if endpoint.status == EndpointStatus.ACTIVE:
        again = next_try(tries=delivery.tries + 1, retry_after=last.answer.retry_after, now=now)
    Delivery.objects.filter(pk=delivery.pk).update(
        status=DeliveryStatus.FAILED if again is None else DeliveryStatus.RETRYING,
        next_attempt_at=again,
        tries=F("tries") + 1,
    )
    if endpoint.status != EndpointStatus.ACTIVE:
        return
    since = endpoint.failing_since or now
    if endpoint.failing_since is None:
        lease.mine().update(failing_since=now)
    if last.answer.status == _GONE:
        _disable(endpoint, "it answered 410 Gone")
    elif now - since >= timedelta(seconds=settings.QUORATE["WEBHOOK_DISABLE_AFTER_S"]):
        _disable(endpoint, f"nothing could be delivered since {since:%Y-%m-%d %H:%M} UTC")


def _disable(endpoint: WebhookEndpoint, reason: str) -> None:
    """Stop delivering and tell its owners by other ways than the endpoint itself (W08)."""
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(
        status=EndpointStatus.INACTIVE, disabled_reason=reason, updated_at=timezone.now()
    )
    give_up(endpoint)
    organisation_id = str(endpoint.organisation_id)
    outbox.emit(
        organisation_id=organisation_id,
        type="quorate.webhook_endpoint.disabled",
        data={"data_type": "WebhookEndpoint", "endpoint_id": str(endpoint.pk), "reason": reason},
    )
    transaction.on_commit(lambda: _mail(endpoint, reason), robust=True)
    audit.record(
        actor=_SERVICE.label,
        act="webhook_endpoint.disabled",
        subject=f"webhook_endpoint:{endpoint.pk}",
        detail={"reason": reason},
        organisation_id=organisation_id,
    )


def give_up(endpoint: WebhookEndpoint) -> None:
    """Fail what an inactive endpoint has not got; it can be resent once the endpoint is active again."""
    Delivery.objects.filter(endpoint=endpoint, status=DeliveryStatus.RETRYING).update(
        status=DeliveryStatus.FAILED, next_attempt_at=None
    )


def _log(each: Try) -> Attempt:
    answer = each.answer
    failure = answer.failure
    if not each.success and not failure:
        redirect = answer.status is not None and 300 <= answer.status < 400
        failure = f"answered {answer.status}" + ("; redirects are not followed" if redirect else "")
    return Attempt(
        delivery=each.delivery,
        request_headers=each.headers,
        success=each.success,
        response_status_code=answer.status,
        response_body=each.text,
        response_time=answer.milliseconds,
        failure_reason=failure,
    )


def _mail(endpoint: WebhookEndpoint, reason: str) -> None:
    # The address of the endpoint stays out: it may carry a token.
    text = (
        f"The webhook endpoint {endpoint.pk} ({endpoint.description or 'no description'}) gets no more "
        f"events: {reason}. Put its receiver right, make it active again, and have what it missed resent."
    )
    admins = Member.objects.filter(organisation=endpoint.organisation_id, role=Role.ADMIN)
    addresses = sorted({address for address in admins.values_list("user__email", flat=True) if address})
    try:
        # One by one: nobody is shown the others, and one bad address costs nobody else the news.
        for address in addresses:
            send_mail("A webhook endpoint was disabled", text, None, [address])
    except OSError as error:  # smtplib's errors are OSErrors too
        logger.warning("endpoint %s: no mail could be sent: %s", endpoint.pk, type(error).__name__)
