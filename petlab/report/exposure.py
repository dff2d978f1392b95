"""What a released model tells about who was in its training data, beside what it costs."""

from __future__ import annotations

from collections.abc import Iterable

from petlab.report.grid import Column, Entry, Grid, Group, head, number
from petlab.running.result import Result
from petlab.study import rounding
from petlab.study.blocks import Block, Study, Variant
from petlab.study.interval import Estimate, estimate
from petlab.study.language import say

AUC = "membership_auc"
MEMBERSHIP = "Membership"
SHOWN = (
    ("membership_auc", "Membership AUC"),
    ("membership_tpr", "Members found"),
    ("membership_fpr", "at this rate of false alarms"),
    ("membership_advantage", "Advantage"),
    ("membership_advantage_bound", "Most that epsilon allows"),
)


def has_exposure(blocks: list[Block]) -> bool:
    """Whether a membership attack was run on any released model of these blocks."""
    return any(membership(variant) for block in blocks for variant in block.variants)


def membership(variant: Variant, name: str = AUC) -> Estimate | None:
    """Mean of an attack's figure over seeds."""
    return estimate(r.exposure[name].value for r in variant.ok if name in r.exposure)


def interval(variant: Variant) -> tuple[float, float] | None:
    """95 % interval over records of the attack's area under the curve, mean over seeds."""
    low, high = (membership(variant, f"{AUC}_{end}") for end in ("low", "high"))
    return (low.mean, high.mean) if low and high else None


def membership_entry(variant: Variant) -> Entry:
    """Make a table's cell of the attack's area under the curve and its interval."""
    found, ends = membership(variant), interval(variant)
    text = rounding.metric(AUC, found.mean if found else None)
    return number(text, f"{ends[0]:.3f}–{ends[1]:.3f}" if ends else "")


def exposure_grid(study: Study) -> Grid | None:
    """List what the attack found for every technique, beside the same attack on the reference."""
    blocks = [block for block in study.blocks if has_exposure([block])]
    if not blocks:
        return None
    present = {name for r in study.ok for name in r.exposure}
    shown = [(name, title) for name, title in SHOWN if name in present]
    columns = [Column(say("Technique"), style="text"), Column(say("Reference"), say(SHOWN[0][1]))]
    source = {"membership_advantage_bound": "accounted"}
    columns += [Column(say(title), say(source.get(name, "measured"))) for name, title in shown]
    grid = Grid(say("Who was in the training data: the attack on the released model"), columns)
    grid.style = "costs"
    for block in blocks:
        rows = [_row(variant, shown) for variant in block.variants if membership(variant)]
        title = say("{program}, data set {data}", program=_program(block), data=block.data)
        grid.groups.append(Group(title, rows))
    return grid


def told_members(variant: Variant) -> Iterable[str]:
    """Say how well an attack on the released model tells who was in the training data."""
    found, ends = membership(variant), interval(variant)
    if found is None or ends is None:
        return
    reference = estimate(_reference(result) for result in variant.ok)
    yield say(
        "Who reads the released model tells its training records from others with AUC {auc} "
        "(95 % interval {low} to {high}, measured; 0.5 is guessing; the same attack on the "
        "reference: {reference}).",
        auc=f"{found.mean:.3f}",
        low=f"{ends[0]:.3f}",
        high=f"{ends[1]:.3f}",
        reference=f"{reference.mean:.3f}" if reference else rounding.ABSENT,
    )


def _program(block: Block) -> str:
    return f"{block.task} / {block.program}"


def _row(variant: Variant, shown: list[tuple[str, str]]) -> list[Entry]:
    reference = estimate(_reference(result) for result in variant.ok)
    row = [head(variant.label), number(rounding.metric(AUC, reference.mean if reference else None))]
    for name, _ in shown:
        found = membership(variant, name)
        text = rounding.metric(name, found.mean if found else None)
        row.append(membership_entry(variant) if name == AUC else number(text))
    return row


def _reference(result: Result) -> float | None:
    return result.exposure[AUC].reference if AUC in result.exposure else None
