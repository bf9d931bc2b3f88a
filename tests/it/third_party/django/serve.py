"""Makes the tables and serves until it is ended."""

import os
from wsgiref.simple_server import WSGIRequestHandler, make_server

os.environ["DJANGO_SETTINGS_MODULE"] = "directory.settings"

import django  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


django.setup()
call_command("migrate", run_syncdb=True, verbosity=0)
port = int(os.environ["DIRECTORY_PORT"])
make_server("127.0.0.1", port, get_wsgi_application(), handler_class=Quiet).serve_forever()
