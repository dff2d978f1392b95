"""Epsilon as somebody sees it who has nothing but the outputs of whole cells.

Run it from the repository: `OMP_NUM_THREADS=1 python benchmarks/epsilon_outside.py` (an hour;
`--runs` and `--only` make it shorter, models and many owners get fewer runs; `--write` puts the
table into docs/dp.md). For every
mechanism, place of noise, number of owners and epsilon a cell is run many times on a table, and
as often on the same table without one record, which is taken out of the file, before anything is
sampled, split or placed. Half of the runs choose the event that tells the two apart best; the
other half say how often it happens, between Clopper-Pearson bounds, and so how large epsilon is
at least. Every bound has to stay under the claim. Under hidden contributions the shares of
`mpc` are added in this process: starting processes thousands of times would take days.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from petlab.algorithms import independence
from petlab.core.aggregation import Aggregation, Opener
from petlab.core.claims import Guarantee
from petlab.core.composing import Guarded
from petlab.core.party import AGGREGATOR, OWNERS
from petlab.core.release import Exposure
from petlab.core.session import Session
from petlab.core.settings import Setting
from petlab.core.technique import Technique
from petlab.data.card import read_card
from petlab.data.dataset import Dataset
from petlab.errors import PetlabError
from petlab.running import evaluator
from petlab.running.prepared import dataset_of, load_records, prepare
from petlab.running.progress import progress
from petlab.running.result import Cell
from petlab.techniques.dp.calibration import Settings
from petlab.techniques.dp.technique import DifferentialPrivacy
from petlab.techniques.mpc.streams import expanded
from petlab.techniques.mpc.sums import SharedSums

DOC = Path(__file__).resolve().parents[1] / "docs" / "dp.md"
BEGIN, END = "<!-- begin: benchmarks/epsilon_outside.py -->", "<!-- end -->"
RUNS = 1000
MODELS = 8
"""A model's run costs so much more that it gets so many times fewer, as do many owners'."""
ALPHA = 1e-4
"""Chance that one bound is too high."""
EPSILONS = (0.1, 1.0, 3.0, 10.0)
OWNERS_TRIED = (1, 2, 3, 10, 50, 300)
TASKS: dict[str, dict[str, Setting]] = {
    "chi2": {},
    "logreg": {"method": "quadratic"},
    "elm": {"hidden": 3},
    "deep": {"hidden": "2", "epochs": 1, "batch_share": 0.25},
}
CARD = """name = "neighbours"
target = "ill"
positive = "yes"
factor = "gene"
id = "who"
records = 600
[columns.who]
kind = "category"
[columns.ill]
kind = "category"
levels = ["no", "yes"]
[columns.gene]
kind = "category"
levels = ["aa", "ab", "bb"]
[columns.age]
kind = "number"
range = [0, 100]
"""


class SharedInProcess(Session):
    """Sums on additive shares, as `mpc` makes and adds them, without its processes."""

    def _aggregation(self, *readers: str, terms: int) -> Aggregation:
        return self._sums(terms)

    def _opener(self, *readers: str, terms: int) -> Opener:
        return self._sums(terms)

    def _sums(self, terms: int) -> SharedSums:
        def add(holder: str, shares: Any, size: int) -> np.ndarray:
            with np.errstate(over="ignore"):
                return np.sum([expanded(s, (size,)) for s in shares], axis=0, dtype=np.int64)

        return SharedSums(("party-1", "party-2"), terms=terms, add=add)

    def _guarantee(self) -> Guarantee:
        return Guarantee("input", "Contributions.", "What is opened.")


class Shares(Technique):
    """A technique whose holders see no contribution."""

    name = "shares"
    title = "Shares"
    protects = "contributions"
    session = SharedInProcess
    exposure = Exposure(places=(OWNERS, AGGREGATOR), contributions=False)


@dataclass(frozen=True)
class Case:
    """One mechanism at one place."""

    task: str
    technique: str
    owners: int
    settings: dict[str, Setting]

    @property
    def name(self) -> str:
        """As the table says it."""
        return f"{self.task} {self.technique} {self.settings.get('noise', '')}".strip()


@dataclass(frozen=True)
class Estimate:
    """What outputs alone say of one case."""

    case: Case
    claimed: float
    at_least: float

    @property
    def refuted(self) -> bool:
        """Whether the claim does not hold."""
        return self.at_least > self.claimed


def cases() -> Iterator[Case]:
    """Every mechanism, place, number of owners and epsilon."""
    for epsilon in EPSILONS:
        for owners in OWNERS_TRIED:
            for task, chosen in TASKS.items():
                if owners not in (1, 3) and task != "chi2":
                    continue
                own: dict[str, Setting] = {**chosen, "epsilon": epsilon}
                mechanisms = ("auto", "gaussian") if task == "chi2" else ("auto",)
                for mechanism in mechanisms:
                    given = {**own, "mechanism": mechanism}
                    if owners <= 3:
                        yield Case(task, "dp", owners, given)
                    for technique in ("fl+dp", "shares+dp"):
                        for noise in ("owners", "aggregator"):
                            if technique == "fl+dp" and owners > 10:
                                continue
                            if technique == "shares+dp" and noise == "owners" and owners < 2:
                                continue
                            yield Case(task, technique, owners, {**given, "noise": noise})


def tables(folder: Path, rows: int) -> tuple[Dataset, Dataset]:
    """A table, and the same without its first record, which is unlike the others."""
    rng = np.random.default_rng(2)
    lines = ["p0,yes,bb,100"]
    for k in range(1, rows):
        lines.append(f"p{k},{rng.choice(['no', 'yes'])},{rng.choice(['aa', 'ab'])},{k % 30}")
    (folder / "card.toml").write_text(CARD)
    card = read_card(folder / "card.toml")
    found = []
    for name, kept in (("with", lines), ("without", lines[1:])):
        path = folder / f"{name}.csv"
        path.write_text("who,ill,gene,age\n" + "\n".join(kept) + "\n")
        found.append(Dataset(card, path))
    return found[0], found[1]


def outputs(case: Case, dataset: Dataset, runs: int) -> tuple[np.ndarray, Guarantee]:
    """What a cell releases, run by run, shape (runs, numbers); and what it promises."""
    dp = {k: v for k, v in case.settings.items() if k in Settings.__dataclass_fields__}
    rest = {k: v for k, v in case.settings.items() if k not in dp}
    known = "dp" if case.technique == "shares+dp" else case.technique
    given = rest if case.technique == "shares+dp" else {**rest, **dp}
    cell = Cell(case.task, "sums", known, "x", case.owners, seed=1, settings=given, release=True)
    prepared = prepare(cell)
    if case.technique == "shares+dp":
        guard = DifferentialPrivacy(Settings(**dp))  # type: ignore[arg-type]
        prepared = replace(prepared, technique=Guarded(Shares(), guard, name=case.technique))
    train, test = load_records(prepared, dataset_of(prepared, dataset))
    found, promise = [], None
    for _ in range(runs):
        run, _ = evaluator._execute(prepared, train, test)
        promise = run.guarantee
        names = [n for n in ("table", "theta", "beta", "weights") if n in run.answer.values]
        found.append(np.concatenate([np.ravel(run.answer[n]) for n in names]))
    assert promise is not None
    return np.array(found), promise


def at_least(
    with_it: np.ndarray, without: np.ndarray, *, delta: float, alpha: float = ALPHA
) -> float:
    """Lower bound on epsilon from outputs (runs, numbers) on two neighbouring tables.

    Each output becomes one number, and one threshold makes it an event. The first half of the
    runs chooses both: the direction in which the means differ, numbers far from the middle
    cut off, and the threshold whose estimate is largest, that of one tail or of the other.
    """
    half = len(with_it) // 2
    middle = np.median(without[:half], axis=0)
    spread = np.median(np.abs(without[:half] - middle), axis=0) + 1e-12

    def tamed(values: np.ndarray) -> np.ndarray:
        return np.clip((values - middle) / spread, -50, 50)

    direction = tamed(with_it[:half]).mean(0) - tamed(without[:half]).mean(0)
    a, b = tamed(with_it) @ direction, tamed(without) @ direction
    tried = np.unique(np.quantile(np.r_[a[:half], b[:half]], np.linspace(0.01, 0.99, 99)))
    best, chosen = -np.inf, (0.0, False, False)
    for threshold in tried:
        for above in (False, True):
            for swapped in (False, True):
                event = (threshold, above, swapped)
                found = _bound(a[:half], b[:half], event, delta, alpha)
                if found > best:
                    best, chosen = found, event
    return max(0.0, _bound(a[half:], b[half:], chosen, delta, alpha))


def _bound(
    a: np.ndarray,
    b: np.ndarray,
    event: tuple[float, bool, bool],
    delta: float,
    alpha: float,
) -> float:
    """Clopper and Pearson's bounds on how often an event happens, as a bound on epsilon."""
    from scipy.stats import beta

    threshold, above, swapped = event
    often, seldom = (b, a) if swapped else (a, b)
    first, second = (
        ((x > threshold) if above else (x <= threshold)).sum() for x in (often, seldom)
    )
    n = len(a)
    low = beta.ppf(alpha / 2, first, n - first + 1) if first else 0.0
    high = beta.ppf(1 - alpha / 2, second + 1, n - second) if second < n else 1.0
    return float(np.log((low - delta) / high)) if low > delta else -np.inf


def estimated(case: Case, runs: int) -> Estimate | None:
    """Run one case on both tables; None where it is refused."""
    rows = 4 * case.owners + 40
    with tempfile.TemporaryDirectory() as folder:
        pair = tables(Path(folder), rows)
        try:
            found = [outputs(case, dataset, runs) for dataset in pair]
        except PetlabError as error:
            print(f"{case.name}, {case.owners} owners: refused: {error}", file=sys.stderr)
            return None
    promise = found[0][1]
    assert promise.epsilon is not None
    bound = at_least(found[0][0], found[1][0], delta=promise.delta or 0.0)
    return Estimate(case, promise.epsilon, bound)


def table(estimates: list[Estimate]) -> str:
    """One row for each mechanism and place, one column for each epsilon: the largest bound."""
    lines = ["| cell | noise | owners | " + " | ".join(f"epsilon {e:g}" for e in EPSILONS) + " |"]
    lines.append("| --- | --- | ---: |" + " ---: |" * len(EPSILONS))
    rows: dict[tuple[str, str, str], dict[float, list[float]]] = {}
    for e in estimates:
        mechanism = "Gaussian" if e.case.settings["mechanism"] == "gaussian" else "default"
        key = (
            f"{e.case.task} {e.case.technique}",
            str(e.case.settings.get("noise", "curator")),
            "",
        )
        key = (f"{key[0]}, {mechanism}", key[1], "")
        row = rows.setdefault(key, {})
        row.setdefault(float(e.case.settings["epsilon"] or 0), []).append(e.at_least)
    for (name, noise, _), row in rows.items():
        tried = sorted({e.case.owners for e in estimates if name.startswith(_name(e))})
        shown = " | ".join(f"{max(row[e]):.2f}" if e in row else "–" for e in EPSILONS)
        lines.append(f"| {name} | {noise} | {tried[0]} to {tried[-1]} | {shown} |")
    return "\n".join(lines)


def _name(estimate: Estimate) -> str:
    return f"{estimate.case.task} {estimate.case.technique}"


def main() -> int:
    """Estimate all cases; the exit status is 1 if a claim is refuted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS, help="on each of the two tables")
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    parser.add_argument("--write", action="store_true", help="put the table into docs/dp.md")
    options = parser.parse_args()
    independence.NULL_DRAWS = 1  # the p value is computed from the table, and from nothing else
    wanted = [case for case in cases() if options.only in case.name]
    found: list[Estimate] = []

    def each(case: Case) -> Estimate | None:
        dearer = MODELS if case.task != "chi2" else max(1, case.owners // 30)
        return estimated(case, max(40, options.runs // dearer))

    for estimate in progress(map(each, wanted), total=len(wanted), unit="case"):
        if estimate:
            found.append(estimate)
            print(
                f"{estimate.case.name:32} {estimate.case.owners:4} owners  at least "
                f"{estimate.at_least:6.3f} of {estimate.claimed:6.3f} claimed"
                + ("  REFUTED" if estimate.refuted else ""),
                flush=True,
            )
    print(table(found))
    if options.write:
        page = DOC.read_text(encoding="utf-8")
        start, rest = page.split(BEGIN)
        DOC.write_text(f"{start}{BEGIN}\n{table(found)}\n{END}{rest.split(END, 1)[1]}", "utf-8")
    return any(estimate.refuted for estimate in found)


if __name__ == "__main__":
    sys.exit(main())
