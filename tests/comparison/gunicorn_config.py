"""Settings of gunicorn: the port that the harness has chosen."""

import os

bind = f"127.0.0.1:{os.environ['SERVICE_PORT']}"
