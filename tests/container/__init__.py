"""Tests of the image and the Compose files that need no Docker."""
