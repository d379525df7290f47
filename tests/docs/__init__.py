"""Tests of the documents: they are true, they are complete, and their links work."""
