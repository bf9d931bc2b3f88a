"""Settings: the database and the token come from the environment."""

import os

SECRET_KEY = "for tests on loopback only"
ALLOWED_HOSTS = ["127.0.0.1"]
USE_TZ = True
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django_scim",
    "directory",
]
MIDDLEWARE = [
    "directory.access.BearerToken",
    "django_scim.middleware.SCIMAuthCheckMiddleware",
]
ROOT_URLCONF = "directory.urls"
AUTH_USER_MODEL = "directory.User"
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ["DIRECTORY_DATABASE"],
    }
}
SCIM_SERVICE_PROVIDER = {
    "NETLOC": "127.0.0.1:" + os.environ["DIRECTORY_PORT"],
    "SCHEME": "http",
    "GROUP_MODEL": "directory.models.Group",
    "AUTHENTICATION_SCHEMES": [
        {"type": "oauthbearertoken", "name": "Bearer", "description": "A bearer token"}
    ],
}
