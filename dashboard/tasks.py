"""Celery tasks: each may run twice or not at all."""

from celery import shared_task
from django.conf import settings

from dashboard import letters
from leasing import doorbell

SEND = "dashboard.tasks.send_letter"


@shared_task(name="dashboard.tasks.write_letters", expires=30)
def write_letters() -> None:
    """Write the letters that are due, and ring for each that was not sent."""
    if not settings.QUORATE["LETTERS"]:
        return
    letters.write_due()
    for letter_id in letters.due():
        doorbell.send(SEND, letter_id)


@shared_task(name=SEND)
def send_letter(letter_id: int) -> None:
    """Send one letter."""
    letters.send(letter_id)
