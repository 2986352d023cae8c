"""The one client of the app. It holds no connection until it is used."""

from driftq import AsyncClient

driftq = AsyncClient()
