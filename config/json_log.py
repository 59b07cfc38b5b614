"""Log lines as JSON objects, one a line, with what each is about."""

import json
import logging
from datetime import UTC, datetime

from audit import log_context


class JsonFormatter(logging.Formatter):
    """time (RFC 3339, UTC), level, logger, message, the ids of log_context, `exception`: a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **log_context.fields(),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False)
