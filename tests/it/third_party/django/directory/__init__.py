"""The smallest Django project that serves people and groups with django-scim2."""
