"""gunicorn's entry: settings -> services -> app. The only module that does something when imported."""

import sys

from api import create_app
from shared import failpoints
from shared.heap import keep_freed_memory
from shared.logs import configure_logging
from shared.services import build_services
from shared.settings import SettingsError, load_settings

try:
    settings = load_settings()
except SettingsError as error:
    sys.exit(str(error))
configure_logging(settings.log_level)
failpoints.arm(settings.fail_at)
keep_freed_memory()
app = create_app(build_services(settings, "api"))
