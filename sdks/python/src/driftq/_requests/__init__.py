"""Every request this package can make, as a value; the clients only send it.

The blocking and the asynchronous client are twins over these builders.
"""

from . import _broker as broker
from . import _dead_letters as dead_letters
from . import _messages as messages
from . import _runs as runs
from . import _topics as topics
from ._call import UNSET, Call, Unset, actor_header, fingerprint, jsonable
from ._dead_letters import DeadLetterFilter
from ._messages import ConsumeOptions, NewMessage
from ._runs import RunOptions, run_path
from ._topics import SeekTo

__all__ = [
    "UNSET",
    "Call",
    "ConsumeOptions",
    "DeadLetterFilter",
    "NewMessage",
    "RunOptions",
    "SeekTo",
    "Unset",
    "actor_header",
    "broker",
    "dead_letters",
    "fingerprint",
    "jsonable",
    "messages",
    "run_path",
    "runs",
    "topics",
]
