"""What a run costs in money, by prices that the user names."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

from petlab.core.claims import Cost
from petlab.errors import UsageError, unknown

SECONDS_PER_HOUR = 3600.0
BYTES_PER_GB = 1e9


@dataclass(frozen=True)
class Prices:
    """Prices in any one currency.

    Attributes
    ----------
    cpu_h
        Of one hour of one processor core.
    gb
        Of 10^9 bytes between parties.
    """

    cpu_h: float = 0.0
    gb: float = 0.0

    @classmethod
    def parse(cls, pairs: Mapping[str, object]) -> Prices:
        """Read such as {"cpu_h": 0.05, "gb": 0.09}.

        Raises
        ------
        UsageError
            A name is unknown, or a price is no number of at least zero.
        """
        known = [field.name for field in fields(cls)]
        for name, value in pairs.items():
            if name not in known:
                raise unknown("price", name, known)
            if (
                isinstance(value, bool)
                or not isinstance(value, int | float)
                or not 0 <= value < math.inf
            ):
                raise UsageError(f"the price {name} is a number of at least zero, not {value!r}.")
        return cls(**{name: float(str(value)) for name, value in pairs.items()})

    def of(self, costs: Mapping[str, Cost]) -> float | None:
        """Price of one run; None where a cost that has a price was not measured."""
        total = 0.0
        for name, price in (
            ("cpu_s", self.cpu_h / SECONDS_PER_HOUR),
            ("bytes", self.gb / BYTES_PER_GB),
        ):
            found = costs.get(name)
            if price and (found is None or found.value is None):
                return None
            total += price * float(found.value or 0.0) if found else 0.0
        return total
