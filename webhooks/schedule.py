"""When a delivery is tried again (docs/webhooks.md)."""

import random
import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

# Seconds from one try to the next: the last of the eleven tries is three days after the first.
DELAYS_S = (5, 30, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
MAX_TRIES = len(DELAYS_S) + 1
# Added at random, so that what failed together does not come back together.
_JITTER = 0.2
_MAX_WAIT_S = 24 * 3600


def next_try(*, tries: int, retry_after: str, now: datetime) -> datetime | None:
    """When to try again after `tries` tries; None: never. retry_after: the header, "" for none.

    A receiver may ask for more time than the schedule gives, up to a day, and never for less.
    """
    if tries >= MAX_TRIES:
        return None
    wait = DELAYS_S[tries - 1] * (1 + random.uniform(0, _JITTER))  # noqa: S311 - spreads load, guards nothing
    asked = min(_seconds(retry_after, now), _MAX_WAIT_S)
    return now + timedelta(seconds=max(wait, asked))


def _seconds(retry_after: str, now: datetime) -> float:
    """What a Retry-After asks for, 0 where it says nothing: seconds or an HTTP date (RFC 9110, 10.2.3)."""
    text = retry_after.strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    return (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds()
