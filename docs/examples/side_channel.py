"""A side channel: which memory an enclave touches tells its host people's genotypes."""

from __future__ import annotations

from typing import Any

import numpy as np
from page import Page, percent, table

from petlab.attacks.enclave.controlled_channel import Recovered, attack, steps, watch
from petlab.attacks.enclave.oblivious import VERSIONS, cost_of_obliviousness, naive_table
from petlab.attacks.enclave.side_channel import AB42, AB42_BINS, GENOTYPE, TAU_BINS, people
from petlab.attacks.enclave.trace import LINE, PAGE
from petlab.data.dataset import find_dataset
from petlab.data.table import Table

SHOWN = 24
"""People in the figure."""
BLUE, ORANGE = "#0072B2", "#E69F00"
"""Of the palette of Okabe and Ito, which most colour-blind people tell apart."""


def shown(found: Recovered) -> str:
    """Accuracy with its interval."""
    low, high = found.interval
    return f"{percent(found.accuracy)} ({100 * low:.0f}-{percent(high)})"


def more_than(ratio: float) -> str:
    """A measured ratio as a bound that holds on any machine; the ratio itself differs."""
    return f"over {max(bound for bound in (1, 10, 100) if ratio > bound)}"


def rows(records: np.ndarray, levels: tuple[int, ...]) -> list[list[str]]:
    """Each version under each observer."""
    found = []
    for name, count in VERSIONS.items():
        for unit, units in ((PAGE, "pages"), (LINE, "cache lines")):
            trace, known = watch(count, records, levels, unit)
            seen = np.mean([len(step) for step in steps(trace, known)])
            attacks = [
                attack(count, records, levels, attribute=k, unit=unit) for k in (GENOTYPE, AB42)
            ]
            found.append([name, units, f"{seen:,.0f}", *map(shown, attacks)])
    return found


def small_rows(records: np.ndarray, levels: tuple[int, ...]) -> list[list[str]]:
    """The chi-squared table alone, naive and oblivious."""
    return [
        [
            name,
            *(
                shown(attack(VERSIONS[name], records, levels, attribute=0, unit=unit))
                for unit in (PAGE, LINE)
            ),
        ]
        for name in ("naive", "oblivious")
    ]


def page() -> Page:
    """Compute the numbers of the page."""
    data = find_dataset("apoe").load()
    records, levels = people(data)
    chance = [np.bincount(records[:, k]).max() / len(records) for k in (GENOTYPE, AB42)]
    pairs, pair_levels = records[:, :2], levels[:2]
    touches, wall = cost_of_obliviousness(records, levels)
    few_touches, few_wall = cost_of_obliviousness(pairs, pair_levels)
    counters = int(np.prod(levels))
    header = ["version", "the host sees", "units touched per person", "genotype", "ab42 (16 steps)"]
    costs = [
        [f"the histograms, {counters:,} counters", f"{touches:,.0f}", more_than(wall)],
        [
            f"chi-squared alone, {np.prod(pair_levels)} counters",
            f"{few_touches:g}",
            more_than(few_wall),
        ],
    ]
    body = f"""
## The program

An enclave counts the {len(records)} people of `apoe`: a histogram of two proteins, amyloid beta \
({AB42_BINS} steps) by tau ({TAU_BINS} steps), for each of the {levels[0]} genotypes with and \
without impairment. It finds a person's counter and adds one. A histogram has \
{AB42_BINS * TAU_BINS} counters of 8 bytes, which is {PAGE:,} bytes: one page of memory.

The memory is encrypted. But the host maps the enclave's pages, and can take them away and see \
which one is asked for next (Xu, Cui, Peinado, *Controlled-Channel Attacks*, IEEE S&P 2015); who \
shares its caches sees lines of {LINE} bytes (Brasser et al., *Software Grand Exposure: SGX Cache \
Attacks Are Practical*, WOOT 2017, who so detected genome sequences). The program reads a record, \
touches a counter, reads the next: every return to the records is the next person, and **the page \
in between is that person's genotype and diagnosis**.

## The attack

The host knows the program, where its arrays lie, the number of records, and the published table. \
It guesses for each person the likeliest value among the counters that were touched. From the \
published table alone it would be right for {percent(chance[0])} of the genotypes and \
{percent(chance[1])} of the amyloid steps, by always naming the commonest. Three versions of the \
program, which return the same table:

- *naive* touches the person's counter;
- *page-oblivious* touches one counter of every page, at the same place of each;
- *oblivious* touches every counter, and adds a one to the right one and a zero to all others.

Share of people whose value the host found (95 % interval):

{table(header, rows(records, levels))}

Naive: **everybody's genotype, without one error**. (Pages then tell something of amyloid too, as \
the two go together.) Page-oblivious stops who sees pages, and hands the place within the page, \
that is the amyloid step, to who sees lines; with the published table that says something of the \
genotype. Oblivious leaves both observers at {percent(chance[0])} and {percent(chance[1])}: the \
sequence of memory accesses is *the same for any {len(records)} people*, which is what the word \
means, and what a test checks.

## A small table is not safe by being small

The chi-squared test needs a table of {np.prod(pair_levels)} counters of 8 bytes: one page, \
two lines. Share of genotypes found:

{table(["version", "host sees pages", "host sees cache lines"], small_rows(pairs, pair_levels))}

Pages say nothing. The border between the two lines happens to lie between E3E3 and E3E4: it tells \
carriers of the risk allele E4 from nearly all others.

## What it costs

Oblivious over naive, for each person:

{table(["table", "counters touched, times", "measured time, times"], costs)}

Times are of numpy's compiled loops and depend on the machine, so that the page gives only what \
they exceeded; `cost_of_obliviousness` returns the figure. A scan is the simplest oblivious way, \
and the dearest for a large table; sorting networks and oblivious RAM grow more slowly with it.

## What this does not show

Here is no real enclave: the trace is recorded by the arrays themselves, without error. For pages \
that is what the attack gets; a cache attack has noise, which repeated runs can average out. Only \
accesses to data are recorded, not those to code: a branch on a secret would be a channel of its \
own, as would the time of an instruction. The number of records is public.
"""
    return Page(
        name="side_channel",
        title="What an enclave's memory accesses give away",
        question="An enclave's memory is encrypted. Can its host still learn what is in it?",
        sentence="An enclave hides what is in memory, not which part of it is used when; if that "
        "depends on a person's data, who owns the machine can read the data off, which is why "
        "enclaves count as weak against side channels unless their programs touch the same memory "
        "for everybody.",
        body=body,
        draw=lambda axes: _draw(axes, data),
        footnote="It uses no random numbers.",
    )


def _draw(axes: Any, data: Table) -> None:
    records, levels = people(data)
    names = [f"{g}, {c}" for g in data.card.columns["genotype"].levels for c in data.card.classes]
    for version, style in (
        ("oblivious", {"marker": ".", "color": ORANGE, "s": 10}),
        ("naive", {"marker": "s", "color": BLUE, "s": 16}),
    ):
        trace, known = watch(VERSIONS[version], records, levels, PAGE)
        turns = steps(trace, known)[:SHOWN]
        x = np.concatenate([np.full(len(step), k + 1) for k, step in enumerate(turns)])
        axes.scatter(x, np.concatenate(turns), label=version, **style)
    pages = np.unique(watch(naive_table, records, levels, PAGE)[1].counter_units)
    labels = [f"{name}: {page}" for name, page in zip(names, pages, strict=True)]
    axes.set_yticks(pages, labels, fontsize=6.5)
    axes.set(xlabel="time: person whose record was read before", ylabel="page touched")
    axes.legend(frameon=False, ncols=2, loc="lower right", bbox_to_anchor=(1, 1))
