"""Workflows, bots and pre-commit hooks of the template and of a generated service."""
