"""Mutated inputs by the thousand: each is refused in petlab's own words, or the answer is right.

`make fuzz` runs 10,000 (`--runs` says how many, `--seed` from where); what fails is printed with
the seed that makes it again, and belongs into `KEPT`. `tests/test_fuzz.py` runs those and a few
more of each kind.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import json
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from petlab.core.aggregation import Bound
from petlab.core.settings import describe_settings
from petlab.data.card import read_card
from petlab.data.table import MISSING, read_table
from petlab.errors import PetlabError
from petlab.metering import wire
from petlab.running.evaluator import evaluate
from petlab.running.prepared import prepare
from petlab.running.registry import setting_owners, tasks, technique_names
from petlab.running.result import Cell, Result, Status, summary_html, summary_text
from petlab.running.store import Store, StoreError
from petlab.running.sweep import read_sweep

KEPT: dict[str, tuple[int, ...]] = {
    "settings": (268, 354, 727, 773, 970, 993, 1048, 8069, 10940, 12626),
    "result": (10905,),
}
"""Seeds of inputs that once ended in a traceback or a wrong answer."""

ODD = (
    b"",
    b",",
    b'"',
    b"\n",
    b"\x00",
    b"\xff",
    b"NaN",
    b"Infinity",
    b"-1",
    b"1e999",
    b"null",
    b"[]",
    b"{}",
    b"true",
    b"9" * 30,
    "ü".encode(),
    b"a" * 300,
    b"..",
    b"\r",
    b" ",
    b"0x10",
    b"'",
    b"[[",
    b"=",
    b"impute:",
    b"category",
    b"number",
)


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """Change bytes, cut, double, or put something odd in, once to a few times."""
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(0, len(data) + 1))
        end = min(len(data), at + int(rng.integers(1, 12)))
        kind = int(rng.integers(0, 6))
        if kind == 0 and data:
            at = min(at, len(data) - 1)
            data = data[:at] + bytes([int(rng.integers(0, 256))]) + data[at + 1 :]
        elif kind == 1:
            data = data[:at] + data[end:]
        elif kind == 2:
            data = data[:at] + data[at:end] * 2 + data[end:]
        elif kind == 3:
            data = data[:at] + ODD[int(rng.integers(len(ODD)))] + data[end:]
        elif kind == 4:
            lines = data.split(b"\n")
            line = int(rng.integers(len(lines)))
            lines[line : line + 1] = [lines[line]] * int(rng.integers(0, 3))
            data = b"\n".join(lines)
        else:
            words = data.split(b" ")
            word = int(rng.integers(len(words)))
            words[word] = ODD[int(rng.integers(len(ODD)))]
            data = b" ".join(words)
    return data


@cache
def table_text() -> bytes:
    """A good table."""
    rng = np.random.default_rng(0)
    lines = ["who,ill,gene,age"]
    for k in range(60):
        gene = rng.choice(["aa", "ab", "bb", ""], p=[0.4, 0.3, 0.2, 0.1])
        lines.append(f"p{k},{rng.choice(['no', 'yes'])},{gene},{rng.integers(20, 90)}")
    return ("\n".join(lines) + "\n").encode()


CARD = b"""name = "mine"
title = "My table"
target = "ill"
positive = "yes"
factor = "gene"
id = "who"
missing = "refuse"
records = 60

[columns.who]
kind = "category"

[columns.ill]
kind = "category"
levels = ["no", "yes"]

[columns.gene]
kind = "category"
levels = ["aa", "ab", "bb"]
missing = "drop"

[columns.age]
kind = "number"
range = [20, 90]
typical = 50
"""

SWEEP = b"""name: mine
timeout_s: 60
grid:
  - task: chi2
    technique: [he, fl, dp]
    dataset: apoe
    seed: [0, 1]
    settings: {factor: genotype}
  - task: logreg
    technique: all
    partition: dirichlet:1
    parties: 3
"""


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A place for files."""
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


def ran(cell: Cell) -> None:
    """Run a cell that was accepted: its answer is the reference's."""
    result = evaluate(cell)
    assert result.status is not Status.FAILED, result.reason
    if result.status is Status.OK:
        error = result.quality["count_max_error"].value
        assert error == 0, f"a count is off by {error}"


def card(rng: np.random.Generator) -> None:
    """A card."""
    with folder() as here:
        path, data = here / "mine.toml", here / "mine.csv"
        path.write_bytes(mutated(CARD, rng))
        data.write_bytes(table_text())
        read_table(data, read_card(path))
        ran(Cell("chi2", data=str(data), card=str(path)))


def table(rng: np.random.Generator) -> None:
    """A table, whose every value is where another reader finds it."""
    with folder() as here:
        path, data = here / "mine.toml", here / "mine.csv"
        path.write_bytes(CARD)
        data.write_bytes(mutated(table_text(), rng))
        found = read_table(data, read_card(path))
        rows = [r for r in csv.reader(io.StringIO(data.read_text("utf-8-sig"), newline="")) if r]
        header, rows = rows[0], rows[1:]
        for name in ("ill", "gene"):
            texts = [row[header.index(name)].strip() for row in rows]
            levels = (*found.card.columns[name].levels, "")
            codes = [MISSING if t == "" else levels.index(t) for t in texts]
            assert found.values[name].tolist() == codes
        ages = [float(row[header.index("age")]) for row in rows]
        assert found.values["age"].tolist() == ages
        ran(Cell("chi2", data=str(data), card=str(path)))


def sweep(rng: np.random.Generator) -> None:
    """A sweep."""
    with folder() as here:
        path = here / "mine.yml"
        path.write_bytes(mutated(SWEEP, rng))
        for cell in read_sweep(path).cells[:200]:
            assert Cell.from_dict(json.loads(json.dumps(vars(cell)))) == cell


VALUES: tuple[Any, ...] = (
    *(0, -1, 1, 3, 10**6, 10**30, 0.5, -0.5, 1e-300, 1e300, float("nan"), float("inf"), True),
    *(None, "", "x", "none", "all", "1,2", "newton", "adam", "tanh", [], {}, "ü" * 200, -(10**30)),
)


def settings(rng: np.random.Generator) -> None:
    """Settings of a task and a technique, and everything else that a cell says."""
    names = [*tasks()]
    task = tasks()[names[int(rng.integers(len(names)))]]
    techniques = technique_names()
    technique = techniques[int(rng.integers(len(techniques)))]
    owners = [task.settings, *setting_owners(technique)]
    known = [f.name for owner in owners for f in describe_settings(owner)]
    known += ["rows", "features", "records_max", "nonsense"]

    def one() -> Any:
        return VALUES[int(rng.integers(len(VALUES)))]

    chosen = {known[int(rng.integers(len(known)))]: one() for _ in range(int(rng.integers(1, 4)))}
    values: dict[str, Any] = {"task": task.name, "technique": technique, "settings": chosen}
    for name in ("seed", "parties", "partition", "program", "dataset", "release"):
        if rng.random() < 0.1:
            values[name] = one()
    cell = Cell.from_dict(values)
    prepare(cell)
    cheap = task.name == "chi2" and technique in ("cleartext", "dp", "fl", "he")
    if cheap and cell.program == "sums" and cell.dataset == "wdbc":
        result = evaluate(cell)
        assert result.status is not Status.FAILED, result.reason


@cache
def result_text() -> bytes:
    """A stored result."""
    return evaluate(Cell("chi2", "sums", "dp", "apoe")).to_json().encode()


def result(rng: np.random.Generator) -> None:
    """A stored result, which is shown if it is one."""
    with folder() as here:
        (here / "odd.json").write_bytes(mutated(result_text(), rng))
        results, odd = Store(here).readable()
        assert len(results) + len(odd) == 1
        try:
            read = Result.from_json((here / "odd.json").read_text("utf-8"))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise StoreError("not a result") from None
        assert summary_text(read) and summary_html(read)
        assert Result.from_json(read.to_json()) == read


def message(rng: np.random.Generator) -> None:
    """A message of arrays."""
    sent = wire.pack({"total": np.arange(7.0), "codes": np.arange(6).reshape(2, 3)})
    for array in wire.unpack(mutated(sent, rng)).values():
        assert array.nbytes <= len(sent) + 4096


@cache
def encrypted() -> tuple[Any, bytes, np.ndarray]:
    """What opens a sum, the sum, and what it is."""
    from petlab.techniques.he.keys import KeyPair
    from petlab.techniques.he.sums import SUMS, ReadableSums

    sums = ReadableSums(KeyPair(SUMS), terms=2)
    value = np.arange(5.0)
    blobs = [sums.protect(value, Bound(100.0))[0] for _ in range(2)]
    return sums, sums.add("server", blobs), 2 * value


def ciphertext(rng: np.random.Generator) -> None:
    """Ciphertexts of a sum."""
    sums, blob, value = encrypted()
    opened = sums.open([mutated(blob, rng)], Bound(100.0), owners=2)
    np.testing.assert_allclose(opened, value, atol=1e-6)


@cache
def counted() -> tuple[Any, Any, bytes, np.ndarray]:
    """What opens masked counts, how they are packed, the counts, and what they are."""
    from petlab.techniques.he import counts

    keys, how = counts.CountKeys(), counts.packing(50, 3)
    rng = np.random.default_rng(0)
    bits, matrix = rng.integers(0, 2, (1, 50)), rng.integers(0, 2, (50, 3))
    sent = counts.encrypt_rows(keys.public, bits, how)
    answer = counts.masked_products(keys.public, sent, matrix, 1, how)
    return keys, how, answer, (bits @ matrix).astype(float)


def counts_answer(rng: np.random.Generator) -> None:
    """Masked counts. Authentication is the link's: only what nobody could mistake is looked at."""
    from petlab.techniques.he import counts

    keys, how, answer, _ = counted()
    opened = counts.open_counts(keys, mutated(answer, rng), (1, 3), how)
    assert opened.shape == (1, 3)
    assert ((opened >= 0) & (opened <= 50)).all()


KINDS: dict[str, Callable[[np.random.Generator], None]] = {
    "card": card,
    "table": table,
    "sweep": sweep,
    "settings": settings,
    "result": result,
    "message": message,
    "ciphertext": ciphertext,
    "counts": counts_answer,
}


def attempt(kind: str, seed: int) -> str | None:
    """Try one mutated input; return what is wrong with how it ended, or None."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            KINDS[kind](np.random.default_rng([seed, len(kind)]))
    except PetlabError:
        return None
    except Exception:
        return traceback.format_exc(limit=-4)
    return None


def main() -> int:
    """Try them all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=KINDS, action="append")
    options = parser.parse_args()
    kinds = options.kind or [*KINDS]
    failed = 0
    for k in range(options.runs):
        kind, seed = kinds[k % len(kinds)], options.seed + k // len(kinds)
        if wrong := attempt(kind, seed):
            failed += 1
            print(f"{kind} {seed}\n{wrong}", flush=True)
    print(f"{options.runs} inputs of {len(kinds)} kinds, {failed} ended wrong")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
