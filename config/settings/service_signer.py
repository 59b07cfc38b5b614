"""The service signer's Celery worker: its own process, database, key and queue. It never opens the
coordinator's.

Environment: SERVICE_SIGNER_DATABASE_URL, SERVICE_SIGNER_STATE (folder, mode 700: policy.toml),
SERVICE_SIGNER_KEY_FILE (mode 600), REDIS_URL (only its queue is used); the two addresses may stand in files
(NAME_FILE). Set up once with
`python -m signers --state ... --key-file ... --database ... init --kind service`, then `enrol` and `pin`.
"""

from config.database import postgres
from config.environment import required

DEBUG = False
USE_TZ = True
TIME_ZONE = "UTC"
# Only the node's package: no model of the coordinator is ever loaded here.
INSTALLED_APPS = ["signers"]

# No alias "default": nothing can write to another database by accident.
_database = postgres(required("SERVICE_SIGNER_DATABASE_URL"))
# One connection, kept for the advisory lock that makes one process at a time the node.
_database["OPTIONS"].pop("pool")
DATABASES = {"default": {}, "service_signer": _database}

SERVICE_SIGNER_STATE = required("SERVICE_SIGNER_STATE")
SERVICE_SIGNER_KEY_FILE = required("SERVICE_SIGNER_KEY_FILE")

CELERY_BROKER_URL = required("REDIS_URL")
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# One node, one at a time; a thread keeps its work within this process.
CELERY_WORKER_POOL = "threads"
CELERY_WORKER_CONCURRENCY = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_DEFAULT_QUEUE = "service_signer"
CELERY_BEAT_SCHEDULER = "celery.beat:Scheduler"
# A lost ring costs at most this long.
CELERY_BEAT_SCHEDULE = {"wake": {"task": "signers.tasks.wake", "schedule": 30.0}}
