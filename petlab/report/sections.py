"""The sections behind page one, under the headings that decision makers use."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from petlab.deciding import Decision, Prices
from petlab.report import provenance
from petlab.report.accuracy import accuracy_grids
from petlab.report.brief import brief
from petlab.report.choice import choice
from petlab.report.costs import computation_grids, traffic_grids
from petlab.report.coverage import support_grid, trouble_grid
from petlab.report.document import (
    Bullets,
    Code,
    Counts,
    Document,
    Figure,
    Heading,
    Part,
    Section,
    Terms,
    Text,
)
from petlab.report.exposure import exposure_grid
from petlab.report.grid import Grid
from petlab.report.guarantees import guarantee_grid, view_grids
from petlab.report.summary import asked, cautions, glance_grids, lessons, outcome_counts
from petlab.report.upkeep import skills_grid, upkeep_grids
from petlab.study import words
from petlab.study.blocks import Study
from petlab.study.epsilon import Curve, curves
from petlab.study.language import listed, paragraph, say, spoken
from petlab.study.plot import accuracy_against_cost, accuracy_against_epsilon


def assemble(study: Study, decision: Decision, *, prices: Prices | None, command: str) -> Document:
    """Gather everything that the report says, in the language that is spoken."""
    found = [
        choice(decision),
        _summary(study),
        _computation(study),
        _traffic(study),
        _utility(study),
        _trust(study),
        _testing(study, command),
        _upkeep(study, prices),
        _terms(study),
    ]
    return Document(
        spoken(),
        say("Privacy-enhancing techniques, compared by measurement"),
        provenance.date(study),
        brief(study, decision),
        [section for section in found if section],
    )


def _summary(study: Study) -> Section:
    parts: list[Part] = [*map(Text, asked(study))]
    cells = say("a cell is one task under one technique on one data set with one seed")
    total = (say("cells in all"), len(study.results), cells)
    parts.append(Counts([*outcome_counts(study), total]))
    if not study.ok:
        reasons = say("No cell gave numbers. The reasons stand under “Testing”.")
        return Section("summary", say("Summary"), [*parts, Text(reasons, strong=True)])
    parts += glance_grids(study)
    parts.append(Text(say(READING)))
    parts.append(Heading(say("Technique by technique")))
    kept, cost, exposed = (
        say("Accuracy."),
        say("Cost against cleartext."),
        say("Still exposed."),
    )
    parts.append(
        Terms(
            [
                (
                    say("{name}: {title}", name=x.label, title=x.title),
                    [
                        paragraph(said)
                        for said in ((kept, x.kept), (cost, x.cost), (exposed, x.exposed))
                    ],
                )
                for x in lessons(study)
            ]
        )
    )
    parts += [Heading(say("Read with care")), Bullets(cautions(study))]
    return Section("summary", say("Summary"), parts)


def _computation(study: Study) -> Section:
    text = say(
        "Means over seeds. A small “2.4 ×” is the multiple of cleartext’s on the same data and "
        "seeds. Measured: {measured}. Modelled: {modelled}.",
        measured=say(words.SOURCES["measured"]),
        modelled=say(words.SOURCES["modelled"]),
    )
    beside = [Text(say(BESIDE))] if any(r.exposure for r in study.ok) else []
    return _tables("computation", "Computation", [text], [*beside, *computation_grids(study)])


def _traffic(study: Study) -> Section:
    text = say(
        "What travels between parties. Expansion says how much larger protected values are than "
        "the same values in the clear: stored as they travel, they take that much more room. "
        "Storage on disk was not measured."
    )
    texts = [text, network_note()]
    return _tables("traffic", "Storage and traffic", texts, traffic_grids(study))


def network_note() -> str:
    """How far modelled network times were off, as `benchmarks/network.py` left it."""
    found = json.loads((Path(__file__).parent / "network_error.json").read_text("utf-8"))
    return say(
        "Modelled times were off by at most {worst} % in {cells} runs of more than {seconds} s "
        "over real links, shaped to several rates and delays (docs/network.md).",
        worst=str(found["worst_percent"]),
        cells=str(found["cells"]),
        seconds=f"{found['over_s']:g}",
    )


def _utility(study: Study) -> Section:
    grids: list[Part] = [*accuracy_grids(study)]
    notes = provenance.remarks(study)
    if notes:
        grids += [Heading(say("Remarks that the programs left")), Bullets(notes)]
    drawing = accuracy_against_cost(study)
    if drawing:
        title = Heading(say("Accuracy against cost"))
        grids += [title, Figure(drawing, say(PANELS))]
    found = curves(study.results)
    private = accuracy_against_epsilon(found)
    if private:
        title = Heading(say("Accuracy against epsilon"))
        grids += [title, Text(say(EPSILON)), Figure(private, say("Bars are 95 % intervals."))]
        grids.append(Bullets([_curve(curve) for curve in found]))
    return _tables("utility", "Utility", [say(UTILITY)], grids)


def _curve(curve: Curve) -> str:
    name = f"{curve.task}, {curve.data}, {curve.technique}"
    return say("{name}: {title}", name=name, title=curve.sentence)


def _trust(study: Study) -> Section:
    exposed = exposure_grid(study)
    parts: list[Part] = [Text(say(TRUST)), guarantee_grid(study), skills_grid(study)]
    if exposed:
        parts += [Heading(say("What the other side could rebuild")), Text(say(MEMBERS)), exposed]
    parts += [Heading(say("What each party saw")), Text(say(VIEWS)), *view_grids(study)]
    return _tables("trust", "Trust and skills", [], parts if study.ok else [])


def _testing(study: Study, command: str) -> Section:
    trouble = trouble_grid(study)
    seeds = sorted({result.cell.seed for result in study.results})
    machines = say(", ").join(provenance.recorded(study, "machine")) or say("not recorded")
    versions = say(", ").join(provenance.versions(study)) or say("not recorded")
    parts: list[Part] = [
        Text(say(TESTING)),
        Heading(say("What can run")),
        Text(say(SUPPORT)),
        support_grid(study),
        Heading(say("What did not run")),
        trouble or Text(say("Every cell gave numbers.")),
        Heading(say("How to reproduce")),
        Code(command),
        Text(say(SEEDS, seeds=listed(map(str, seeds)), machines=machines)),
        Text(say("Versions: {versions}.", versions=versions)),
        provenance.data_grid(study),
        Heading(say("Programs and settings")),
        Terms(provenance.programs(study)),
    ]
    return Section("testing", say("Testing"), parts)


def _upkeep(study: Study, prices: Prices | None) -> Section:
    text = say(UPKEEP)
    if prices:
        paid = say(
            "Prices as given: {cpu} for an hour of one processor core, {gb} for 10⁹ bytes.",
            cpu=f"{prices.cpu_h:g}",
            gb=f"{prices.gb:g}",
        )
    else:
        paid = say("No prices were given: --price cpu_h=… gb=… adds money.")
    return _tables("longterm", "Long-term cost", [text, paid], upkeep_grids(study, prices))


def _terms(study: Study) -> Section:
    metrics = [words.metric(name) for name in provenance.metric_names(study)]
    costs = [term.spoken for term in words.COSTS.values()]
    sources = [(say(name), [say(meaning)]) for name, meaning in words.SOURCES.items()]
    parts: list[Part] = [
        Heading(say("Metrics")),
        Terms([(term.title, [term.meaning]) for term in metrics]),
        Heading(say("Costs")),
        Terms([(term.title, [term.meaning]) for term in costs]),
        Heading(say("Where numbers come from")),
        Terms(sources),
    ]
    return Section("terms", say("Terms"), parts)


def _tables(key: str, title: str, texts: Sequence[str], parts: Iterable[Part | Grid]) -> Section:
    there = list(parts) or [Text(say("No cell gave numbers."))]
    return Section(key, say(title), [*map(Text, texts), *there])


READING = (
    "A range spans the data sets. “Same”: differs by less than one millionth. “Inconclusive”: "
    "the 95 % interval over seeds includes no difference, so it may be chance. “Worse” or "
    "“better”: on at least one data set it does not. Traffic (measured) and WAN time between "
    "organisations (modelled) are multiples of cleartext’s."
)
BESIDE = (
    "The membership column stands beside the cost, so that no technique looks free: it says how "
    "well an attack on the released model tells training records from others (AUC, with its 95 % "
    "interval over records; 0.5 is guessing)."
)
UTILITY = (
    "The independent reference is another library’s answer on the pooled records. “Against "
    "cleartext” is the difference to the same program without protection, on the same data set "
    "and seed. With several seeds, values are means, and ± is half of the 95 % t-interval. All "
    "metrics are in the data files; here are the most telling."
)
PANELS = (
    "One panel per program. Left is cheaper; the grey line is the independent reference. Shape "
    "and colour name the technique, the filling names the data set, bars are 95 % intervals over "
    "seeds."
)
EPSILON = (
    "Epsilon bounds how much a result can tell about any one unit of the data; smaller is more "
    "private. It is accounted, not measured: an upper bound that holds for every attacker."
)
TRUST = (
    "Built from what really ran. An adversary is semi-honest when it follows the protocol but "
    "studies all it receives. ε (epsilon) bounds how much one person’s presence can change the "
    "odds of any result: smaller is more private; δ (delta) is the chance that the bound fails. "
    "Both are derived by a mathematical proof from the noise that was really added. 128-bit "
    "security means about 2¹²⁸ steps to break the encryption."
)
MEMBERS = (
    "The attack holds a record against the released model: a small loss speaks for a training "
    "record. It is a floor: attacks that train models of their own find more. “Members found” is "
    "the share at the lowest rate of false alarms that can be told; “advantage” is true minus "
    "false alarms at a threshold chosen on other records."
)
VIEWS = (
    "All that a party received, besides its own records: with them, all it can know. One run for "
    "each technique (first data set and seed); messages and bytes are measured."
)
TESTING = (
    "How the numbers were checked: every answer is scored against an independent reference and "
    "paired with the same program in the clear. Cells that gave no numbers are listed with their "
    "reasons."
)
SUPPORT = (
    "“Never”: the mathematics or the idea of the technique forbids it. “Not yet”: nobody has "
    "built it here. This table is derived from what each technique declares, not from the runs "
    "of this report."
)
SEEDS = (
    "Seeds: {seeds}. A seed fixes the split, the batches and the initial model; never keys nor "
    "privacy noise, so differentially private numbers differ from run to run. Times depend on "
    "the machine: {machines}."
)
UPKEEP = (
    "One measured run, multiplied by the number of runs: set-up that is needed only once is "
    "counted every time. Epsilon of repeated releases about the same people adds up (basic "
    "composition, an upper bound). The libraries to keep current stand under “Trust and skills”."
)
