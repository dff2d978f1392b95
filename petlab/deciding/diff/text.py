"""A comparison as a table for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from petlab.deciding.diff.change import CellDiff, Change, Value, Verdict

HEAD = ("", "what", "before", "now", "allowed")


def diff_text(diffs: Sequence[CellDiff]) -> str:
    """Show the cells that changed, regressions first, and count all."""
    worst_first = list(reversed(Verdict))
    shown = [diff for diff in diffs if diff.verdict is not Verdict.SAME]
    shown.sort(key=lambda diff: (worst_first.index(diff.verdict), diff.cell.name))
    lines: list[str] = []
    for diff in shown:
        lines.append(f"{diff.verdict.upper():<10} {label(diff)}")
        rows = [HEAD, *(_row(change) for change in diff.changes)]
        lines += _aligned(rows) if diff.changes else []
    return "\n".join([*lines, _counts(diffs)])


def label(diff: CellDiff) -> str:
    """Tell a cell from every other."""
    cell = diff.cell
    fields = [f"{name}={value}" for name, value in cell.settings.items()]
    fields += [f"parties={cell.parties}"] if cell.parties is not None else []
    fields += [f"partition={cell.partition}"] if cell.partition != "iid" else []
    return " ".join([cell.name, *fields])


def change_text(change: Change) -> str:
    """One line for a change."""
    _, what, old, new, allowed = _row(change)
    direction = "got worse" if change.worse else "got better"
    limit = f" (allowed: {allowed})" if allowed else ""
    return f"{what} {direction}: {old} -> {new}{limit}"


def _row(change: Change) -> tuple[str, ...]:
    values = (_shown(change.old), _shown(change.new))
    allowed = "" if change.allowed is None else _shown(change.allowed)
    return ("worse" if change.worse else "better", change.what, *values, allowed)


def _shown(value: Value) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return value
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.4g}"


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  "
        + "  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _counts(diffs: Sequence[CellDiff]) -> str:
    counts = Counter(diff.verdict for diff in diffs)
    parts = [f"{counts[verdict]} {verdict}" for verdict in Verdict if counts[verdict]]
    text = f"{len(diffs)} cells: {', '.join(parts)}."
    unsure = sum(diff.uncompared is not None for diff in diffs)
    if unsure:
        text += (
            f"\nScores of {unsure} cells with noise were not compared: too few seeds to tell "
            "noise from a change. Their status, traffic and guarantee were."
        )
    return text
