"""Malformed, ambiguous and hostile input: to a generated service, and to the generator."""
