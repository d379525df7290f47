"""The service: `app.py` puts it together, `python -m` runs it."""

import os

from .standard_variables import ignore_unusable

IGNORED_VARIABLES = tuple(ignore_unusable(os.environ))
"""One sentence for each variable of OpenTelemetry that cannot be used."""
