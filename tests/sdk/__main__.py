"""Drives a live service with the vendor's own SDK: `python -m tests.sdk create`, `share` or `webhooks`.

Run by the Python of an SDK's virtual environment, with parameters as JSON on standard input (`Client` and
the parts say which). Prints one JSON object: {"version", "results": {step: answer}, "types": {step: type},
"errors": {step: exception}}. Only host and response key differ from what the vendor documents.
"""

import json
import sys
from importlib.metadata import version

from tests.sdk.create import Create
from tests.sdk.share import Share
from tests.sdk.webhooks import Webhooks

PARTS: dict[str, type[Create] | type[Share] | type[Webhooks]] = {
    "create": Create,
    "share": Share,
    "webhooks": Webhooks,
}


def main() -> None:
    """Run the part that the command line names."""
    part = PARTS[sys.argv[1]](json.load(sys.stdin))
    part.run()
    kept = {"results": part.results, "types": part.types, "errors": part.errors}
    json.dump({"version": version("cobo-waas2"), **kept}, sys.stdout, indent=2)


if __name__ == "__main__":
    main()
