"""Code to copy into another service. This service does not use it."""
