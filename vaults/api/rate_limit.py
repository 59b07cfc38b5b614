"""How fast one API key may call: a token bucket, kept as the time at which it will be full again (GCRA).

Shared by all web processes in Redis; inside one process where there is no Redis, and while it is away: a
limit protects the site, it must not be what takes it down.
"""

import logging
import math
import threading
import time
from dataclasses import dataclass
from functools import lru_cache

import redis
from django.conf import settings
from redis.exceptions import RedisError

from vaults.errors import TooMany
from vaults.models import ApiKey

logger = logging.getLogger("quorate.api")

_PREFIX = "quorate:rate:"
_SOCKET_TIMEOUT_S = 0.25
# After a failure Redis is left alone for this long, so that calls do not all wait for it.
_PAUSE_S = 2.0
_MAX_LOCAL = 10_000

# KEYS[1]: the key; ARGV: microseconds that one call takes, and that the bucket holds. By the clock of Redis,
# which all processes share. Answers how many microseconds to wait, 0 where the call is allowed.
_SCRIPT = """
local clock = redis.call("TIME")
local now = clock[1] * 1000000 + clock[2]
local full = math.max(tonumber(redis.call("GET", KEYS[1]) or now), now)
local wait = full + ARGV[1] - ARGV[2] - now
if wait > 0 then return math.ceil(wait) end
full = full + ARGV[1]
redis.call("SET", KEYS[1], string.format("%.0f", full), "PX", math.ceil((full - now) / 1000))
return 0
"""


@dataclass(frozen=True)
class _Rate:
    """Microseconds: `each` call takes so much of a bucket of `capacity`."""

    each: int
    capacity: int


class _Local:
    """The buckets of this process: name -> when it is full again, microseconds of the monotonic clock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._full: dict[str, int] = {}

    def wait(self, name: str, rate: _Rate) -> int:
        now = time.monotonic_ns() // 1000
        with self._lock:
            if len(self._full) >= _MAX_LOCAL:
                self._full = {key: full for key, full in self._full.items() if full > now}
            full = max(self._full.get(name, now), now)
            wait = full + rate.each - rate.capacity - now
            if wait <= 0:
                self._full[name] = full + rate.each
        return max(wait, 0)


_local = _Local()
_redis_away_until = 0.0


def take(api_key: ApiKey) -> None:
    """Count one call of the key; API_RATE 0 allows any number. Raises TooMany where it has none left."""
    per_second, burst = settings.QUORATE["API_RATE"], settings.QUORATE["API_BURST"]
    if per_second == 0:
        return
    each = 1_000_000 // per_second
    wait = _wait(str(api_key.id), _Rate(each, each * burst))
    if wait > 0:
        seconds = math.ceil(wait / 1_000_000)
        raise TooMany(
            f"the API key may make {per_second} calls a second, and {burst} at once; wait {seconds} s",
            seconds,
        )


def _wait(name: str, rate: _Rate) -> int:
    global _redis_away_until
    url = settings.QUORATE.get("REDIS_URL", "")
    if url and time.monotonic() >= _redis_away_until:
        try:
            return int(_script(url)(keys=[f"{_PREFIX}{name}"], args=[rate.each, rate.capacity]))
        except RedisError as error:
            _redis_away_until = time.monotonic() + _PAUSE_S
            logger.warning("each web process counts calls by itself: Redis: %s", type(error).__name__)
    return _local.wait(name, rate)


@lru_cache(maxsize=1)
def _script(url: str) -> "redis.commands.core.Script":
    client = redis.Redis.from_url(
        url, socket_connect_timeout=_SOCKET_TIMEOUT_S, socket_timeout=_SOCKET_TIMEOUT_S
    )
    return client.register_script(_SCRIPT)
