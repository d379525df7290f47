"""django-health-check, with its checks for the database and the cache."""

from django.urls import path
from health_check.views import HealthCheckView

from .django_app import create_application, urlpatterns

application = create_application(INSTALLED_APPS=["health_check"])
checks = ["health_check.Database", "health_check.Cache"]
urlpatterns.append(path("health/", HealthCheckView.as_view(checks=checks)))
