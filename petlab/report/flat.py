"""One row per cell, for programs: CSV and Parquet. Absent numbers are null."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from petlab.running.result import Result
from petlab.study.blocks import Study

ENDINGS = ("_reference", "_minus_cleartext")
WHOLE = frozenset({"parties", "seed", "guarantee_security_bits"})
NUMBERS = frozenset({"guarantee_epsilon", "guarantee_delta"})


def flat_frame(results: Sequence[Result]) -> Any:
    """Return a data frame with one row per result.

    Columns: the cell's fields, status, gap and reason; `NAME`, `NAME_reference` and
    `NAME_minus_cleartext` per metric; `NAME` and `NAME_source` per cost; the guarantee's
    fields with the prefix `guarantee_`; checksum and versions from the provenance.
    """
    import pandas as pd

    study = Study(results)
    frame = pd.DataFrame([_row(study, result) for result in study.results])
    scores = {name for result in results for name in (*result.quality, *result.costs)}
    numbers = {f"{name}{end}" for name in scores for end in ("", *ENDINGS)} | NUMBERS
    # One nullable type per column, also where every value is absent.
    kinds = {
        name: "Int64" if name in WHOLE else "Float64" if name in numbers else "string"
        for name in frame.columns
    }
    return frame.astype(kinds)


def write_flat(results: Sequence[Result], out: Path) -> None:
    """Write `results.csv` and `results.parquet`."""
    frame = flat_frame(results)
    frame.to_csv(out / "results.csv", index=False)
    frame.to_parquet(out / "results.parquet", index=False)


def _row(study: Study, result: Result) -> dict[str, Any]:
    cell, partner = result.cell, study.partner(result)
    row: dict[str, Any] = {
        "cell": cell.digest,
        "task": cell.task,
        "program": cell.program,
        "technique": cell.technique,
        "dataset": cell.dataset if cell.data is None else None,
        "data": cell.data,
        "card": cell.card,
        "parties": cell.parties,
        "partition": cell.partition,
        "seed": cell.seed,
        "settings": json.dumps(dict(cell.settings)),
        "status": str(result.status),
        "gap": result.gap,
        "reason": result.reason,
    }
    for name, metric in result.quality.items():
        paired = partner.quality.get(name) if partner else None
        row[name] = _number(metric.value)
        row[f"{name}_reference"] = _number(metric.reference)
        row[f"{name}_minus_cleartext"] = (
            metric.value - paired.value
            if paired and metric.value is not None and paired.value is not None
            else None
        )
    for name, cost in result.costs.items():
        row[name] = _number(cost.value)
        row[f"{name}_source"] = cost.source
    if result.guarantee:
        promised = vars(result.guarantee) | {"trusted": ", ".join(result.guarantee.trusted)}
        row |= {f"guarantee_{name}": value for name, value in promised.items()}
    if result.guarantee and result.guarantee.epsilon is not None:
        row["guarantee_epsilon_source"] = "accounted"
    row["notes"] = " ".join(result.notes) or None
    row["dataset_sha256"] = result.provenance.get("dataset_sha256")
    row["petlab"] = result.provenance.get("petlab")
    row["packages"] = json.dumps(result.provenance.get("packages", {}))
    return row


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)
