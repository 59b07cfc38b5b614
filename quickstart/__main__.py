"""`bin/quickstart`: the command line of the demo."""

import argparse
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

from quickstart.api import ApiError
from quickstart.demo import Demo, DemoFailed, Options
from quickstart.nodes import NodeError
from quickstart.processes import ROOT, ProcessDied
from quickstart.story import StoryFailed


class Stopped(BaseException):
    """SIGTERM or SIGINT arrived; a BaseException, so that nothing on the way swallows it."""


def main() -> int:
    """Run the demo.

    0 when it succeeded, 1 with the reason on stderr when not, 130 when it was interrupted.
    """
    options, exit_after = _parse_arguments()
    # Set explicitly: a shell that starts us in the background has SIGINT ignored.
    signal.signal(signal.SIGINT, _stop)
    signal.signal(signal.SIGTERM, _stop)
    begun = time.monotonic()

    def say(line: str) -> None:
        print(f"[{time.monotonic() - begun:5.1f}s] {line}", flush=True)

    demo = None
    try:
        demo = Demo(options, say)
        demo.run()
        _print_how_to_go_on(demo, say)
        if not exit_after:
            say("Running until Ctrl-C.")
            _stay_up(demo)
        return 0
    except (DemoFailed, StoryFailed, NodeError, ProcessDied, ApiError, OSError) as error:
        print(f"quickstart failed: {error}", file=sys.stderr, flush=True)
        return 1
    except Stopped:
        # The main job may be unfinished; after it, stopping is the normal way to end.
        finished = demo is not None and demo.record.data.get("done", False)
        return 0 if finished and not exit_after else 130
    finally:
        _ignore_further_signals()
        if demo is not None:
            say("Stopping every process ...")
            demo.processes.stop()


def _parse_arguments() -> tuple[Options, bool]:
    parser = argparse.ArgumentParser(
        prog="bin/quickstart", description="Run a whole Quorate on this machine."
    )
    parser.add_argument(
        "--exit",
        action="store_true",
        help="stop everything after the main job; exit status 0 if it succeeded",
    )
    parser.add_argument(
        "--state",
        type=Path,
        default=ROOT / "var" / "quickstart",
        help="state folder (default: var/quickstart)",
    )
    parser.add_argument(
        "--port", type=_port, help="port of the site on 127.0.0.1 (default 8700; 0: choose one)"
    )
    parser.add_argument(
        "--approve", choices=("auto", "manual"), default="auto", help="who approves: the demo policy, or you"
    )
    arguments = parser.parse_args()
    return Options(arguments.state.resolve(), arguments.port, arguments.approve), arguments.exit


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError("a port is between 0 and 65535")
    return port


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise Stopped


def _ignore_further_signals() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _stay_up(demo: Demo) -> None:
    while True:
        threading.Event().wait(1.0)
        demo.processes.check()


def _print_how_to_go_on(demo: Demo, say: Any) -> None:
    data = demo.record.data
    first = data["nodes"][0]
    say("")
    say("To go on by hand:")
    say(
        f"  API            {data['base_url']}  (key {data['api_public_key'][:16]}..., "
        "secret in the file below)"
    )
    say(f"  Admin          {data['admin_url']}  user {data['admin_user']}: come in within the hour at")
    say(f"                 {data['recover_url']}  with the code {demo.way_in(data['admin_user'])}")
    say(f"  Service node   {data['service_node_id']}")
    for entry in data["nodes"]:
        say(f"  Node {entry['name']:9} {entry['tss_node_id']}")
    say(f"  All of this    {demo.record.path}")
    say("Try next:")
    key_file = Path(first["state_dir"]).parent / f"{first['name']}.key"
    say(f"  bin/signer --state {first['state_dir']} info")
    say(f"  bin/signer --state {first['state_dir']} requests --all")
    say(f"  bin/signer --state {first['state_dir']} --key-file {key_file} keys")
    say("")


if __name__ == "__main__":
    sys.exit(main())
