"""What every route of the API shares: error responses, and their description in OpenAPI."""

from .errors import add_error_handlers
from .openapi import API_DESCRIPTION, add_error_responses

__all__ = ["API_DESCRIPTION", "add_error_handlers", "add_error_responses"]
