"""Records of what was asked, what came out, what it cost and what it protected."""

from __future__ import annotations

import hashlib
import html
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any

from petlab.core.claims import Cost, Guarantee, Metric
from petlab.core.settings import Setting
from petlab.data.schema import check_types, read_json
from petlab.errors import UsageError, unknown
from petlab.running.tables import Headed, accuracy_table, cost_table

SCHEMA = 1
PARTIES_MAX = 10_000

EVALUATION = "For the evaluator: holds exact values, not to be released."
RELEASE = "A release: holds what its guarantee covers, nothing else computed from the records."


class Status(StrEnum):
    """How a cell ended."""

    OK = "ok"
    UNSUPPORTED = "unsupported"
    MISSING_PACKAGE = "missing_package"
    FAILED = "failed"
    TIMEOUT = "timeout"


@dataclass(frozen=True)
class Cell:
    """One cell of the grid: everything that decides a result.

    Attributes
    ----------
    task, program, technique
        Names as `petlab list` prints them; a technique may end in "+dp".
    dataset
        Name of a shipped data set, or of the user's own when `data` is given.
    parties
        Number of data owners; None means three, the sites, or what the program demands.
    partition
        "iid", "dirichlet:ALPHA" or "site".
    seed
        Steers splits, batches and initial models; never keys or noise.
    settings
        Settings of the task and the technique that differ from their defaults.
    data, card
        Paths of the user's own table and card, or None.
    release
        Hand out what the guarantee covers, and nothing else (`petlab.running.releasing`). Needs
        differential privacy; a budget asks for it by itself.
    """

    task: str
    program: str = "sums"
    technique: str = "cleartext"
    dataset: str = "wdbc"
    parties: int | None = None
    partition: str = "iid"
    seed: int = 0
    settings: Mapping[str, Setting] = field(default_factory=dict)
    data: str | None = None
    card: str | None = None
    release: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.parties, int) and not 1 <= self.parties <= PARTIES_MAX:
            raise UsageError(f"parties must be at least 1, and at most {PARTIES_MAX:,}.")
        if isinstance(self.seed, int) and self.seed < 0:
            raise UsageError("a seed is a whole number of at least 0.")
        object.__setattr__(self, "settings", dict(sorted(self.settings.items(), key=repr)))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Cell:
        """Read a cell, refusing fields that do not exist, and values that do not fit them."""
        known = [f.name for f in fields(cls)]
        if not isinstance(values, Mapping):
            raise UsageError("a cell is a mapping of its fields: task, technique, dataset, ...")
        for name in values:
            if name not in known:
                raise unknown("field of a cell", str(name), known)
        if "task" not in values:
            raise UsageError("a cell has no task. `petlab list tasks` shows what there is.")
        if not isinstance(values.get("settings", {}), Mapping):
            raise UsageError("settings of a cell are a mapping of names to values.")
        cell = cls(**values)
        check_types(cell, "cell")
        return cell

    @property
    def digest(self) -> str:
        """Content address: equal cells, and only they, share it."""
        fields_of = asdict(self)
        if not self.release:
            del fields_of["release"]
        text = json.dumps(fields_of, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def name(self) -> str:
        """Short label for people."""
        short = f"{self.task}/{self.program} {self.technique} {self.dataset} seed {self.seed}"
        return f"{short} (release)" if self.release else short


@dataclass(frozen=True)
class Result:
    """Everything known about one cell. Absent numbers are None, never 0 or NaN.

    Attributes
    ----------
    quality
        Scores of the answer beside the reference's.
    exposure
        What the released model tells about who it was trained on: a membership attack's figures
        beside those of the same attack on the reference. Empty where no model is released.
    """

    cell: Cell
    status: Status
    reason: str | None = None
    gap: str | None = None
    quality: Mapping[str, Metric] = field(default_factory=dict)
    exposure: Mapping[str, Metric] = field(default_factory=dict)
    costs: Mapping[str, Cost] = field(default_factory=dict)
    phases: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    guarantee: Guarantee | None = None
    views: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    answer: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def use(self) -> str:
        """Who may see it: a sentence that stands on everything that shows the result."""
        return RELEASE if self.cell.release else EVALUATION

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "schema": SCHEMA,
            "use": self.use,
            **json.loads(json.dumps(asdict(self), allow_nan=False)),
        }

    def to_json(self) -> str:
        """Return the stored form."""
        return json.dumps(self.to_dict(), indent=1, sort_keys=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Result:
        """Read what `to_json` wrote.

        Raises
        ------
        UsageError, ValueError, KeyError, TypeError, AttributeError
            It is something else.
        """
        values = read_json(text)
        if not isinstance(values, dict) or values.pop("schema", None) != SCHEMA:
            raise UsageError(f"this is not a petlab result of schema {SCHEMA}.")
        values.pop("use", None)  # follows from the cell
        guarantee = values["guarantee"]
        if guarantee:
            guarantee = Guarantee(**{**guarantee, "trusted": tuple(guarantee["trusted"])})
        result = cls(
            **{
                **values,
                "cell": Cell.from_dict(values["cell"]),
                "status": Status(values["status"]),
                "quality": {k: Metric(**v) for k, v in values["quality"].items()},
                "exposure": {k: Metric(**v) for k, v in values.get("exposure", {}).items()},
                "costs": {k: Cost(**v) for k, v in values["costs"].items()},
                "guarantee": guarantee,
                "notes": tuple(values["notes"]),
            }
        )
        check_types(result, "result")
        return result

    @property
    def accuracy(self) -> Headed:
        """The quality table, for a notebook."""
        return accuracy_table(self.quality, absent=self._absent)

    @property
    def cost(self) -> Headed:
        """The cost table, for a notebook."""
        return cost_table(self.costs, absent=self._absent)

    @property
    def _absent(self) -> tuple[str, str]:
        return str(self.status), self.reason or self.use

    def _repr_html_(self) -> str:
        return summary_html(self)


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
