"""An empirical floor under epsilon: how much one training run tells about its records.

Canaries are training records with a wrong label, each left in or out by a fair coin. Whoever
reads the trained model guesses the coins from the model's loss on the wrong labels; under
(epsilon, delta)-differential privacy nobody guesses too many of them right, so that many right
guesses refute a claimed epsilon. Few right guesses prove nothing: a floor is not a guarantee.

References
----------
.. [1] Steinke, Nasr, Jagielski, Privacy Auditing with One (1) Training Run, NeurIPS 2023,
   arXiv:2305.08846: algorithm 1, theorem 5.2 (proposition 5.1 for delta = 0), appendix D.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from petlab.attacks.canaries.bound import GUESSED, best_bound
from petlab.core.party import Shard
from petlab.core.session import Opening
from petlab.core.settings import Setting
from petlab.core.task import Placement, Records
from petlab.core.technique import Run
from petlab.data.dataset import Dataset
from petlab.errors import DataError, UsageError
from petlab.running.placement import place
from petlab.running.prepared import Prepared, dataset_of, encoded_records, parted, prepare
from petlab.running.result import Cell

CANARIES = 1000
DELTA = 1e-5
"""Delta at which a technique without a delta of its own is audited."""

OVERFITTING: Mapping[str, Setting] = {
    "hidden": "128",
    "activation": "relu",
    "epochs": 100,
    "batch_share": 0.25,
    "learning_rate": 0.5,
    "clip_norm": 8.0,
}
"""Settings of `deep` under which it learns canaries by heart if nothing keeps it from that:
an audit of a model that hardly trains finds nothing, whatever is wrong with its noise."""

_MARK = "canary"


@dataclass(frozen=True)
class Audit:
    """What the guesses of one audit refute.

    Attributes
    ----------
    lower_bound
        Every smaller epsilon is refuted at this confidence; 0 when nothing is.
    accounted
        Epsilon that the run claims for itself, or None where it claims none.
    delta
        At which the bound holds.
    confidence
        Chance that the bound is right, at least.
    canaries
        Mislabelled records, each left in or out by a fair coin.
    included
        How many were in.
    guesses, correct
        Guesses made, and right ones among them, for the share that gave the bound.
    cpu_s
        Of preparation, training and scoring together.
    notes
        What the numbers do and do not say.
    """

    cell: Cell
    lower_bound: float
    accounted: float | None
    delta: float
    confidence: float
    canaries: int
    included: int
    guesses: int
    correct: int
    cpu_s: float
    notes: tuple[str, ...] = ()

    @property
    def refuted(self) -> bool:
        """Whether the claimed epsilon is smaller than what was found."""
        return self.accounted is not None and self.lower_bound > self.accounted

    def __str__(self) -> str:
        """One line for people."""
        claim = "claims none" if self.accounted is None else f"accounted {self.accounted:.2f}"
        return (
            f"{self.cell.technique}: epsilon is at least {self.lower_bound:.2f} "
            f"({self.confidence:.0%} confidence, delta {self.delta:g}), {claim}; "
            f"{self.correct} of {self.guesses} guesses right, {self.canaries} canaries"
            + (": REFUTED" if self.refuted else "")
        )


def audit(
    cell: Cell,
    *,
    canaries: int = CANARIES,
    guessed: Sequence[float] = GUESSED,
    confidence: float = 0.95,
    dataset: Dataset | None = None,
) -> Audit:
    """Bound epsilon of a cell from below, from one run of it with canaries.

    The records are split, encoded and placed as they always are, and the technique's own
    `execute` runs. Neighbours differ by adding or removing one record, as in petlab's
    accounting: owners and the public number of records are fixed before the coins fall, so
    that an excluded canary leaves no trace but its absence. Use settings under which the
    model overfits (`OVERFITTING`).

    Parameters
    ----------
    canaries
        How many training records get a wrong label.
    guessed
        Shares of the canaries to guess, fixed beforehand: half of the guesses are "in", for
        the smallest losses, half "out", for the largest. Several are Bonferroni-corrected.
    confidence
        Of the lower bound.

    Raises
    ------
    UsageError
        The program does not train a classifier from rows, or a number makes no sense.
    DataError
        There are fewer training records than canaries.
    """
    started = time.process_time()
    prepared = prepare(cell)
    _check(prepared, canaries, guessed, confidence)
    prepared.technique.check_packages()
    found = dataset_of(prepared, dataset)
    records = encoded_records(prepared, found)
    trained, _ = parted(prepared, records)
    marked, planted = plant(records, canaries, seed=cell.seed, among=trained.keys)
    included = _coins(canaries)
    run = _run(prepared, marked, included)
    losses = _losses(prepared, run, planted)
    claim = run.guarantee
    delta = DELTA if claim.delta is None else claim.delta
    bound, guesses, correct = best_bound(
        losses, included, delta=delta, guessed=guessed, confidence=confidence
    )
    return Audit(
        cell=cell,
        lower_bound=bound,
        accounted=claim.epsilon,
        delta=delta,
        confidence=confidence,
        canaries=canaries,
        included=int(included.sum()),
        guesses=guesses,
        correct=correct,
        cpu_s=time.process_time() - started,
        notes=_notes(guessed),
    )


def plant(
    records: Records, count: int, *, seed: int, among: np.ndarray | None = None
) -> tuple[Records, Records]:
    """Give some records a wrong label, before anything is split.

    Which records, and which labels, is steered by the seed and public; the coins are not.

    Parameters
    ----------
    among
        Keys of the records that may be canaries: those that will be training records.

    Returns
    -------
    All records, marked with a canary's number or -1, and the canaries alone.

    Raises
    ------
    DataError
        There are not enough records.
    """
    able = np.arange(len(records.labels))
    if among is not None:
        able = np.flatnonzero(np.isin(records.keys, among))
    if count > len(able):
        raise DataError(f"{count} canaries do not fit into the training records. Plant fewer.")
    rng = np.random.default_rng([seed, 6])
    chosen = rng.choice(able, count, replace=False)
    labels, mark = records.labels.copy(), np.full(len(records.labels), -1)
    shift = rng.integers(1, records.public.classes, count)
    labels[chosen] = (labels[chosen] + shift) % records.public.classes
    mark[chosen] = np.arange(count)
    arrays = {**records.arrays, "classes": labels, _MARK: mark}
    marked = replace(records, arrays=arrays, labels=labels)
    return marked, marked.take(chosen)


def _run(prepared: Prepared, marked: Records, included: np.ndarray) -> Run:
    """Take the excluded canaries out of all records; then split, place and run as always.

    What is public stays what it was with all of them: how many records there are, in all and at
    each owner.
    """
    mark = marked[_MARK]
    kept = marked.take(np.flatnonzero((mark < 0) | included[mark]))
    (everybody, public), (shards, _) = (
        place(prepared, *parted(prepared, records)) for records in (marked, kept)
    )
    plan = prepared.program.plan(prepared.settings, public)
    release = prepared.technique.release(plan)
    sizes = {shard.owner: shard.rows for shard in everybody}
    unmarked = [_unmarked(shard, sizes[shard.owner]) for shard in shards]
    opening = Opening(unmarked, plan, seed=prepared.cell.seed, release=release)
    return prepared.technique.execute(prepared.program, opening)


def _unmarked(shard: Shard, public_rows: int) -> Shard:
    arrays = {k: v for k, v in shard.arrays.items() if k != _MARK}
    return replace(shard, arrays=arrays, public_rows=public_rows)


def _coins(count: int) -> np.ndarray:
    """Fair coins that no seed steers."""
    bits = np.frombuffer(secrets.token_bytes((count + 7) // 8), np.uint8)
    return np.unpackbits(bits)[:count].astype(bool)


def _losses(prepared: Prepared, run: Run, canaries: Records) -> np.ndarray:
    """Cross-entropy of each canary's wrong label under the trained model."""
    from scipy.special import logsumexp

    task: Any = prepared.task
    scores = np.asarray(task._outputs(run.answer["weights"], canaries, prepared.settings))
    return logsumexp(scores, axis=1) - scores[np.arange(len(scores)), canaries["classes"]]


def _check(prepared: Prepared, canaries: int, guessed: Sequence[float], confidence: float) -> None:
    fits = prepared.program.placement is Placement.ROWS and hasattr(prepared.task, "_outputs")
    if not fits:
        raise UsageError(
            f"{prepared.cell.task}/{prepared.cell.program} trains no classifier whose losses "
            "could be audited. Use deep/sums."
        )
    if canaries < 2:
        raise UsageError("an audit needs at least two canaries.")
    if not guessed or not all(0 < share <= 1 for share in guessed):
        raise UsageError("guessed takes shares between 0 and 1.")
    if not 0 < confidence < 1:
        raise UsageError("confidence must lie between 0 and 1.")


def _notes(guessed: Sequence[float]) -> tuple[str, ...]:
    shares = ", ".join(f"{share:.0%}" for share in guessed)
    return (
        "A lower bound from one run: a small one does not show that the run is private.",
        f"Shares of canaries guessed: {shares}, fixed beforehand, each at "
        f"1/{len(guessed)} of the error.",
        "The guesser reads the final model only; the guarantee is for every release.",
    )
