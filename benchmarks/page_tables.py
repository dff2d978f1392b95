"""The tables that `benchmarks/pages.py` writes into the pages of techniques; each runs cells."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from petlab.core.party import AGGREGATOR, CURATOR, ENCLAVE, OWNERS
from petlab.core.plan import Plan, Public
from petlab.core.settings import Setting
from petlab.core.task import Records
from petlab.metering.accountant import noise_multiplier
from petlab.running.evaluator import evaluate
from petlab.running.prepared import dataset_of, load_records, plan_cell, prepare
from petlab.running.registry import find_technique, technique_names
from petlab.running.result import Cell, Result
from petlab.techniques.dp.calibration import Calibration, Settings
from petlab.techniques.he.sums import PER_CIPHERTEXT

NOISE = {"insecure_seed": 1}
"""Noise that two runs of the command draw alike."""


_found: dict[str, Result] = {}


def run(cell: Cell) -> Result:
    """Run a cell once, however many tables show it."""
    if cell.digest not in _found:
        result = evaluate(cell)
        if result.status != "ok":
            raise RuntimeError(f"{cell.name}: {result.reason}")
        _found[cell.digest] = result
    return _found[cell.digest]


def cell(task: str, technique: str, dataset: str, **settings: Setting) -> Cell:
    """Name a cell of three owners whose records are its `sums`."""
    return Cell(task, technique=technique, dataset=dataset, parties=3, settings=settings)


def markdown(header: str, rows: Sequence[Sequence[object]], *, left: int = 1) -> str:
    """Lay out a table: `left` columns of words, then numbers."""
    columns = header.count("|") + 1
    marks = ["---"] * left + ["---:"] * (columns - left)
    lines = [[header], marks, *rows]
    return "\n".join("| " + " | ".join(str(entry) for entry in line) + " |" for line in lines)


def size(count: float) -> str:
    """Bytes to three digits: ciphertexts are compressed and vary by some thousandths."""
    for unit, name in ((1e6, "MB"), (1e3, "kB")):
        if count >= unit:
            digits = max(0, 2 - int(math.log10(count / unit)))
            return f"{count / unit:.{digits}f} {name}"
    return f"{count:.0f} B"


def seen(result: Result) -> str:
    """Return what every party was sent; owners that were sent alike share a row."""
    sizes: dict[tuple[str, ...], list[float]] = {}
    for reader, messages in sorted(result.views.items()):
        for message in messages:
            ends = (
                "each owner" if end.startswith("owner-") else end
                for end in (reader, message["sender"])
            )
            count, total = message["messages"], message["bytes"]
            sizes.setdefault((*ends, message["what"], f"{count:,}"), []).append(total / count)
    rows = [(*key, spread(found)) for key, found in sizes.items()]
    return markdown("receiver | sender | what | messages | bytes each", rows, left=3)


def spread(sizes: list[float]) -> str:
    """Format one size, or the smallest and the largest of several."""
    low, high = size(min(sizes)), size(max(sizes))
    return low if low == high else f"{low} to {high}"


def sent(result: Result, sender: str, receiver: str) -> int:
    """Bytes that a party was sent by another, keys left out."""
    return sum(
        message["bytes"]
        for message in result.views[receiver]
        if message["sender"] == sender and "key" not in message["what"]
    )


def totals(result: Result) -> list[str]:
    """All bytes and rounds of a cell."""
    return [size(result.costs["bytes"].value or 0), f"{result.costs['rounds'].value:,}"]


def plan_of(asked: Cell) -> Plan:
    """What a cell will release."""
    prepared = prepare(asked)
    return plan_cell(prepared, dataset_of(prepared))


def tested(asked: Cell) -> Records:
    """Records that a cell scores, or whose counts it adds."""
    prepared = prepare(asked)
    return load_records(prepared, dataset_of(prepared))[1]


def he_sums() -> str:
    """Bytes of encrypted sums, by records, values and owners."""
    base = cell("elm", "he", "wdbc", hidden=50)
    cases = [
        ("426 training records, 3 owners", base),
        ("half of the records", cell("elm", "he", "wdbc", hidden=50, rows=285)),
        ("twice the hidden units", cell("elm", "he", "wdbc", hidden=100)),
        ("four times the hidden units", cell("elm", "he", "wdbc", hidden=200)),
        ("6 owners", replace(base, parties=6)),
        ("12 owners", replace(base, parties=12)),
    ]
    rows = []
    for name, asked in cases:
        result, (values,) = run(asked), plan_of(asked).shapes["statistics"]
        ciphertexts = -(-values // PER_CIPHERTEXT)
        upload = sent(result, "owner-1", "server")
        rows.append([name, f"{values:,}", ciphertexts, size(upload), *totals(result)])
    header = "`elm` sums on `wdbc` | values | ciphertexts | one owner sends | all bytes | rounds"
    return markdown(header, rows)


def he_scores() -> str:
    """Bytes of encrypted scoring, by records and features."""
    asked = [
        *(Cell("logreg", "score", "he", "wdbc", settings={"features": f}) for f in (10, 20, 30)),
        *(
            Cell("logreg", "score", "he", "taiwan_default", settings={"rows": r})
            for r in (2_000, 30_000)
        ),
    ]
    rows = []
    for one in asked:
        result = run(one)
        records = tested(one)
        up, down = sent(result, "owner-1", "server"), sent(result, "server", "analyst")
        numbers = [f"{len(records.labels):,}", len(records.public.features), size(up), size(down)]
        rows.append([f"`{one.dataset}`", *numbers, *totals(result)])
    return markdown(
        "`logreg` score | records | numbers each | up | down | all bytes | rounds", rows
    )


def he_linked() -> str:
    """Bytes of linked counts, by people and levels."""
    rows = []
    for dataset in ("apoe", "german_credit", "taiwan_default"):
        asked = Cell("chi2", "linked", "he", dataset)
        result = run(asked)
        disease, levels = plan_of(asked).shapes["table"]
        up, back = sent(result, "owner-1", "owner-2"), sent(result, "owner-2", "analyst")
        numbers = [f"{len(tested(asked).labels):,}", f"{disease} x {levels}", size(up), size(back)]
        rows.append([f"`{dataset}`", *numbers, *totals(result)])
    return markdown("`chi2` linked | people | table | up | back | all bytes | rounds", rows)


def deep(technique: str = "fl", **settings: Setting) -> Cell:
    """Two passes over the digits: 8 steps of a perceptron."""
    return cell("deep", technique, "digits", **{"epochs": 2, **settings})


def fl_cost() -> str:
    """Bytes of a federation, by records, parameters, owners and local work."""
    base = deep()
    cases = [
        ("a sum of gradients a step, 3 owners", base),
        ("half of the records", deep(rows=898)),
        ("twice the hidden units", deep(hidden=128)),
        ("6 owners", replace(base, parties=6)),
        ("`method=fedavg`: a round an epoch", deep(method="fedavg")),
    ]
    rows = []
    for name, asked in cases:
        result = run(asked)
        (parameters,) = plan_of(asked).shapes["gradient"]
        down, up = (
            size(message["bytes"] / message["messages"])
            for view, who in (("owner-1", AGGREGATOR), (AGGREGATOR, "owner-1"))
            for message in result.views[view]
            if message["sender"] == who
        )
        rows.append([name, f"{parameters:,}", down, up, *totals(result)])
    header = "`deep` sums on `digits` | parameters | model down | update up | all bytes | rounds"
    return markdown(header, rows)


def fl_uneven() -> str:
    """Accuracy of local epochs and of summed gradients, on even and uneven shares."""
    rows = []
    for partition in ("iid", "dirichlet:0.1"):
        figures = []
        for method in ("gradient", "fedavg"):
            asked = replace(deep(method=method, epochs=20), partition=partition)
            figures.append(f"{mean(asked, 'accuracy', seeds=3):.3f}")
        rows.append([f"`partition={partition}`", *figures])
    header = "accuracy after 20 epochs | `method=gradient` | `method=fedavg`"
    return markdown(header, rows)


def fl_composed() -> str:
    """The same federation under what it can borrow."""
    rows = []
    for technique in ("fl", "fl+dp", "fl+he", "fl+mpc", "fl+tee"):
        fixed = NOISE if "dp" in technique else {}
        result = run(deep(technique, **fixed))
        assert result.guarantee
        trusted = ", ".join(result.guarantee.trusted) or "nobody"
        ratio = (result.costs["bytes"].value or 0) / (run(deep()).costs["bytes"].value or 1)
        rows.append([f"`{technique}`", trusted, *totals(result), f"{ratio:.1f}"])
    header = "the first row under | must be trusted | all bytes | rounds | bytes, times `fl`"
    return markdown(header, rows, left=2)


KNOWN = {
    CURATOR: "the curator, all of it",
    ENCLAVE: "the enclave, all of it",
    AGGREGATOR: "the aggregator, all of it",
    OWNERS: "each owner, what it added",
}


def dp_places() -> str:
    """How much noise a sum carries, by who adds it."""
    plan = Plan(None, Public(), releases=1)
    specs: dict[tuple[str, ...], list[str]] = {}
    for spec in (name for name in technique_names() if name.split("+")[-1] == "dp"):
        exposure = find_technique(spec)._exposure
        for place in exposure.places:
            calibration = Calibration(Settings(noise=place), plan, exposure)
            noise = []
            for owners in (3, 10, 30):
                terms = owners if place == OWNERS else 1
                noise.append(f"{calibration.sufficient(owners) ** -0.5 * math.sqrt(terms):.2f}")
            specs.setdefault((place, *noise), []).append(f"`{spec}`")
    rows = [
        [f"`{place}`", ", ".join(names), KNOWN[place], *noise]
        for (place, *noise), names in specs.items()
    ]
    header = "`noise` | specs | who knows the noise | 3 owners | 10 owners | 30 owners"
    return markdown(header, rows, left=3)


def dp_noise() -> str:
    """Noise multipliers, by epsilon and releases."""
    epsilons = (0.3, 1.0, 3.0, 10.0)
    cases = [
        ("1 release", 1, 1.0),
        ("8 releases (`logreg`)", 8, 1.0),
        ("320 releases", 320, 1.0),
        ("320 of batches of 30 % (`deep`)", 320, 0.3),
    ]
    rows = []
    for name, releases, rate in cases:
        found = (
            noise_multiplier(e, 1e-5, sample_rate=rate, releases=releases, accountant="prv")
            for e in epsilons
        )
        rows.append([name, *(f"{z:.2f}" for z in found)])
    heads = " | ".join(f"epsilon {e:g}" for e in epsilons)
    return markdown(f"Gaussian noise over sensitivity | {heads}", rows)


def mean(asked: Cell, metric: str, *, seeds: int = 5) -> float:
    """Mean of a metric over seeds."""
    found = [run(replace(asked, seed=seed)).quality[metric].value for seed in range(seeds)]
    return sum(value for value in found if value is not None) / len(found)


def dp_records() -> str:
    """Quality under noise, by records and epsilon, beside clipping alone."""
    rows = []
    for count in (500, 2_000, 8_000):
        one = cell("logreg", "dp", "taiwan_default", rows=count)
        exact = replace(one, technique="cleartext")
        clipped = replace(one, settings={**one.settings, **NOISE, "twin": "clip-only"})
        noisy = [
            replace(one, settings={**one.settings, **NOISE, "epsilon": e}) for e in (0.3, 1, 3)
        ]
        figures = [f"{mean(asked, 'auc'):.3f}" for asked in (exact, clipped, *noisy)]
        rows.append([f"{count:,}", *figures])
    header = "records | no privacy | clipping alone | epsilon 0.3 | epsilon 1 | epsilon 3"
    return markdown(header, rows)


TABLES: dict[str, Callable[[], str]] = {
    "he seen": lambda: seen(run(cell("logreg", "he", "heart"))),
    "he sums": he_sums,
    "he scores": he_scores,
    "he linked": he_linked,
    "fl seen": lambda: seen(run(cell("logreg", "fl", "heart"))),
    "fl blind": lambda: seen(run(cell("logreg", "fl+he", "heart"))),
    "fl cost": fl_cost,
    "fl uneven": fl_uneven,
    "fl composed": fl_composed,
    "dp seen": lambda: seen(run(cell("logreg", "dp", "heart", **NOISE))),
    "dp places": dp_places,
    "dp noise": dp_noise,
    "dp records": dp_records,
}
"""By the page, and the table on it."""
