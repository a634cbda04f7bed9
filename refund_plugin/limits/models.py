"""One row per subject and window."""

from django.db import models


class Counter(models.Model):
    """Tries of one subject in one window; `key` is a keyed hash, so that no address is stored."""

    key = models.CharField(max_length=64, primary_key=True)
    tries = models.PositiveIntegerField(default=0)
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.key
