"""Toy programs: what later tasks will ask of the waist, each at its smallest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from petlab.core.contribution import Contribution, State
from petlab.core.ops import Op
from petlab.core.party import ANALYST, SERVER, Memory, Shard
from petlab.core.plan import Plan, Public
from petlab.core.rows import Dense, OwnerTotal
from petlab.core.session import Session
from petlab.core.task import Answer, program

WEIGHT_MAX = 8.0
RATE = 0.5


@dataclass(frozen=True)
class Settings:
    """How many steps, and which of the small variations."""

    steps: int = 6


def plan_weights(settings: Settings, public: Public) -> Plan:
    """A weight vector, read once a step and once at the end."""
    shapes = {"weights": (len(public.features),)}
    return Plan(settings, public, releases=settings.steps + 1, shapes=shapes)


def plan_product(settings: Settings, public: Public) -> Plan:
    """One product of protected records and a plain matrix."""
    shapes = {"product": (public.levels["scored"], 2), "both": (public.levels["scored"], 3)}
    return Plan(settings, public, releases=1, depth=1, shapes=shapes)


def descent(inputs: State, shard: Shard, memory: Memory) -> np.ndarray:
    """One logistic gradient step of this owner's records: what is added to the weights."""
    p = 1 / (1 + np.exp(-shard["x"] @ inputs["weights"]))
    return -RATE * shard["x"].T @ (p - shard["y"]) / shard.rows


def moved(inputs: State, shard: Shard, memory: Memory) -> np.ndarray:
    """The weights after this owner's step: what travels to the next trainer."""
    return inputs["weights"] + descent(inputs, shard, memory)


def as_it_is(inputs: State, shard: Shard, memory: Memory) -> np.ndarray:
    """The weights, read by an owner and handed to the analyst."""
    return inputs["weights"]


@program(requires={Op.HOLD, Op.CALL}, plan=plan_weights)
def encrypted_weights(session: Session, plan: Plan) -> Answer:
    """DeepProtect: the server adds encrypted gradients to weights it cannot read."""
    held, owners = _held(session, plan)
    for step in range(plan.settings.steps):
        trainer = owners[step % len(owners)]
        session.call(descent, at=trainer, inputs={"weights": held}, to=held, into="add")
    return _read(session, held, owners)


@program(requires={Op.HOLD, Op.CALL}, plan=plan_weights)
def travelling_weights(session: Session, plan: Plan) -> Answer:
    """Encrypted weights hop from trainer to trainer through a server that only stores."""
    held, owners = _held(session, plan)
    for step in range(plan.settings.steps):
        trainer = owners[step % len(owners)]
        session.call(moved, at=trainer, inputs={"weights": held}, to=held, into="replace")
    return _read(session, held, owners)


@program(requires={Op.HOLD, Op.CALL}, plan=plan_weights)
def one_term_too_many(session: Session, plan: Plan) -> Answer:
    """Adds once more than the accumulator was made for."""
    held, owners = _held(session, plan)
    for _ in range(plan.settings.steps + 1):
        session.call(descent, at=owners[0], inputs={"weights": held}, to=held, into="add")
    return _read(session, held, owners)


def _held(session: Session, plan: Plan) -> tuple[Any, list[str]]:
    owners = [owner.name for owner in session.owners]
    held = session.hold(
        np.zeros(plan.shapes["weights"]),
        at=SERVER,
        readers=owners,
        coordinate_max=WEIGHT_MAX,
        terms_max=plan.settings.steps + 1,
    )
    return held, owners


def _read(session: Session, held: Any, owners: list[str]) -> Answer:
    weights = session.call(as_it_is, at=owners[0], inputs={"weights": held}, to=ANALYST)
    assert weights is not None
    return Answer({"weights": weights})


def corrected(state: State, shard: Shard, memory: Memory) -> OwnerTotal:
    """The change since last round; what it is measured against never leaves the owner."""
    sums = shard["x"].sum(0) * (1 + state["round"])
    change = sums - memory.get("last", 0.0)
    memory["last"] = sums
    return OwnerTotal(change)


@program(requires={Op.SUM}, plan=plan_weights)
def remembering(session: Session, plan: Plan) -> Answer:
    """Each round, owners send what changed since the round before."""
    contribution = Contribution(
        fn=corrected, shape=plan.shapes["weights"], unit="owner", coordinate_max=1e4
    )
    totals = [
        session.sum(contribution, {"round": np.array(k)}, to=ANALYST).value
        for k in range(plan.settings.steps)
    ]
    return Answer({"totals": np.array(totals)})


@program(requires={Op.SHARE, Op.PLAIN_MATMUL, Op.REVEAL}, plan=plan_product)
def beside_a_local_matrix(session: Session, plan: Plan) -> Answer:
    """Protected records times a matrix that stays where it is."""
    x = session.share("x", owner="owner-1", label="records", layout="columns")
    product = x @ session.local("matrix", at=SERVER)
    return Answer({"product": session.reveal(product, to=ANALYST)})


@program(requires={Op.SHARE, Op.ADD, Op.REVEAL}, plan=plan_product)
def mixed_labels(session: Session, plan: Plan) -> Answer:
    """Adds the records of one disease to those of another."""
    left = session.share("x", owner="owner-1", label="diabetes", layout="columns")
    right = session.share("x", owner="owner-1", label="asthma", layout="columns")
    return Answer({"both": session.reveal(left + right, to=ANALYST)})


def rows_of_x(state: State, shard: Shard, memory: Memory) -> Dense:
    """Each record as it is."""
    return Dense(shard["x"])


def sum_of_x(plan: Plan) -> Contribution:
    """The sum of all records."""
    return Contribution(
        fn=rows_of_x, shape=plan.shapes["weights"], unit_norm=10.0, coordinate_max=100.0
    )


@program(requires={Op.SUM}, plan=plan_weights)
def too_many_releases(session: Session, plan: Plan) -> Answer:
    """Opens one total more than it said."""
    for _ in range(plan.releases + 1):
        total = session.sum(sum_of_x(plan), to=ANALYST)
    return Answer({"total": total.value})


@program(requires={Op.SUM}, plan=plan_weights)
def undeclared_shape(session: Session, plan: Plan) -> Answer:
    """Opens a total of a shape that its plan does not name."""
    contribution = Contribution(fn=rows_of_x, shape=(1, 3), coordinate_max=100.0)
    return Answer({"total": session.sum(contribution, to=ANALYST).value})
