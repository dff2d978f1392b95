"""No protection: everybody hands over their records. What every table is compared with."""

from __future__ import annotations

from petlab.core.claims import Guarantee
from petlab.core.party import CURATOR
from petlab.core.plain import PooledSession
from petlab.core.release import Exposure
from petlab.core.technique import Technique


class CleartextSession(PooledSession):
    """Records are pooled at the analyst, or at a trusted curator who guards the output."""

    def _guarantee(self) -> Guarantee:
        return Guarantee(
            kind="none",
            protects="Nothing: the analyst holds every record.",
            not_protected="All records, towards the analyst; links are encrypted.",
            trusted=(self.pool,),
        )


class Cleartext(Technique):
    """Pool all records and compute: the reference."""

    name = "cleartext"
    title = "Cleartext (no protection)"
    protects = "nothing; the reference that every table is compared with"
    exposure = Exposure(places=(CURATOR,), contributions=True)
    session = CleartextSession
