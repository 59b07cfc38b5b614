"""Ids in paths."""

from django.urls import register_converter


class IdConverter:
    """Letters, digits, "-" and "_" (UUIDs, node ids, request ids); anything else is the id of nothing."""

    regex = "[0-9A-Za-z_-]{1,64}"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(IdConverter, "id")
