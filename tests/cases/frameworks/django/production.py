import io
import os
from wsgiref.util import setup_testing_defaults

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "library.settings"
django.setup()
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.test import Client

settings.ALLOWED_HOSTS = ["127.0.0.1"]
environ = {"PATH_INFO": PATH, "REQUEST_METHOD": "GET"}
if PATH == "/loans":
    call_command("migrate", verbosity=0)
    client = Client()
    client.force_login(get_user_model().objects.create_user("eve"))
    body = b'{"days": 0}'
    environ |= {"REQUEST_METHOD": "POST", "CONTENT_TYPE": "application/json"}
    environ |= {"CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body)}
    environ |= {"HTTP_COOKIE": f"sessionid={client.cookies['sessionid'].value}"}
setup_testing_defaults(environ)
list(get_wsgi_application()(environ, lambda status, headers: None))
