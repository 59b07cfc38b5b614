from django.apps import AppConfig


class TssConfig(AppConfig):
    name = "tss"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from tss import wakeups
        from webhooks import outbox

        outbox.listeners.append(wakeups.ring_events)
