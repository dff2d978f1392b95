"""What `petlab plan` prints: what a cell would release and spend, without reading data."""

from __future__ import annotations

from petlab.errors import Unsupported
from petlab.metering.accountant import total_epsilon
from petlab.running.prepared import dataset_of, plan_cell, prepare
from petlab.running.result import Cell


def describe_plan(cell: Cell) -> str:
    """Describe releases, noise and epsilon of a cell.

    With `epsilon` among its settings the noise follows; with `noise_multiplier` epsilon does.

    Raises
    ------
    Unsupported
        The technique cannot run the program.
    UsageError
        A name or setting is unknown.
    """
    prepared = prepare(cell)
    gap = prepared.technique.gap(prepared.program.requires)
    if gap:
        raise Unsupported(gap.reason)
    dataset = dataset_of(prepared)
    plan = plan_cell(prepared, dataset)
    events = prepared.technique.events(plan)
    lines = [
        f"{cell.task}/{cell.program} {cell.technique} {dataset.name}: {plan.releases} releases"
        + (f" of {plan.local_steps} local steps each" if plan.local_steps else "")
        + (f", Poisson batches of {plan.sample_rate:g}" if plan.sample_rate < 1 else "")
    ]
    if not events:
        return "\n".join([*lines, "no differential privacy: what is opened is exact"])
    settings = prepared.technique.chosen
    for event in events:
        if event.pure:
            lines.append(f"discrete Laplace noise of scale {1 / event.pure:.6g} on each count")
        else:
            lines.append(
                f"Gaussian noise of {event.multiplier:.6g} times the sensitivity in each release"
            )
    epsilon = total_epsilon(events, settings.delta, accountant=settings.accountant)
    delta = settings.delta if any(event.multiplier for event in events) else 0.0
    lines.append(f"epsilon {epsilon:.6g} at delta {delta:g} (accounted)")
    return "\n".join(lines)
