"""Plays the scenarios of this folder against a driftqd, over raw HTTP or through an adapter of an SDK.

Promise: a story says what is asked and what must come back; nothing here knows what a broker does. Standard
library only.
"""

from .adapter import UNSEEN, Adapter, Call, Outcome, Refusal, Stream
from .play import Failed, Player, play
from .servers import Server
from .story import Story, load_all
from .suite import Suite, can_play
from .wire import Wire, operations_of

__all__ = [
    "UNSEEN",
    "Adapter",
    "Call",
    "Failed",
    "Outcome",
    "Player",
    "Refusal",
    "Server",
    "Story",
    "Stream",
    "Suite",
    "Wire",
    "can_play",
    "load_all",
    "operations_of",
    "play",
]
