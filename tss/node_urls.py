"""The node API: what signer nodes call, and nobody else."""

from django.urls import path

from tss import node_api

urlpatterns = [
    path("node/v1/enrol", node_api.enrol),
    path("node/v1/sync", node_api.sync),
]
