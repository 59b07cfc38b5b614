"""Settings from the environment, or from files that it names: secrets of a container are files."""

import os
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured


def from_environment(name: str) -> str:
    """The variable `name`, or the content of the file that NAME_FILE names; "" where neither is set."""
    value, file = os.environ.get(name, ""), os.environ.get(f"{name}_FILE", "")
    if value and file:
        raise ImproperlyConfigured(f"set {name} or {name}_FILE, not both")
    if not file:
        return value
    try:
        return Path(file).read_text().strip()
    except (OSError, ValueError) as error:
        raise ImproperlyConfigured(f"{name}_FILE cannot be read: {type(error).__name__}") from None


def required(name: str) -> str:
    """The same, of what the process cannot do without."""
    value = from_environment(name)
    if not value:
        raise ImproperlyConfigured(f"set {name} or {name}_FILE in the environment")
    return value
