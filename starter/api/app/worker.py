"""The worker: `python -m driftq worker app.worker:worker`."""

from driftq import Worker

from app.settings import LEASE_MS
from app.workflows.demo import demo

worker = Worker(concurrency=10, lease_ms=LEASE_MS)
worker.workflow("demo")(demo)
