"""Bodies are strict JSON: the same parser as for everything that is signed."""

from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from rest_framework.parsers import BaseParser

from wire.canonical import parse_json


class StrictJsonParser(BaseParser):
    """Raises CanonicalError, which names the field at fault."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        limit: int = settings.MAX_API_BODY_BYTES
        return parse_json(stream.read(limit + 1), max_bytes=limit)
