"""What petlab adds to a cell, against the bare library doing the same work.

Run it from the repository: `python benchmarks/overhead.py` (some five minutes: cells of about
ten seconds; `--share 0.2` makes them a fifth as long). Each pair runs in this process,
alternating, on the same records and batches; the fastest of the repeats counts, in CPU seconds,
which other work on the machine disturbs less than wall time (one thread: set OMP_NUM_THREADS=1).
The target is a ratio under 1.1. The bare sides say in plain TenSEAL, Flower, torch and numpy what
the programs say through sessions: the same parameters, messages and arithmetic, but no
authenticated links, no bounds, no canary, no transcript, no phases.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from petlab.algorithms.perceptron.network import initial_parameters
from petlab.core.batches import batch
from petlab.core.party import Shard, owner_names
from petlab.core.session import Opening
from petlab.data.dataset import find_dataset
from petlab.running.registry import find_task, find_technique

REPEATS = 4
OWNERS = 3
TARGET = 1.1


@dataclass(frozen=True)
class Study:
    """A cell, taken apart: what both sides start from."""

    technique: str
    task: str
    dataset: str
    settings: dict[str, Any]

    def prepared(self) -> tuple[Any, Any, list[Shard], Any]:
        """Program, plan, shards and public facts."""
        task = find_task(self.task)
        settings = task.settings(**self.settings)
        records = task.encode(find_dataset(self.dataset).load(), settings)
        order = np.random.default_rng(0).permutation(len(records.labels))
        parts = np.array_split(order, OWNERS)
        shards = [
            Shard(name, len(part), records.take(part).arrays)
            for name, part in zip(owner_names(OWNERS), parts, strict=True)
        ]
        public = replace(records.public, owners=OWNERS, records=len(records.labels))
        program = task.programs["sums"]
        return program, program.plan(settings, public), shards, public


def with_petlab(study: Study) -> Callable[[], np.ndarray]:
    """The cell as petlab runs it, from opened session to answer."""
    program, plan, shards, _ = study.prepared()
    technique = find_technique(study.technique)
    technique.warm_up()

    def run() -> np.ndarray:
        answer = technique.execute(program, Opening(shards, plan)).answer
        return next(iter(answer.values.values()))

    return run


def torch_gradient(sizes: Sequence[int]) -> Callable[[np.ndarray, Any, Any], np.ndarray]:
    """Summed gradient of a one-hidden-layer network with tanh, in plain torch."""
    import torch

    a, b, c = sizes
    cuts = np.cumsum([a * b, b, b * c, c])

    def gradient(flat: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        p = torch.tensor(flat, requires_grad=True)
        h = torch.tanh(torch.from_numpy(x) @ p[: cuts[0]].view(a, b) + p[cuts[0] : cuts[1]])
        scores = h @ p[cuts[1] : cuts[2]].view(b, c) + p[cuts[2] :]
        loss = torch.nn.functional.cross_entropy(scores, torch.from_numpy(y), reduction="sum")
        loss.backward()
        return p.grad.numpy()

    return gradient


class Descent:
    """Heavy-ball SGD on summed gradients: state that both bare trainings share."""

    def __init__(self, prepared: tuple[Any, Any, list[Shard], Any]) -> None:
        _, self.plan, self.shards, public = prepared
        self.rate = self.plan.settings.learning_rate
        hidden = int(self.plan.settings.hidden)
        self.sizes = [len(public.features), hidden, public.classes]
        self.weights = initial_parameters(self.sizes, seed=0)
        self.velocity = np.zeros_like(self.weights)
        self.gradient = torch_gradient(self.sizes)

    def contribution(self, owner: int, step: int, weights: np.ndarray) -> np.ndarray:
        """Summed gradient of one owner's batch."""
        shard = self.shards[owner]
        drawn = batch(shard.rows, self.plan.sample_rate, step, seed=(0, shard.owner))
        x, y = shard["features"][drawn], shard["classes"][drawn]
        return self.gradient(weights, x, y)

    def step(self, total: np.ndarray) -> None:
        """Move the weights."""
        expected = self.plan.sample_rate * self.plan.public.records
        self.velocity = 0.9 * self.velocity + total / expected
        self.weights = self.weights - self.rate * self.velocity


class BareLink:
    """What any deployment pays for: messages sealed and opened with AES-256-GCM."""

    def __init__(self) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self.cipher, self.count = AESGCM(AESGCM.generate_key(256)), 0

    def carry(self, message: bytes) -> bytes:
        """Seal and open one message."""
        self.count += 1
        nonce = self.count.to_bytes(12, "big")
        return self.cipher.decrypt(nonce, self.cipher.encrypt(nonce, message, b""), b"")


def bare_tenseal(study: Study) -> Callable[[], np.ndarray]:
    """The same training with encrypted gradient sums in plain TenSEAL."""
    import tenseal as ts

    prepared = study.prepared()

    def run() -> np.ndarray:
        descent, link = Descent(prepared), BareLink()
        secret = ts.context(
            ts.SCHEME_TYPE.BFV,
            8192,
            72057594037616641,
            coeff_mod_bit_sizes=[60, 60, 60],
            n_threads=1,
        )
        public = ts.context_from(
            secret.serialize(save_secret_key=False, save_galois_keys=False, save_relin_keys=False)
        )
        limit = 64.0 * descent.plan.public.records_max
        scale = int(np.floor(np.log2(72057594037616641 / 2 / (limit * OWNERS))))
        for step in range(descent.plan.releases):
            uploads = []
            for owner in range(OWNERS):
                total = descent.contribution(owner, step, descent.weights)
                integers = np.rint(np.ldexp(total, scale)).astype(np.int64)
                uploads.append(
                    [
                        link.carry(
                            ts.bfv_vector(public, integers[at : at + 8191].tolist()).serialize()
                        )
                        for at in range(0, len(integers), 8191)
                    ]
                )
            opened: list[int] = []
            for column in zip(*uploads, strict=True):
                added = ts.bfv_vector_from(public, column[0])
                for blob in column[1:]:
                    added = added + ts.bfv_vector_from(public, blob)
                total_bytes = link.carry(added.serialize())
                opened += ts.bfv_vector_from(secret, total_bytes).decrypt()
            descent.step(np.ldexp(np.array(opened, float), -scale))
        return descent.weights

    return run


def flower(train: Callable[[int, dict[str, np.ndarray]], np.ndarray]) -> Callable[..., np.ndarray]:
    """One FedAvg round over Flower's own codec: broadcast arrays, return the summed replies."""
    from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
    from flwr.clientapp import ClientApp
    from flwr.serverapp.strategy import FedAvg

    from petlab.techniques.fl.grid import InProcessGrid

    def answer(message: Any, context: Any) -> Any:
        owner = int(context.node_config["partition-id"])
        state = {k: v.numpy() for k, v in message.content["arrays"].items()}
        reply = ArrayRecord({"total": Array(train(owner, state))})
        metrics = MetricRecord({"num-examples": 1.0})
        return Message(RecordDict({"arrays": reply, "metrics": metrics}), reply_to=message)

    app = ClientApp()
    app.train()(answer)
    grid = InProcessGrid(
        app, owner_names(OWNERS), server="server", send=lambda *message: message[3]
    )
    strategy = FedAvg(min_train_nodes=OWNERS, min_available_nodes=OWNERS, fraction_evaluate=0.0)

    def round_of(number: int, state: dict[str, np.ndarray]) -> np.ndarray:
        arrays = ArrayRecord({name: Array(value) for name, value in state.items()})
        messages = strategy.configure_train(number, arrays, ConfigRecord({}), grid)
        replies = list(grid.send_and_receive(messages))
        merged, _ = strategy.aggregate_train(number, replies)
        return next(iter(merged.values())).numpy().astype(float) * OWNERS

    return round_of


def bare_flower_training(study: Study) -> Callable[[], np.ndarray]:
    """The same training as one FedAvg round of gradients a step, in plain Flower and torch."""
    prepared = study.prepared()

    def run() -> np.ndarray:
        descent = Descent(prepared)

        def train(owner: int, state: dict[str, np.ndarray]) -> np.ndarray:
            return descent.contribution(owner, int(state["step"]), state["weights"])

        round_of = flower(train)
        for step in range(descent.plan.releases):
            descent.step(round_of(step + 1, {"weights": descent.weights, "step": np.array(step)}))
        return descent.weights

    return run


def bare_flower_newton(study: Study) -> Callable[[], np.ndarray]:
    """Newton steps of logistic regression in plain Flower and numpy."""
    _, plan, shards, public = study.prepared()
    size = len(public.features) + 1
    upper = np.triu_indices(size)
    penalty = np.r_[1e-10, np.full(size - 1, 1 / plan.settings.C)]

    def train(owner: int, state: dict[str, np.ndarray]) -> np.ndarray:
        shard = shards[owner]
        x = np.column_stack([np.ones(shard.rows), shard["features"]])
        p = 0.5 * (1 + np.tanh(0.5 * (x @ state["theta"])))
        hessian = (x * (p * (1 - p))[:, None]).T @ x
        return np.r_[x.T @ (shard["labels"][:, 0] - p), hessian[upper]]

    def run() -> np.ndarray:
        theta, round_of = np.zeros(size), flower(train)
        for step in range(plan.settings.iterations):
            total = round_of(step + 1, {"theta": theta})
            hessian = np.zeros((size, size))
            hessian[upper] = total[size:]
            hessian = hessian + np.triu(hessian, 1).T
            move = np.linalg.solve(hessian + np.diag(penalty), total[:size] - penalty * theta)
            theta = theta + move
            if np.abs(move).max() < 1e-9 * max(1.0, np.abs(theta).max()):
                break
        return theta[:, None]

    return run


CASES: list[tuple[str, Study, Callable[[Study], Callable[[], np.ndarray]], int]] = [
    (
        "deep, encrypted gradient sums, against TenSEAL and torch",
        Study("he", "deep", "digits", {"epochs": 30, "batch_share": 0.05}),
        bare_tenseal,
        1,
    ),
    (
        "deep, federated gradient sums, against Flower and torch",
        Study("fl", "deep", "digits", {"epochs": 30, "batch_share": 0.02}),
        bare_flower_training,
        1,
    ),
    (
        "logreg by Newton on 30,000 records, against Flower and numpy",
        Study("fl", "logreg", "taiwan_default", {"iterations": 8}),
        bare_flower_newton,
        60,
    ),
]
"""Name, cell, bare version, and how often in a row it runs to take seconds."""


def seconds(run: Callable[[], np.ndarray], times: int) -> tuple[float, np.ndarray]:
    """CPU time of so many runs in a row, and the last answer."""
    started = time.process_time()
    for _ in range(times):
        answer = run()
    return time.process_time() - started, answer


def measure(study: Study, bare: Any, times: int, *, repeats: int) -> tuple[float, float]:
    """Fastest times of petlab and of the bare library, after checking that answers agree."""
    ours, theirs = with_petlab(study), bare(study)
    found: list[tuple[float, float]] = []
    for _ in range(repeats):
        mine, answer = seconds(ours, times)
        yours, expected = seconds(theirs, times)
        np.testing.assert_allclose(answer, expected, rtol=1e-6, atol=1e-6)
        found.append((mine, yours))
    return min(m for m, _ in found), min(y for _, y in found)


def shortened(study: Study, times: int, share: float) -> tuple[Study, int]:
    """The cell with fewer epochs, or fewer runs where it has none."""
    if "epochs" not in study.settings:
        return study, max(1, round(times * share))
    epochs = max(1, round(study.settings["epochs"] * share))
    return replace(study, settings={**study.settings, "epochs": epochs}), times


def main() -> None:
    """Print one line a case."""
    parser = argparse.ArgumentParser(description="petlab against bare libraries")
    parser.add_argument("--share", type=float, default=1.0, help="length of the cells")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    chosen = parser.parse_args()
    for name, study, bare, times in CASES:
        study, times = shortened(study, times, chosen.share)
        ours, theirs = measure(study, bare, times, repeats=chosen.repeats)
        ratio = ours / theirs
        verdict = "under" if ratio < TARGET else "OVER"
        print(
            f"{name}: petlab {ours:.2f} s, bare {theirs:.2f} s, {ratio:.3f}x, {verdict} {TARGET}",
            flush=True,
        )


if __name__ == "__main__":
    main()
