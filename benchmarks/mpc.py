"""What petlab's multiparty computation costs, against bare CrypTen doing the same training.

Run it from the repository: `OMP_NUM_THREADS=1 python benchmarks/mpc.py` (about three minutes;
`--spu` adds SPU where it is installed). Both sides train on shares among two compute parties with
the dealer in a third process, over TCP on this machine: logistic regression by gradient steps
on 569 x 30 records, SGD steps of a 784-128-128-10 perceptron on batches of 128, and the counts
of 1,000 genotypes by disease among 4,500 people. The sides
alternate; the fastest of the repeats counts.

The bare side is CrypTen 0.4.1 as its authors left it, but for the import that current torch
lacks: torch.distributed without encryption, a Mersenne Twister, 16 fraction bits, truncation
that fails at random, sigmoid and softmax at its own accuracy. petlab's side has authenticated,
encrypted links, AES, 20 fraction bits, exact truncation and range checks. The target is a ratio
of CPU seconds, over all processes, of at most 1.1.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

REPEATS = 3
TARGET = 1.1
LOGREG = {"rows": 569, "features": 30, "steps": 20}
COUNTS = {"people": 4500, "genotypes": 1000}
MLP = {"rows": 128, "sizes": [784, 128, 128, 10], "steps": 3}


def records(rows: int, features: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Random features in [-1, 1] and one-hot classes."""
    rng = np.random.default_rng(0)
    return rng.uniform(-1, 1, (rows, features)), np.eye(classes)[rng.integers(0, classes, rows)]


def weights(sizes: list[int]) -> list[np.ndarray]:
    """Initial weights, a matrix for each layer."""
    rng = np.random.default_rng(1)
    return [rng.normal(0, a**-0.5, (a, b)) for a, b in itertools.pairwise(sizes)]


def turned(matrix: Any) -> Any:
    """Transpose of an array of either side."""
    return matrix.T if hasattr(matrix, "T") else matrix.t()


def logreg(x: Any, y: Any, w: Any, steps: int, sigmoid: Callable[[Any], Any]) -> Any:
    """Gradient descent; `x`, `y`, `w` are arrays of either side."""
    for _ in range(steps):
        w = w - turned(x) @ (sigmoid(x @ w) - y) * (1 / LOGREG["rows"])
    return w


def mlp(x: Any, y: Any, layers: list[Any], relu: Callable, softmax: Callable) -> list[Any]:
    """One SGD step with gradients by hand."""
    inputs, masks = [x], []
    for layer in layers[:-1]:
        value, mask = relu(inputs[-1] @ layer)
        inputs.append(value)
        masks.append(mask)
    back = softmax(inputs[-1] @ layers[-1]) - y
    moved = list(layers)
    for k in reversed(range(len(layers))):
        moved[k] = layers[k] - (turned(inputs[k]) @ back) * (0.1 / MLP["rows"])
        if k:
            back = (back @ turned(layers[k])) * masks[k - 1]
    return moved


def with_petlab(work: str, engine: str = "crypten") -> dict[str, float]:
    """The training through petlab's session."""
    from petlab.core.party import ANALYST, Shard
    from petlab.core.plan import Plan, Public
    from petlab.core.session import Opening
    from petlab.running.registry import find_technique

    x, y = _records(work)
    width = {"logreg": x.shape[1], "mlp": MLP["sizes"][-2], "counts": len(x)}[work]
    plan = Plan(None, Public(), releases=1, shapes={"found": (width, y.shape[1])})
    technique = find_technique("mpc", {"engine": engine})
    technique.warm_up()
    session = technique.open(Opening([Shard("owner-1", len(x), {"x": x, "y": y})], plan))
    try:
        shared = session.share("x", owner="owner-1"), session.share("y", owner="owner-1")
        found = _train(
            work,
            *shared,
            sigmoid=lambda z: session.sigmoid(z, bound=16.0),
            softmax=lambda z: session.softmax(z, bound=16.0),
            relu=lambda z: (lambda above: (z * above, above))(session.positive(z)),
        )
        session.reveal(found, to=ANALYST)
        session.meter.mark()
        return {
            "wall_s": session.meter.wall_s,
            "cpu_s": session.meter.cpu_s,
            "bytes": session.transcript.bytes,
            "rounds": session.transcript.rounds,
        }
    finally:
        session.close()


def bare(work: str) -> dict[str, float]:
    """The training in plain CrypTen, in two processes with the dealer in a third."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "WORLD_SIZE": "2",
        "RENDEZVOUS": f"tcp://127.0.0.1:{port}",
        "DISTRIBUTED_BACKEND": "gloo",
    }
    children = [
        subprocess.Popen(
            [sys.executable, __file__, "--bare", work],
            env={**environment, "RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        for rank in range(3)
    ]
    found = [json.loads(child.communicate()[0]) for child in children]
    return {
        "wall_s": found[0]["wall_s"],
        "cpu_s": sum(f["cpu_s"] for f in found),
        "bytes": sum(f["bytes"] for f in found) / 2,
        "rounds": found[0]["rounds"],
    }


def bare_party(work: str) -> None:
    """One process of the bare side."""
    from petlab.techniques.mpc.crypten.compat import _stand_in_for_onnx_registration

    _stand_in_for_onnx_registration()
    import crypten
    import torch
    from crypten import communicator as comm
    from crypten.config import cfg

    torch.set_num_threads(1)
    cfg.mpc.provider = "TTP"
    cfg.communicator.verbose = True
    started = [0.0, 0.0]
    rank = int(os.environ["RANK"])
    if rank == 2:
        server = crypten.mpc.provider.TTPServer
        set_up = server._setup_generators

        def ready(self: Any) -> None:
            set_up(self)
            started[:] = [time.perf_counter(), time.process_time()]

        server._setup_generators = ready
        server()
        _print(started, 0, 0)
        return
    crypten.init()
    x, y = _records(work)
    comm.get().reset_communication_stats()
    started[:] = [time.perf_counter(), time.process_time()]
    found = _train(
        work,
        _encrypted(x),
        _encrypted(y),
        sigmoid=lambda z: z.sigmoid(),
        softmax=lambda z: z.softmax(1),
        relu=lambda z: (lambda above: (z * above, above))(z > 0),
        public=_encrypted,
    )
    found.get_plain_text()
    stats = comm.get().get_communication_stats()
    _print(started, stats["bytes"], stats["rounds"])
    crypten.uninit()


def _encrypted(values: np.ndarray) -> Any:
    """Shares of real or whole numbers, in plain CrypTen."""
    import crypten
    import torch

    whole = values.dtype.kind == "i"
    tensor = torch.from_numpy(values)
    return crypten.cryptensor(
        tensor if whole else tensor.float(), src=0, precision=0 if whole else 16
    )


def _print(started: list[float], sent: float, rounds: float) -> None:
    spent = [time.perf_counter() - started[0], time.process_time() - started[1]]
    print(json.dumps({"wall_s": spent[0], "cpu_s": spent[1], "bytes": sent, "rounds": rounds}))
    sys.stdout.flush()


def _records(work: str) -> tuple[np.ndarray, np.ndarray]:
    if work == "logreg":
        x, y = records(LOGREG["rows"], LOGREG["features"], 2)
        return x, y[:, 1:]
    if work == "counts":
        rng = np.random.default_rng(2)
        disease = np.eye(2, dtype=np.int64)[rng.integers(0, 2, COUNTS["people"])].T
        shape = COUNTS["people"], COUNTS["genotypes"]
        genotypes = np.eye(3, dtype=np.int64)[rng.binomial(2, 0.3, shape)]
        return disease, genotypes.reshape(COUNTS["people"], -1)
    return records(MLP["rows"], MLP["sizes"][0], MLP["sizes"][-1])


def _train(
    work: str,
    x: Any,
    y: Any,
    *,
    sigmoid: Callable[[Any], Any],
    softmax: Callable[[Any], Any],
    relu: Callable[[Any], Any],
    public: Callable[[np.ndarray], Any] = lambda w: w,
) -> Any:
    if work == "counts":
        return x @ y
    if work == "logreg":
        start = public(np.zeros((LOGREG["features"], 1)))
        return logreg(x, y, start, LOGREG["steps"], sigmoid)
    layers = [public(w) for w in weights(MLP["sizes"])]
    for _ in range(MLP["steps"]):
        layers = mlp(x, y, layers, relu, softmax)
    return layers[-1]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spu", action="store_true", help="SPU beside it: `make spu` first")
    parser.add_argument("--bare", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare:
        bare_party(options.bare)
        return
    print(f"{'':<36}{'CPU s':>8}{'wall s':>8}{'MB':>8}{'rounds':>8}")
    titles = {
        "logreg": "logreg, 20 steps",
        "mlp": "perceptron, 3 steps",
        "counts": "1,000 x 4,500 counts",
    }
    for work, title in titles.items():
        sides: dict[str, list[dict[str, float]]] = {"bare CrypTen": [], "petlab": []}
        for _ in range(REPEATS):
            sides["bare CrypTen"].append(bare(work))
            sides["petlab"].append(with_petlab(work))
            if options.spu:
                sides.setdefault("petlab on SPU", []).append(with_petlab(work, "spu"))
        best = {name: min(runs, key=lambda run: run["cpu_s"]) for name, runs in sides.items()}
        for name, run in best.items():
            print(
                f"{title + ', ' + name:<36}{run['cpu_s']:>8.2f}{run['wall_s']:>8.2f}"
                f"{run['bytes'] / 1e6:>8.1f}{run['rounds']:>8.0f}"
            )
        ratio = best["petlab"]["cpu_s"] / best["bare CrypTen"]["cpu_s"]
        wall = best["petlab"]["wall_s"] / best["bare CrypTen"]["wall_s"]
        verdict = "within" if ratio <= TARGET else "over"
        print(f"  ratio of CPU {ratio:.2f} ({verdict} the target of {TARGET}), of wall {wall:.2f}")


if __name__ == "__main__":
    main()
