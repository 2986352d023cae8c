"""When and how soon a request is repeated: full jitter, and the broker's own word first.

Pure arithmetic: nobody sleeps or draws a number here without being handed the means.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from ._errors import ApiError, ConnectionLost, DriftqError

__all__ = ["Backoff", "RetryConfig"]


@dataclass(frozen=True, slots=True)
class Backoff:
    """Full jitter: uniformly between 0 and `base_s · 2^failures`, at most `cap_s`."""

    base_s: float = 0.1
    cap_s: float = 5.0
    uniform: Callable[[float, float], float] = field(default=random.uniform, repr=False)

    def delay_s(self, failures: int) -> float:
        """How long to wait after so many failures in a row (from 1)."""
        # 2^30 · base is beyond every cap; the bound keeps the power finite.
        ceiling = min(self.cap_s, self.base_s * 2.0 ** min(failures - 1, 30))
        return self.uniform(0.0, ceiling)


@dataclass(frozen=True, slots=True)
class RetryConfig:
    """How often a request is sent, and how long a `Retry-After` may keep its caller waiting."""

    max_tries: int = 4
    retry_after_s_max: float = 30.0
    backoff: Backoff = Backoff()

    def delay_s(self, error: DriftqError, *, failures: int, repeatable: bool) -> float | None:
        """Seconds until the next try, or None: give up and raise `error`.

        A request that may have taken effect is repeated only if it is `repeatable`.
        """
        if not error.retryable or failures >= self.max_tries:
            return None
        if isinstance(error, ConnectionLost) and not repeatable:
            return None
        asked = error.retry_after_s if isinstance(error, ApiError) else None
        if asked is None:
            return self.backoff.delay_s(failures)
        if asked > self.retry_after_s_max:
            return None
        # Never earlier than asked; the jitter on top keeps a crowd from coming back as one.
        return asked + self.backoff.delay_s(1)


DEFAULT_RETRY = RetryConfig()
