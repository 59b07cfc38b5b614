"""Private Postgres and Redis servers for tests and benchmarks, on loopback, gone when their user is gone.

    with provide_postgres() as postgres, provide_redis() as redis:
        ... postgres.url, redis.url

Server programs are those of the machine, else Debian packages (`programs`). bin/test and the pytest plugin
(`plugin`) use these same two functions.
"""

from tests.services.postgres import Postgres, provide_postgres
from tests.services.redis import Redis, provide_redis
from tests.services.server import ServiceError

__all__ = ["Postgres", "Redis", "ServiceError", "provide_postgres", "provide_redis"]
