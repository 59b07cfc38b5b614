"""Starts Celery workers fast: `python -m tests.webhooks.worker_source` imports everything once and forks.

A line on standard input asks for one more worker, whose process id is the answer. All end with this process.
"""

import os
import signal
import sys

import django

from quickstart.processes import die_with_parent


def main() -> None:
    """Serve until standard input ends."""
    django.setup()
    from config.celery import app

    app.loader.import_default_modules()
    # Nobody waits for a worker that was killed.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for number, _ in enumerate(sys.stdin):
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            die_with_parent()
            # Standard output is for process ids, and a worker has a banner.
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(2, 1)
            lonely = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
            app.worker_main(["worker", "-n", f"{number}@test", "-l", "WARNING", "-c", "1", *lonely])
            os._exit(0)
        print(pid, flush=True)


if __name__ == "__main__":
    main()
