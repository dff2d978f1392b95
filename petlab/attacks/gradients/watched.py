"""A federation of owners with few records each, run as always while every message is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from petlab.algorithms.perceptron.network import initial_parameters
from petlab.attacks.gradients import formats
from petlab.attacks.gradients.sender import Sender
from petlab.attacks.gradients.view import adder
from petlab.core.party import Shard, owner_names
from petlab.core.session import Opening
from petlab.core.settings import Setting
from petlab.core.task import Records
from petlab.data.dataset import find_dataset
from petlab.errors import DataError, UsageError
from petlab.metering.transcript import Transcript
from petlab.running.prepared import load_records, prepare
from petlab.running.result import Cell
from petlab.tasks.deep import GRADIENT_MAX


@dataclass(frozen=True)
class Watched:
    """One run of `deep` under a technique, as its attacker saw it.

    Attributes
    ----------
    victims
        The records that owners hold, `batch` in a row each.
    population
        Other records of the same kind, which the attacker has.
    attacker
        The party that owners sent the most to: who adds, relays, or holds shares.
    sender
        The public rule by which an owner's records became its first message.
    rate
        Public step size of the training.
    steps
        Public steps of the fixed-point numbers that contributions may travel in.
    """

    victims: Records
    population: Records
    owners: tuple[str, ...]
    batch: int
    transcript: Transcript
    attacker: str
    sender: Sender
    rate: float
    steps: tuple[float, ...] = ()


def watch(
    technique: str,
    *,
    batch: int,
    owners: int,
    dataset: str,
    seed: int = 0,
    rounds: int = 1,
    settings: Mapping[str, Setting] | None = None,
) -> Watched:
    """Train for a few rounds on all records of owners that hold `batch` records each.

    Parameters
    ----------
    settings
        Of the task and the technique.

    Raises
    ------
    UsageError
        The settings are not those of a perceptron trained by gradients, or they say how long.
    DataError
        The data set has not enough records.
    """
    for name in ("epochs", "batch_share"):
        if name in (settings or {}):
            raise UsageError(
                f"{name} is set by the attack: rounds over whole owners. Leave it out."
            )
    chosen = {**(settings or {}), "epochs": rounds, "batch_share": 1.0}
    prepared = prepare(Cell("deep", "sums", technique, dataset, seed=seed, settings=chosen))
    task = prepared.settings
    if (task.model, task.method, task.optimizer) != ("mlp", "gradient", "sgd"):
        raise UsageError("the attack is on model=mlp, method=gradient, optimizer=sgd.")
    prepared.technique.check_packages()
    train, population = load_records(prepared, find_dataset(dataset))
    count = batch * owners
    if count > len(train.labels):
        raise DataError(f"{dataset} has fewer than {count} training records: ask for fewer.")
    order = np.random.default_rng([seed, 9]).permutation(len(train.labels))
    victims, names = train.take(order[:count]), owner_names(owners)
    shards = [_shard(victims, name, k, batch) for k, name in enumerate(names)]
    public = replace(train.public, owners=owners, records=count)
    plan = prepared.program.plan(task, public)
    release = prepared.technique.release(plan)
    prepared.technique.warm_up()
    opening = Opening(shards, plan, seed=seed, release=release, record=True)
    run = prepared.technique.execute(prepared.program, opening)
    hidden = [int(n) for n in str(task.hidden).split(",")]
    sizes = [len(public.features), *hidden, public.classes]
    clip = task.clip_norm if release else None
    # What the program starts from is public: its seed is.
    sender = Sender(initial_parameters(sizes, seed=seed), sizes, task.activation, clip)
    attacker = adder(run.transcript, names)
    return Watched(
        *(victims, population, tuple(names), batch),
        *(run.transcript, attacker, sender, float(task.learning_rate)),
        steps=formats.steps(GRADIENT_MAX * public.records_max, owners),
    )


def _shard(victims: Records, name: str, k: int, batch: int) -> Shard:
    own = victims.take(np.arange(k * batch, (k + 1) * batch))
    return Shard(name, batch, own.arrays)
