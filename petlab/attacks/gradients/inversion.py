"""Records from the sum of their gradients.

One record: a unit of the first layer has the gradient (what flows back) times the record, and
(what flows back) alone for its bias, so that the quotient is the record.

Several records: the first layer's gradient is the product of the records and of what flowed back
for each, so that its columns span the space in which the records lie. In it a batch of B records
has B x B unknowns, whatever the number of features, and the gradients of all layers are
equations for them: Levenberg-Marquardt solves them, and the attacker knows from the residual
whether it did.

References
----------
.. [1] Phong, Aono, Hayashi, Wang, Moriai, Privacy-Preserving Deep Learning via Additively
   Homomorphic Encryption, IEEE TIFS 13, 2018 (one record from its quotient).
.. [2] Zhu, Liu, Han, Deep Leakage from Gradients, NeurIPS 2019 (gradient matching).
.. [3] Zhao, Mopuri, Bilen, iDLG: Improved Deep Leakage from Gradients, 2020 (labels).
.. [4] Geiping, Bauermeister, Droege, Moeller, Inverting Gradients, NeurIPS 2020.
.. [5] Dimitrov, Baader, Mueller, Vechev, SPEAR: Exact Gradient Inversion of Batches in
   Federated Learning, NeurIPS 2024 (the gradient's rank is the number of records).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from petlab.attacks.gradients.sender import Sender

SOLVED = 1e-8
"""Residual, over the message's norm, at which the attacker knows that it has the records."""
ITERATIONS = 50
"""Of Levenberg-Marquardt from one start; where it succeeds, it takes 5 to 40 (relu the most)."""


@dataclass(frozen=True)
class Guess:
    """What an attacker takes a batch for.

    Attributes
    ----------
    records
        Shape (batch, features), in any order.
    labels
        Class numbers, shape (batch,).
    residual
        Norm of what the guess does not explain, over the message's norm.
    """

    records: np.ndarray
    labels: np.ndarray
    residual: float


def invert(
    message: np.ndarray,
    sender: Sender,
    *,
    batch: int,
    population: np.ndarray,
    rng: np.random.Generator,
    starts: int = 4,
) -> Guess:
    """Rebuild the records behind one message.

    Parameters
    ----------
    message
        The sum of their gradients, perhaps with noise, flat.
    batch
        How many records are in it, which the rank of a message without noise tells.
    population
        Other records of the same kind, shape (rows, features): where the search starts, and how
        the network answers on average.
    starts
        How many random starts at most; the best is returned.
    """
    bias_and_weights = np.vstack(sender.split(message)[0])
    span = np.linalg.svd(bias_and_weights, full_matrices=False)[0][:, :batch].T
    if len(span) < batch:
        raise ValueError(f"a first layer of {bias_and_weights.shape} spans no {batch} records.")
    expected = label_counts(message, sender, batch=batch, population=population)
    found = [_quotient(message, sender, span[0], expected)] if batch == 1 else []
    for start in range(0 if found and found[0].residual < SOLVED else starts):
        labels = _rounded(expected + (start > 0) * rng.normal(0, 0.2, len(expected)), batch)
        first = population[rng.choice(len(population), batch, replace=len(population) < batch)]
        found.append(_solve(message, sender, span, labels, first))
        if found[-1].residual < SOLVED:
            break
    return min(found, key=lambda guess: guess.residual)


def label_counts(
    message: np.ndarray, sender: Sender, *, batch: int, population: np.ndarray
) -> np.ndarray:
    """How often each class is in the batch, from the last layer's biases; shape (classes,).

    A record of class c adds its class probabilities, less one at c. The probabilities are taken
    to be those of the population: a network that has not learned much tells records little apart.
    """
    from scipy.optimize import nnls

    some = population[:200]
    columns = []
    for label in np.eye(sender.classes):
        back = sender.flow(some, np.tile(label, (len(some), 1)))[-1][1]
        columns.append(back.mean(0))
    total = np.linalg.norm(columns)
    # The last row says that the counts add up to the batch.
    matrix = np.vstack([np.column_stack(columns), np.full(sender.classes, total)])
    found, _ = nnls(matrix, np.r_[sender.split(message)[-1][1], total * batch])
    return np.asarray(found)


def _quotient(
    message: np.ndarray, sender: Sender, direction: np.ndarray, expected: np.ndarray
) -> Guess:
    """One record: its direction, which the bias has a part in, scaled so that this part is one."""
    scale = direction[-1] if abs(direction[-1]) > 1e-12 else 1e-12
    record, label = (direction[:-1] / scale)[None], int(np.argmax(expected))
    explained = sender.message(record, np.eye(sender.classes)[[label]])
    residual = np.linalg.norm(message - explained) / max(float(np.linalg.norm(message)), 1e-300)
    return Guess(record, np.array([label]), float(residual))


def _rounded(expected: np.ndarray, batch: int) -> np.ndarray:
    """Labels whose counts are nearest to what is expected; shape (batch,)."""
    expected = np.maximum(expected, 0)
    expected = expected * batch / max(expected.sum(), 1e-12)
    counts = np.floor(expected).astype(int)
    for label in np.argsort(counts - expected)[: batch - counts.sum()]:
        counts[label] += 1
    return np.repeat(np.arange(len(counts)), counts)


def _solve(
    message: np.ndarray, sender: Sender, span: np.ndarray, labels: np.ndarray, first: np.ndarray
) -> Guess:
    """Levenberg-Marquardt from one start: records are (mixture, shape (B, B)) times the span."""
    from scipy.optimize import least_squares

    batch, scale = len(labels), float(np.linalg.norm(message)) or 1.0
    equations = _equations(message / scale, sender, span, labels, 1 / scale)
    mixture = np.c_[first, np.ones(batch)] @ span.T
    found = least_squares(
        *(equations, mixture.ravel()),
        jac=lambda flat: _slopes(equations, flat),
        method="lm",
        max_nfev=ITERATIONS,
    )
    records = (found.x.reshape(batch, batch) @ span)[:, :-1]
    return Guess(records, labels, float(np.sqrt(2 * found.cost)))


def _equations(
    message: np.ndarray, sender: Sender, span: np.ndarray, labels: np.ndarray, scale: float
) -> Callable[[np.ndarray], np.ndarray]:
    """What has to vanish: in the first layer within the span only, as nothing lies outside."""
    wanted, one_hot = sender.split(message), np.eye(sender.classes)[labels]
    first, batch = span @ np.vstack(wanted[0]), len(labels)

    def missing(flat: np.ndarray) -> np.ndarray:
        mixture = flat.reshape(batch, batch)
        extended = mixture @ span
        flow = sender.flow(extended[:, :-1], one_hot)
        # A record's last coordinate stands for the bias: it has to be one.
        parts = [mixture.T @ flow[0][1] * scale - first, extended[:, -1] - 1]
        for (inputs, back), (weights, bias) in zip(flow[1:], wanted[1:], strict=True):
            parts += [inputs.T @ back * scale - weights, back.sum(0) * scale - bias]
        return np.concatenate([np.ravel(part) for part in parts])

    return missing


def _slopes(equations: Callable[[np.ndarray], np.ndarray], at: np.ndarray) -> np.ndarray:
    """Jacobian by forward differences; shape (equations, unknowns)."""
    here, columns = equations(at), []
    for k, value in enumerate(at):
        moved, step = at.copy(), 1.5e-8 * max(1.0, abs(value))
        moved[k] += step
        columns.append((equations(moved) - here) / step)
    return np.column_stack(columns)
