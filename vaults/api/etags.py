"""Conditional reads: an answer that the caller has already is not sent again (RFC 9110, 13.1.2)."""

from hashlib import sha256

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponse
from django.utils.http import parse_etags

from vaults.api.errors import Answer

# Enough for the versions that a client may keep of one answer.
_MAX_HEADER = 1024


def conditional(request: ASGIRequest, answer: Answer) -> HttpResponse:
    """The answer with its ETag, or 304 where If-None-Match names that one.

    The tag is of the body's bytes: whatever the answer was made from, another body has another tag.
    """
    etag = f'"{sha256(answer.body).hexdigest()[:32]}"'
    known = parse_etags(request.headers.get("If-None-Match", "")[:_MAX_HEADER])
    # Weak comparison, as If-None-Match asks for.
    matches = "*" in known or etag in {each.removeprefix("W/") for each in known}
    response = HttpResponse(status=304) if matches else answer.response()
    response["ETag"] = etag
    # An answer depends on who signed: it may be kept, by its caller, and is asked for again each time.
    response["Cache-Control"] = "private, no-cache"
    return response
