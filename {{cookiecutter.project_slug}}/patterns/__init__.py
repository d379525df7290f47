"""Checks to copy into another service. This service does not use them."""
