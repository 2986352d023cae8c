"""The routes of the app's own; the rest comes from `driftq.fastapi`."""
