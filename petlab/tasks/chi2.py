"""Chi-squared test of independence between a disease (or default) and a factor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from petlab.contribution import Contribution, State
from petlab.errors import UsageError
from petlab.features import as_category
from petlab.independence import independence
from petlab.ops import Op
from petlab.party import ANALYST, Memory, Shard
from petlab.plan import Plan, Public
from petlab.result import Metric
from petlab.rows import Cells
from petlab.session import Session
from petlab.table import Table
from petlab.task import Answer, Placement, Records, Task, program, setting


@dataclass(frozen=True)
class Settings:
    """Settings of the chi-squared test."""

    factor: str | None = setting(None, "column tested against the target; default: the card's")
    bins: int = setting(4, "intervals that a number's public range is cut into")


def plan_table(settings: Settings, public: Public) -> Plan:
    """One release: the contingency table."""
    shape = (public.levels["disease"], public.levels["factor"])
    return Plan(settings, public, releases=1, counts=True, depth=1, shapes={"table": shape})


def count_cells(state: State, shard: Shard, memory: Memory) -> Cells:
    """Each person is a one in one cell of the table."""
    rows, columns = (int(n) for n in state["shape"])
    return Cells(shard["disease"] * columns + shard["factor"], rows * columns)


@program(requires={Op.SUM}, plan=plan_table)
def sums(session: Session, plan: Plan) -> Answer:
    """Add the sites' contingency tables; the analyst tests the total."""
    shape = plan.shapes["table"]
    contribution = Contribution(
        fn=count_cells,
        shape=shape,
        unit_norm=1.0,
        unit_norm_l1=1.0,
        coordinate_max=1.0,
        integer=True,
    )
    total = session.sum(contribution, {"shape": np.array(shape)}, to=ANALYST)
    return _answer(total.value, session, noise=total.noise)


@program(
    requires={Op.SHARE, Op.PLAIN_MATMUL, Op.REVEAL},
    plan=plan_table,
    placement=Placement.COLUMNS,
    columns=(("disease",), ("factor",)),
)
def linked(session: Session, plan: Plan) -> Answer:
    """One owner's protected disease bits times the other's genotypes of the same people."""
    rows, columns = plan.shapes["table"]
    disease = session.share(
        lambda shard: np.eye(rows)[shard["disease"]].T,
        owner="owner-1",
        label="disease",
        layout="slots",
    )
    factor = session.local(lambda shard: np.eye(columns)[shard["factor"]], at="owner-2")
    return _answer(session.reveal(disease @ factor, to=ANALYST), session)


def _answer(table: np.ndarray, session: Session, noise: Any = None) -> Answer:
    tested = independence(table, noise=noise, seed=session.seed)
    return Answer({"table": table, **tested.values}, tested.notes)


class ChiSquared(Task):
    """Test whether disease and genotype are independent in the pooled population.

    References
    ----------
    .. [1] Agresti, Categorical Data Analysis, 3rd ed., section 3.2.
    """

    name = "chi2"
    title = "Chi-squared test of independence"
    settings = Settings
    programs = {"sums": sums, "linked": linked}  # noqa: RUF012
    test_share = 0.0

    def encode(self, table: Table, settings: Settings) -> Records:
        """Codes of the target and of the factor."""
        name = settings.factor or table.card.factor
        features = [column.name for column in table.columns]
        if name is None or name not in features:
            raise UsageError(
                f"chi2 needs a factor: --set factor=COLUMN, one of {', '.join(features)}."
            )
        factor, levels = as_category(table, name, bins=settings.bins)
        classes = table.card.classes
        public = Public(levels={"disease": len(classes), "factor": len(levels)})
        arrays = {"disease": table.target, "factor": factor}
        return Records(arrays, public, table.target)

    def reference(self, program: str, train: Records, test: Records, settings: Any) -> Answer:
        """The same test on pooled records, by scipy alone."""
        from scipy import stats

        levels = train.public.levels
        observed = stats.contingency.crosstab(
            train["disease"],
            train["factor"],
            levels=(range(levels["disease"]), range(levels["factor"])),
        ).count
        seen = observed[np.ix_(observed.sum(1) > 0, observed.sum(0) > 0)]
        result = stats.chi2_contingency(seen, correction=False)
        return Answer(
            {
                "table": observed,
                "statistic": np.array(result.statistic),
                "p_value": np.array(result.pvalue),
            }
        )

    def score(
        self, answer: Answer, reference: Answer, test: Records, settings: Any
    ) -> dict[str, Metric]:
        """Distance from the exact test, and whether the decision at 5 % is the same."""
        ours, exact = float(answer["statistic"]), float(reference["statistic"])
        p, p_exact = float(answer["p_value"]), float(reference["p_value"])
        error = abs(ours - exact) / exact if exact else None
        counts = float(np.abs(answer["table"] - reference["table"]).max())
        return {
            "statistic_rel_error": Metric(error, 0.0, "lower"),
            "p_value_abs_error": Metric(abs(p - p_exact), 0.0, "lower"),
            "decision_agreement": Metric(float((p < 0.05) == (p_exact < 0.05)), 1.0, "higher"),
            "count_max_error": Metric(counts, 0.0, "lower"),
        }
