"""What can be set from outside, read once at the start.

`DRIFTQ_HTTP_URL` and `DRIFTQ_TOKEN` are read by the driftq package itself.
"""

import os

CORS_ORIGINS = os.environ.get("CORS_ORIGINS", "http://localhost:3000,http://127.0.0.1:3000").split(",")

#: How long each step of the demo pretends to work: long enough to be seen, short enough to be fun.
STEP_MS = int(os.environ.get("DEMO_STEP_MS", "400"))

#: The pause after the first failure; it doubles with each further one.
BACKOFF_MS = int(os.environ.get("DEMO_BACKOFF_MS", "1000"))

#: How long a killed worker's run rests before another worker gets it.
LEASE_MS = int(os.environ.get("WORKER_LEASE_MS", "10000"))
