"""Accuracy against epsilon in a notebook: run, plot, and say what it means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from petlab.core.settings import parse_settings
from petlab.errors import UsageError
from petlab.running.evaluator import evaluate
from petlab.running.result import Cell, Result
from petlab.running.run import check_parameters
from petlab.running.tables import Headed
from petlab.study.epsilon import Curve, curves, figure, rows

EPSILONS = (0.5, 1.0, 3.0, 8.0)
SEEDS = (0, 1, 2)
PARAMETERS = ("task", "technique", "dataset", "epsilons", "seeds", "settings", "data", "card")


@dataclass(frozen=True)
class EpsilonStudy:
    """Results over epsilons and seeds, with the cleartext and clip-only runs beside them."""

    results: Sequence[Result]

    @property
    def curves(self) -> list[Curve]:
        """Quality at each epsilon."""
        return curves(self.results)

    @property
    def table(self) -> Headed:
        """List every point with its interval."""
        import pandas as pd

        frame = pd.DataFrame(list(rows(self.curves))).set_index("epsilon (accounted)")
        return Headed("Accuracy against epsilon", frame)

    @property
    def sentences(self) -> list[str]:
        """What the curves mean, for a reader who is no expert."""
        return [curve.sentence for curve in self.curves]

    def _repr_html_(self) -> str:
        import io

        buffer = io.StringIO()
        figure(self.curves).savefig(buffer, format="svg")
        drawing = buffer.getvalue()
        said = "".join(f"<p>{sentence}</p>" for sentence in self.sentences)
        return drawing[drawing.index("<svg") :] + said


def epsilon_study(
    task: str,
    *,
    dataset: str = "wdbc",
    technique: str = "dp",
    epsilons: Sequence[float] = EPSILONS,
    seeds: Sequence[int] = SEEDS,
    settings: Mapping[str, Any] | None = None,
    **cell: Any,
) -> EpsilonStudy:
    """Run a task at several epsilons and seeds, and without noise beside them.

    Raises
    ------
    UsageError
        The technique adds no noise, or a cell cannot run.
    """
    if not technique.endswith("dp"):
        raise UsageError(f"{technique} has no epsilon: use dp, or a technique that ends in +dp.")
    given = parse_settings(dict(settings or {}))
    choices: list[tuple[str, dict[str, Any]]] = [
        ("cleartext", {}),
        (technique, {"twin": "clip-only"}),
    ]
    choices += [(technique, {"epsilon": float(value)}) for value in epsilons]
    results = []
    for seed in seeds:
        for name, extra in choices:
            asked = Cell(
                task,
                technique=name,
                dataset=dataset,
                seed=seed,
                settings={**given, **extra},
                **cell,
            )
            result = evaluate(asked)
            if result.reason:
                raise UsageError(f"{asked.name}: {result.reason}")
            results.append(result)
    return EpsilonStudy(results)


def epsilon_notebook(namespace: Mapping[str, Any]) -> EpsilonStudy:
    """Run the study that a notebook's parameters describe; see `epsilon_study`."""
    check_parameters(PARAMETERS, namespace)
    values = {name: namespace[name] for name in PARAMETERS if name in namespace}
    values["settings"] = parse_settings(values.get("settings", {}))
    return epsilon_study(values.pop("task"), **values)
