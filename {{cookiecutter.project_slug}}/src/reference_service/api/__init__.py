"""What every route of the API shares: error responses, and their description in OpenAPI."""

from .errors import add_error_handlers as add_error_handlers
from .head_requests import HeadRequests as HeadRequests
from .openapi import API_DESCRIPTION as API_DESCRIPTION
from .openapi import add_docs as add_docs
from .openapi import add_error_responses as add_error_responses
