"""The service: `app.py` puts it together, `python -m` runs it."""
