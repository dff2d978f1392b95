"""The two tables that every notebook shows, headed Accuracy and Cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from petlab.core.claims import Cost, Metric

if TYPE_CHECKING:
    import pandas

UNITS = {
    "wall_s": "s",
    "cpu_s": "s",
    "offline_s": "s",
    "peak_mib": "MiB",
    "bytes": "bytes",
    "offline_bytes": "bytes",
    "messages": "",
    "rounds": "",
    "expansion": "x",
    "lan_s": "s",
    "wan_s": "s",
    "sgx_added_low_s": "s",
    "sgx_added_high_s": "s",
    "confidential_vm_added_low_s": "s",
    "confidential_vm_added_high_s": "s",
}


@dataclass(frozen=True)
class Headed:
    """A data frame under a heading, in text and in a notebook."""

    heading: str
    frame: pandas.DataFrame

    def __repr__(self) -> str:
        return f"{self.heading}\n{self.frame.to_string(na_rep='-')}"

    def _repr_html_(self) -> str:
        return f"<h3>{self.heading}</h3>" + self.frame.to_html(na_rep="–")


def accuracy_table(quality: Mapping[str, Metric], *, absent: tuple[str, str]) -> Headed:
    """Scores beside the reference's, one row per metric; or status and reason."""
    rows = [
        {
            "metric": name,
            "value": _score(m.value),
            "reference": _score(m.reference),
            "better": m.better,
        }
        for name, m in quality.items()
    ]
    return Headed("Accuracy", frame(rows, "metric", absent=absent))


def cost_table(costs: Mapping[str, Cost], *, absent: tuple[str, str]) -> Headed:
    """Costs with units and sources, one row per cost; or status and reason."""
    rows = [
        {"cost": name, "value": _cost(c.value), "unit": UNITS.get(name, ""), "source": c.source}
        for name, c in costs.items()
    ]
    return Headed("Cost", frame(rows, "cost", absent=absent))


def frame(
    rows: list[dict[str, Any]], index: str, *, absent: tuple[str, str] | None = None
) -> pandas.DataFrame:
    """Lay rows out; where there are none, one row says how it ended and why."""
    import pandas as pd

    if not rows and absent is not None:
        rows = [{index: absent[0], "reason": absent[1]}]
    return pd.DataFrame(rows).set_index(index) if rows else pd.DataFrame()


def _score(value: float | None) -> str | None:
    return None if value is None else f"{value:.4g}" if value < 1e-3 else f"{value:.4f}"


def _cost(value: float | None) -> str | None:
    if value is None:
        return None
    return f"{value:,}" if isinstance(value, int) else f"{value:,.3f}"
