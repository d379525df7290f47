"""Tests of the chart in generated services: rendered objects, and errors for invalid values."""
