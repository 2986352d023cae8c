"""The asynchronous client, by resource. `scripts/make_sync.py` makes the blocking twin `_sync` of it."""
