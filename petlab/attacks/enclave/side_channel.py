"""A cohort in an enclave that is watched: what its host finds out, and what it costs to hide it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from petlab.attacks.enclave.controlled_channel import Recovered, attack
from petlab.attacks.enclave.oblivious import VERSIONS, Effort, efforts
from petlab.attacks.enclave.trace import LINE, PAGE
from petlab.data.features import as_category
from petlab.data.table import Table

if TYPE_CHECKING:
    import pandas

DATASET = "apoe"
AB42_BINS, TAU_BINS = 16, 32
"""Together 512 counters of 8 bytes: the histogram of one group of people fills one page."""
GENOTYPE, AB42 = 0, 2
OBSERVERS: Mapping[str, int] = {"pages": PAGE, "cache lines": LINE}
SECRETS: Mapping[str, int] = {"genotype": GENOTYPE, "ab42": AB42}


def people(data: Table) -> tuple[np.ndarray, tuple[int, ...]]:
    """Genotype, impairment and two proteins of the cohort `apoe`.

    Returns
    -------
    Codes, shape (people, 4), and how many values each can take by the public card.
    """
    genotype, names = as_category(data, "genotype", bins=1)
    ab42, _ = as_category(data, "ab42", bins=AB42_BINS)
    tau, _ = as_category(data, "tau", bins=TAU_BINS)
    records = np.column_stack([genotype, data.target, ab42, tau])
    return records, (len(names), len(data.card.classes), AB42_BINS, TAU_BINS)


@dataclass(frozen=True)
class SideChannel:
    """What the host recovered from each version of one program, and what each version costs.

    Attributes
    ----------
    recovered
        By version, what the host sees, and the attribute that it guesses.
    costs
        By table and version.
    """

    recovered: Mapping[tuple[str, str, str], Recovered]
    costs: Mapping[tuple[str, str], Effort]

    @property
    def accuracy(self) -> pandas.DataFrame:
        """Share of people whose value the host got right, beside the published table alone."""
        import pandas as pd

        rows = []
        for version in VERSIONS:
            for observer in OBSERVERS:
                found = {name: self.recovered[version, observer, name] for name in SECRETS}
                shares = {name: _share(one) for name, one in found.items()}
                chances = {f"{k}, not looking": f"{100 * v.chance:.0f} %" for k, v in found.items()}
                rows.append({"version": version, "host sees": observer, **shares, **chances})
        return pd.DataFrame(rows).set_index("version")

    @property
    def cost(self) -> pandas.DataFrame:
        """Counters touched and time for each person, and both over the naive version's."""
        import pandas as pd

        rows = []
        for (table, version), effort in self.costs.items():
            naive = self.costs[table, "naive"]
            rows.append(
                {
                    "table": table,
                    "version": version,
                    "counters touched": f"{effort.touches:,.0f}",
                    "ns (measured)": f"{1e9 * effort.wall_s:,.0f}",
                    "touched, times naive": f"{effort.touches / naive.touches:,.0f}",
                    "time, times naive": f"{effort.wall_s / naive.wall_s:,.1f}",
                }
            )
        return pd.DataFrame(rows).set_index(["table", "version"])

    def _repr_html_(self) -> str:
        return (
            "<h3>Accuracy</h3><p>Share of people whose value the host found, with its 95 % "
            f"interval.</p>{self.accuracy.to_html()}<h3>Cost</h3><p>Of obliviousness, for each "
            f"person.</p>{self.cost.to_html()}"
        )


def watched() -> SideChannel:
    """Attack every version of a cohort's histograms, and measure what each costs."""
    from petlab.data.dataset import find_dataset

    records, levels = people(find_dataset(DATASET).load())
    recovered = {
        (version, observer, name): attack(count, records, levels, attribute=axis, unit=unit)
        for version, count in VERSIONS.items()
        for observer, unit in OBSERVERS.items()
        for name, axis in SECRETS.items()
    }
    small = records[:, :2], levels[:2]
    costs = {
        (f"{title}, {math.prod(sizes):,} counters", version): effort
        for title, (rows, sizes) in {"histograms": (records, levels), "chi-squared": small}.items()
        for version, effort in efforts(rows, sizes).items()
    }
    return SideChannel(recovered, costs)


def _share(found: Recovered) -> str:
    low, high = found.interval
    return f"{100 * found.accuracy:.0f} % ({100 * low:.0f}-{100 * high:.0f} %)"
