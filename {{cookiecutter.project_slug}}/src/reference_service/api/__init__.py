"""What every HTTP API of the service shares: error responses and the OpenAPI description."""
