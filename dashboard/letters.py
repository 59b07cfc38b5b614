"""E-mail to approvers: once when a request waits for them, once more before it expires.

A sweep over the open requests makes the rows, and sends what they say: so nothing is lost with a worker, and
a mail server that is down costs time only. A letter says what waits and where; its link opens a page, and no
page decides anything by being opened.
"""

import logging
import secrets
import smtplib
from datetime import datetime, timedelta

from django.conf import settings
from django.core.mail import EmailMessage
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.urls import reverse
from django.utils import timezone

from dashboard.models import Letter, LetterKind
from dashboard.selectors import open_votes
from dashboard.sentences import sentence_of
from tss.models import State, Voter
from wire.canonical import CanonicalError
from wire.fields import WireError

logger = logging.getLogger(__name__)

_BATCH = 200
_LEASE = timedelta(minutes=2)
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 30, 3600


def write_due() -> int:
    """Make the letters that are due and not made yet; how many. Two sweeps at once make each once."""
    now = timezone.now()
    before_end = timedelta(seconds=settings.QUORATE["REMIND_BEFORE_S"])
    unwritten = _unwritten(LetterKind.WAITING)
    told = Letter.objects.filter(
        request=OuterRef("request"),
        member=OuterRef("node__owner"),
        kind=LetterKind.WAITING,
        # Who was told just now needs no reminder.
        sent_at__lt=now - before_end / 4,
    )
    ending = (
        _unwritten(LetterKind.REMINDER).filter(request__expires_at__lt=now + before_end).filter(Exists(told))
    )
    return _write(LetterKind.WAITING, unwritten) + _write(LetterKind.REMINDER, ending)


def _unwritten(kind: LetterKind) -> "QuerySet[Voter]":
    """Open votes of nodes whose owner has an address and no letter of this kind."""
    written = Letter.objects.filter(request=OuterRef("request"), member=OuterRef("node__owner"), kind=kind)
    rows = open_votes().filter(request__state=State.AWAITING_APPROVAL, request__expires_at__gt=timezone.now())
    return rows.filter(node__owner__user__is_active=True, node__owner__user__email__gt="").exclude(
        Exists(written)
    )


def _write(kind: LetterKind, voters: "QuerySet[Voter]") -> int:
    # One a person, however many nodes of theirs are asked.
    owners = set(voters.values_list("request", "node__owner")[:_BATCH])
    letters = [
        Letter(request_id=request, member_id=member, kind=kind, message_id=f"{secrets.token_hex(16)}@quorate")
        for request, member in sorted(owners, key=str)
    ]
    return len(Letter.objects.bulk_create(letters, ignore_conflicts=True))


def due() -> list[int]:
    """Letters to be sent now, the oldest first."""
    now = timezone.now()
    rows = Letter.objects.filter(_free(now), sent_at=None, due_at__lte=now).order_by("due_at")
    return list(rows.values_list("pk", flat=True)[:_BATCH])


def send(letter_id: int) -> bool:
    """Send a letter unless somebody else does, or nothing waits for its reader any more; whether it went out.

    A worker that dies in between leaves the lease behind; after it the letter goes out with the same id.
    """
    letter = _claim(letter_id)
    if letter is None:
        return False
    mine = Letter.objects.filter(pk=letter.pk, attempts=letter.attempts, sent_at=None)
    if not _still_open(letter):
        # Should the vote open again, a new one is written.
        mine.delete()
        return False
    try:
        _message(letter).send()
    except (OSError, smtplib.SMTPException) as error:
        pause = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** (letter.attempts - 1))
        mine.update(leased_until=None, due_at=timezone.now() + timedelta(seconds=pause))
        logger.warning("letter %s was not sent, next try in %s s: %s", letter.pk, pause, type(error).__name__)
        return False
    mine.update(sent_at=timezone.now(), leased_until=None)
    return True


def _claim(letter_id: int) -> Letter | None:
    now = timezone.now()
    letter = (
        Letter.objects.select_related("request__vault", "member__user")
        .filter(_free(now), pk=letter_id, sent_at=None, due_at__lte=now)
        .first()
    )
    if letter is None:
        return None
    rows = Letter.objects.filter(_free(now), pk=letter_id, sent_at=None, attempts=letter.attempts)
    if rows.update(attempts=F("attempts") + 1, leased_until=now + _LEASE) != 1:
        return None
    letter.attempts += 1
    return letter


def _free(now: datetime) -> Q:
    return Q(leased_until__isnull=True) | Q(leased_until__lt=now)


def _still_open(letter: Letter) -> bool:
    if letter.request.state != State.AWAITING_APPROVAL or letter.request.expires_at <= timezone.now():
        return False
    return open_votes().filter(request=letter.request, node__owner=letter.member).exists()


def _message(letter: Letter) -> EmailMessage:
    request = letter.request
    try:
        sentence = sentence_of(request)
    except (CanonicalError, WireError):
        sentence = "Its stored documents are damaged: do not approve it."
    end = request.expires_at.strftime("%Y-%m-%d %H:%M UTC")
    ends = "ends soon" if letter.kind == LetterKind.REMINDER else "waits for your vote"
    link = settings.QUORATE["SITE_URL"] + reverse("admin:request", args=[request.id])
    # No free text of anybody's: a letter is read where nothing of the site's pages protects the reader.
    body = (
        f"{sentence}\n\n"
        f"Request {request.id}, until {end}.\n"
        f"Digest {request.digest}\n\n"
        f"{link}\n\n"
        "The link only opens the page. Compare the digest with the one that your own node shows before you\n"
        "approve: this letter and that page could lie, your node checks for itself.\n"
    )
    return EmailMessage(
        subject=f"{request.type} request {ends}",
        body=body,
        to=[letter.member.user.email],
        headers={"Message-ID": f"<{letter.message_id}>", "Auto-Submitted": "auto-generated"},
    )
