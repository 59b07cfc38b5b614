"""quickstart.json: what a person or a script needs to go on with the running demo."""

import json
import os
from pathlib import Path
from typing import Any


class Record:
    """The file's content as a dictionary, written whole or not at all, readable by its owner only."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}

    def update(self, **values: Any) -> None:
        self.data.update(values)
        draft = self.path.with_suffix(".tmp")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(self.data, file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.path)
