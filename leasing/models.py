"""What a row has that one worker at a time may work on."""

from django.db import models


class Leased(models.Model):
    """Claimed by compare-and-swap on `fence`, held by a lease that a heartbeat renews (leasing.leases)."""

    leased_until = models.DateTimeField(null=True, blank=True)
    fence = models.PositiveIntegerField(default=0)

    class Meta:
        abstract = True
