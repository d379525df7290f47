"""What every route of the API shares: error responses, and their description in OpenAPI."""

from .errors import add_error_handlers as add_error_handlers
from .openapi import API_DESCRIPTION as API_DESCRIPTION
from .openapi import add_error_responses as add_error_responses
