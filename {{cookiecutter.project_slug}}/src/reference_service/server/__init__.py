"""Serve both ports with uvicorn, disconnect slow clients, and shut down without losing a request.

This folder uses private parts of uvicorn's HTTP protocol and server. They were tested with uvicorn
0.54: `pyproject.toml` excludes the next minor version until its tests have passed here.
"""

from .serve import exit_process as exit_process
from .serve import run as run
