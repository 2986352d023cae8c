"""A transactional outbox for SQLAlchemy (`driftq[outbox]`): a message is sent if its transaction commits.

    class OutboxMessage(OutboxMixin, Base):
        pass


    with Session(engine) as db, db.begin():
        db.add(order)
        db.add(OutboxMessage(topic="orders", key=str(order.id), value={"id": order.id}))

A relay sends what was stored: `python -m driftq outbox relay`, or `OutboxRelay` (`AsyncOutboxRelay`) in a
process of yours. It may be killed at any moment: what was stored is sent, and nothing is sent twice. In order
for each topic and key, as their ids go; two transactions that write the same key at the same time have none.
"""

from __future__ import annotations

from ._async._outbox import AsyncOutboxRelay
from ._outbox_table import OutboxMixin, OutboxStatus, Refusal
from ._sync._outbox import OutboxRelay

__all__ = ["AsyncOutboxRelay", "OutboxMixin", "OutboxRelay", "OutboxStatus", "Refusal"]
