"""The blocking client. All of it is made from `_async` by scripts/make_sync.py."""
