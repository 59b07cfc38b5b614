from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class DashboardConfig(AppConfig):
    name = "dashboard"
    default_auto_field = "django.db.models.BigAutoField"


class QuorateAdminConfig(AdminConfig):
    """The framework's admin with the approvers' pages around it; stands for `django.contrib.admin`."""

    default_site = "dashboard.site.QuorateAdminSite"
