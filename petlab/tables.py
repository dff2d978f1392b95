"""The two tables that every notebook shows, headed Accuracy and Cost."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from petlab.result import Result, Status

if TYPE_CHECKING:
    import pandas

    from petlab.decision import Decision, Prices, Requirement
    from petlab.decision.decide import Scaled

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


@dataclass(frozen=True)
class Comparison:
    """Results of several techniques on the same task, data, splits and seeds.

    Attributes
    ----------
    requirements, prefer, prices, scaled
        What `decision` holds the results against; see `petlab.compare`.
    """

    results: Sequence[Result]
    requirements: Sequence[Requirement] = ()
    prefer: str = "wan_s"
    prices: Prices | None = None
    scaled: Scaled | None = None

    @property
    def accuracy(self) -> Headed:
        """Scores by program and technique: means over seeds and their 95 % intervals."""
        from petlab.decision.tables import accuracy_frame

        return Headed("Accuracy", accuracy_frame(self.results))

    @property
    def cost(self) -> Headed:
        """Costs by program and technique: means over seeds and their 95 % intervals."""
        from petlab.decision.tables import cost_frame

        heading = "Cost at the size measured" if self.scaled else "Cost"
        return Headed(heading, cost_frame(self.results, self.prices))

    @property
    def guarantees(self) -> Headed:
        """What each technique protects and what not."""
        return guarantee_table(self.results)

    @property
    def decision(self) -> Decision:
        """What the constraints leave, and the number that ruled each other out."""
        from petlab.decision import decide

        return decide(
            self.results,
            self.requirements,
            prefer=self.prefer,
            prices=self.prices,
            scaled=self.scaled,
        )

    @property
    def plot(self) -> Any:
        """Loss of the main score against time over a WAN, as an SVG for notebooks."""
        from IPython.display import SVG

        from petlab.report.plot import accuracy_against_cost
        from petlab.report.study import Study

        drawing = accuracy_against_cost(Study(self.results))
        return None if drawing is None else SVG(drawing.printed[0])

    def __repr__(self) -> str:
        return "\n\n".join(map(repr, (self.accuracy, self.cost, self.decision)))

    def _repr_html_(self) -> str:
        parts = (self.decision, self.accuracy, self.cost, self.guarantees)
        return "".join(part._repr_html_() for part in parts)


def accuracy_table(result: Result) -> Headed:
    """Scores beside the reference's; one row per metric."""
    rows = [
        {
            "metric": name,
            "value": _score(m.value),
            "reference": _score(m.reference),
            "better": m.better,
        }
        for name, m in result.quality.items()
    ]
    return Headed("Accuracy", _frame(rows, "metric", result))


def cost_table(result: Result) -> Headed:
    """Costs with units and sources; one row per cost."""
    rows = [
        {"cost": name, "value": _cost(c.value), "unit": UNITS.get(name, ""), "source": c.source}
        for name, c in result.costs.items()
    ]
    return Headed("Cost", _frame(rows, "cost", result))


def guarantee_table(results: Sequence[Result]) -> Headed:
    """What was protected against whom; one row per technique that ran."""
    rows = []
    for r in results:
        g = r.guarantee
        if g is None:
            continue
        rows.append(
            {
                "technique": r.cell.technique,
                "kind": g.kind,
                "trusted": ", ".join(g.trusted) or "nobody",
                "epsilon (accounted)": "-" if g.epsilon is None else f"{g.epsilon:.3g}",
                "protects": g.protects,
                "not protected": g.not_protected,
            }
        )
    return Headed("Guarantee", _frame(rows, "technique"))


def summary_html(result: Result) -> str:
    """Status, remarks and guarantee of one result as a few lines of HTML."""
    lines = [f"<b>{html.escape(result.cell.name)}</b>: {result.status}", html.escape(result.use)]
    if result.reason:
        lines.append(html.escape(result.reason))
    lines += [html.escape(line) for line in _answer(result)]
    lines += [html.escape(note) for note in result.notes]
    lines += _exposed(result)
    if result.guarantee:
        lines.append("Protected: " + html.escape(result.guarantee.protects))
        lines.append("Not protected: " + html.escape(result.guarantee.not_protected))
    return "<br>".join(lines)


def summary_text(result: Result) -> str:
    """Format one result for a terminal: both tables and the guarantee."""
    lines = [f"{result.cell.name}: {result.status}", result.use]
    if result.reason:
        lines.append(result.reason)
    if result.status is not Status.OK:
        return "\n".join(lines)
    shown = _answer(result) if result.cell.release else [repr(result.accuracy)]
    lines += ["", *shown, "", repr(result.cost), ""]
    lines += [f"Note: {note}" for note in result.notes]
    g = result.guarantee
    lines += _exposed(result)
    if g:
        lines += [f"Protected: {g.protects}", f"Not protected: {g.not_protected}"]
        lines.append(
            f"Trusted: {', '.join(g.trusted) or 'nobody'}. Mechanism: {g.mechanism or '-'}"
        )
        if g.epsilon is not None:
            lines.append(f"Epsilon {g.epsilon:.4g}, delta {g.delta:g} (accounted)")
    return "\n".join(lines)


LONGEST_SHOWN = 64
"""Numbers of a released array that are printed; JSON holds all of them."""


def _answer(result: Result) -> list[str]:
    """What a release is for: the noisy answer."""
    if not result.cell.release:
        return []
    return [
        f"{name} = {value}" if _size(value) <= LONGEST_SHOWN else f"{name}: {_size(value)} numbers"
        for name, value in result.answer.items()
    ]


def _size(value: Any) -> int:
    return sum(map(_size, value)) if isinstance(value, list) else 1


def _exposed(result: Result) -> list[str]:
    """What an attack on the released model achieved, as a line if there was one."""
    found, ends = result.exposure.get("membership_auc"), ("low", "high")
    if found is None or found.value is None:
        return []
    known = [result.exposure.get(f"membership_auc_{end}") for end in ends]
    between = " to ".join(f"{m.value:.2f}" for m in known if m and m.value is not None)
    return [
        f"Membership attack on the released model: AUC {found.value:.2f} ({between}); "
        "0.5 is guessing."
    ]


def _frame(rows: list[dict[str, Any]], index: str, result: Result | None = None) -> Any:
    import pandas as pd

    if not rows and result is not None:
        rows = [{index: str(result.status), "reason": result.reason or result.use}]
    return pd.DataFrame(rows).set_index(index) if rows else pd.DataFrame()


def _score(value: float | None) -> str | None:
    return None if value is None else f"{value:.4g}" if value < 1e-3 else f"{value:.4f}"


def _cost(value: float | None) -> str | None:
    if value is None:
        return None
    return f"{value:,}" if isinstance(value, int) else f"{value:,.3f}"
