"""Chi-squared test of independence between a disease (or default) and one factor or many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from petlab.algorithms.independence import independence, independence_each
from petlab.core.claims import Metric
from petlab.core.contribution import Contribution, State
from petlab.core.ops import Op
from petlab.core.party import ANALYST, Memory, Shard
from petlab.core.plan import Plan, Public
from petlab.core.rows import Cells
from petlab.core.session import Session
from petlab.core.settings import setting
from petlab.core.task import Answer, Placement, Records, Task, program
from petlab.data.card import Card
from petlab.data.features import as_category
from petlab.data.table import MISSING, Table
from petlab.errors import UsageError

BINS_MAX = 1000
DECIDED = 0.05
"""Factors whose p value is lower count as not independent."""


@dataclass(frozen=True)
class Settings:
    """Settings of the chi-squared test."""

    factor: str | None = setting(
        None, "column tested against the target, or several: a,b,c or all; default: the card's"
    )
    bins: int = setting(4, "intervals that a number's public range is cut into")

    def check(self) -> None:
        """Refuse values that make no sense.

        Raises
        ------
        UsageError
            With what to give instead.
        """
        if not 2 <= self.bins <= BINS_MAX:
            raise UsageError(f"bins lie between 2 and {BINS_MAX}.")


def plan_table(settings: Settings, public: Public) -> Plan:
    """One release: the contingency table."""
    if public.features:
        raise UsageError("chi2/sums tests one factor: --set factor=COLUMN, or program=linked.")
    return plan_tables(settings, public)


def plan_tables(settings: Settings, public: Public) -> Plan:
    """One release: the contingency table, or those of many factors side by side."""
    shape = (public.levels["disease"], public.levels["factor"])
    counts = not public.features
    return Plan(settings, public, releases=1, counts=counts, depth=1, shapes={"table": shape})


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
    plan=plan_tables,
    placement=Placement.COLUMNS,
    columns=(("disease",), ("factor",)),
)
def linked(session: Session, plan: Plan) -> Answer:
    """One owner's protected disease bits times the other's genotypes of the same people."""
    rows, columns = plan.shapes["table"]
    disease = session.share(
        lambda shard: np.eye(rows, dtype=np.int64)[shard["disease"]].T,
        owner="owner-1",
        label="disease",
        layout="slots",
    )
    factor = session.local(lambda shard: one_hot(shard["factor"], columns), at="owner-2")
    table = session.reveal(disease @ factor, to=ANALYST)
    if not plan.public.features:
        return _answer(table, session)
    tested = independence_each(table, _widths(plan.public))
    return Answer({"table": table, **tested.values}, tested.notes)


def one_hot(codes: np.ndarray, levels: int) -> np.ndarray:
    """Indicators of codes (people,) or, of many factors, (people, factors); (people, levels).

    Where a value is missing there is no indicator: that person is in no cell of that factor.
    """
    found = np.zeros((len(codes), levels), np.int64)
    people, factors = np.nonzero(codes.reshape(len(codes), -1) != MISSING)
    found[people, codes.reshape(len(codes), -1)[people, factors]] = 1
    return found


def _answer(table: np.ndarray, session: Session, noise: Any = None) -> Answer:
    tested = independence(table, noise=noise, seed=session.seed)
    return Answer({"table": table, **tested.values}, tested.notes)


def _widths(public: Public) -> list[int]:
    """Levels of each of many factors."""
    return [public.levels[f"factor={name}"] for name in public.features]


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

    def columns(self, card: Card, settings: Settings) -> Sequence[str]:
        """The factor alone; of many, each counts the people who have a value for it."""
        names = _factors(card, settings)
        return names if len(names) == 1 and settings.factor != "all" else ()

    def encode(self, table: Table, settings: Settings) -> Records:
        """Codes of the target and of the factor, or of many factors.

        The codes of many count on from one factor to the next, as their tables do.
        """
        names = _factors(table.card, settings)
        codes, levels = zip(
            *(as_category(table, n, bins=settings.bins) for n in names), strict=True
        )
        widths = [len(found) for found in levels]
        counts = {"disease": len(table.card.classes), "factor": sum(widths)}
        arrays = {"disease": table.target, "factor": codes[0]}
        if settings.factor != "all" and len(names) == 1:
            return Records(arrays, Public(levels=counts), table.target)
        counts |= {f"factor={n}": width for n, width in zip(names, widths, strict=True)}
        stacked, starts = np.column_stack(codes), np.cumsum([0, *widths[:-1]])
        arrays["factor"] = np.where(stacked == MISSING, MISSING, stacked + starts)
        lacking = {n: int((c == MISSING).sum()) for n, c in zip(names, codes, strict=True)}
        notes = tuple(
            f"{count:,} records have no value in {name} and are in no count of it."
            for name, count in lacking.items()
            if count
        )
        public = Public(features=tuple(names), levels=counts)
        return Records(arrays, public, table.target, notes=notes)

    def reference(self, program: str, train: Records, test: Records, settings: Any) -> Answer:
        """The same test on pooled records, by scipy alone, factor by factor."""
        disease, factor, levels = train["disease"], train["factor"], train.public.levels
        classes = levels["disease"]
        if not train.public.features:
            return Answer(_by_scipy(disease, factor, classes, levels["factor"]))
        starts = np.cumsum([0, *_widths(train.public)])
        each = [
            _by_scipy(disease[seen], codes[seen] - start, classes, stop - start)
            for codes, seen, start, stop in zip(
                factor.T, factor.T != MISSING, starts[:-1], starts[1:], strict=True
            )
        ]
        values = {name: np.array([e[name] for e in each]) for name in ("statistic", "p_value")}
        return Answer({"table": np.hstack([e["table"] for e in each]), **values})

    def score(
        self, answer: Answer, reference: Answer, test: Records, settings: Any
    ) -> dict[str, Metric]:
        """Largest distance from the exact test, and share of decisions at 5 % that are the same."""
        ours, exact = answer["statistic"], reference["statistic"]
        p, p_exact = answer["p_value"], reference["p_value"]
        # A statistic of exactly zero has no relative error.
        errors = [abs(a - b) / b for a, b in zip(np.ravel(ours), np.ravel(exact), strict=True) if b]
        same = (p < DECIDED) == (p_exact < DECIDED)
        counts = float(np.abs(answer["table"] - reference["table"]).max())
        return {
            "statistic_rel_error": Metric(float(max(errors)) if errors else None, 0.0, "lower"),
            "p_value_abs_error": Metric(float(np.abs(p - p_exact).max()), 0.0, "lower"),
            "decision_agreement": Metric(float(np.mean(same)), 1.0, "higher"),
            "count_max_error": Metric(counts, 0.0, "lower"),
        }


def _factors(card: Card, settings: Settings) -> list[str]:
    """Names of what is tested, in the order asked for."""
    name = settings.factor or card.factor
    known = [name for column in card.features for name in column.names]
    wanted = known if name == "all" else str(name or "").split(",")
    names = list(dict.fromkeys(n.strip() for n in wanted))
    if not set(names) <= set(known):
        raise UsageError(f"chi2 needs a factor: --set factor=COLUMN, one of {', '.join(known)}.")
    return names


def _by_scipy(
    disease: np.ndarray, factor: np.ndarray, classes: int, levels: int
) -> dict[str, np.ndarray]:
    """Table, statistic and p value of one factor."""
    from scipy import stats

    observed = stats.contingency.crosstab(
        disease, factor, levels=(range(classes), range(levels))
    ).count
    if not observed.any():  # nobody has a value
        return {"table": observed, "statistic": np.array(0.0), "p_value": np.array(1.0)}
    seen = observed[np.ix_(observed.sum(1) > 0, observed.sum(0) > 0)]
    result = stats.chi2_contingency(seen, correction=False)
    return {
        "table": observed,
        "statistic": np.array(result.statistic),
        "p_value": np.array(result.pvalue),
    }
