"""Serve both ports with uvicorn, bound slow clients, and shut down without losing a request."""

from .serve import exit_process, run

__all__ = ["exit_process", "run"]
