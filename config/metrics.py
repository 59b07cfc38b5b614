"""Prometheus metrics, derived from the database at scrape time, so that they are true for all processes."""

from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from importlib.util import find_spec

from django.apps import apps
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class _Database:
    """Whatever the apps' `metrics.collect()` yield; an app that has figures has such a module."""

    def collect(self) -> Iterator[Metric]:
        for config in apps.get_app_configs():
            name = f"{config.name}.metrics"
            if not config.name.startswith("django.") and find_spec(name) is not None:
                collect: Callable[[], Iterable[Metric]] = import_module(name).collect
                yield from collect()


def exposition() -> bytes:
    """All metrics now, in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Database())
    return generate_latest(registry)
