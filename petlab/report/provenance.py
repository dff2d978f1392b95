"""Where the numbers come from: settings, data, versions, machines, remarks."""

from __future__ import annotations

from datetime import UTC, datetime

from petlab.report.grid import Column, Entry, Grid, Group, head
from petlab.study import words
from petlab.study.blocks import Study
from petlab.study.language import say, sentences, spoken
from petlab.study.titles import data_name, data_title, program_title, task_title


def date(study: Study) -> str:
    """Day of the last run, in UTC; today when no result says."""
    times = [r.provenance.get("finished") or r.provenance.get("started") for r in study.results]
    known = [float(time) for time in times if time]
    moment = datetime.fromtimestamp(max(known), UTC) if known else datetime.now(UTC)
    if spoken() == "ja":
        return f"{moment.year}年{moment.month}月{moment.day}日"
    return f"{moment.day} {moment:%B %Y}"


def programs(study: Study) -> list[tuple[str, list[str]]]:
    """Say of each program what it does and with which settings it ran."""
    return [(f"{task} / {name}", [_program(study, task, name)]) for task, name in study.programs]


def _program(study: Study, task: str, program: str) -> str:
    settings: dict[str, list[str]] = {}
    for result in study.results:
        cell = result.cell
        if (cell.task, cell.program) == (task, program):
            text = say(", ").join(f"{name} = {value}" for name, value in cell.settings.items())
            owners = settings.setdefault(text or say("defaults"), [])
            owners += [cell.technique] if cell.technique not in owners else []
    shown = say("; ").join(f"{text} ({say(', ').join(who)})" for text, who in settings.items())
    return say(
        "{task}. {what} Settings: {settings}.",
        task=task_title(task),
        what=sentences(program_title(task, program)),
        settings=shown,
    )


def data_grid(study: Study) -> Grid:
    """List the data sets with the checksums of their files."""
    columns = [
        Column(say("Data set"), style="text", width="16%"),
        Column(say("Title"), style="text", width="34%"),
        Column(say("SHA-256 of the file"), style="text", width="50%"),
    ]
    grid = Grid(say("Data behind the numbers"), columns, style="prose")
    seen: dict[tuple[str, str], list[Entry]] = {}
    for result in study.results:
        checksum = str(result.provenance.get("dataset_sha256") or say("not recorded"))
        name = data_name(result.cell)
        row = [head(name), Entry(data_title(result.cell)), Entry(checksum, style="text code")]
        seen.setdefault((name, checksum), row)
    grid.groups.append(Group("", list(seen.values())))
    return grid


def versions(study: Study) -> list[str]:
    """List the packages that the results were made with."""
    found: dict[str, set[str]] = {}
    for result in study.results:
        provenance = result.provenance
        named = {"petlab": provenance.get("petlab"), "Python": provenance.get("python")}
        named |= {k.partition("==")[0]: v for k, v in provenance.get("packages", {}).items()}
        for name, version in named.items():
            if version:
                found.setdefault(name, set()).add(str(version))
    return [f"{name} {say(', ').join(sorted(versions))}" for name, versions in found.items()]


def recorded(study: Study, name: str) -> list[str]:
    """List what the results recorded under a name, such as "machine"."""
    return sorted({str(r.provenance[name]) for r in study.results if r.provenance.get(name)})


def metric_names(study: Study) -> list[str]:
    """Every metric that a result has, most telling first."""
    present = {name for result in study.ok for name in result.quality}
    return [*(n for n in words.METRICS if n in present), *sorted(present - set(words.METRICS))]


def remarks(study: Study) -> list[str]:
    """Remarks that programs left about their answers, and where."""
    found: dict[str, dict[str, None]] = {}
    for result in study.ok:
        where = f"{result.cell.task} / {result.cell.program} [{study.label(result)}]"
        for note in result.notes:
            found.setdefault(note, {})[where] = None
    return [
        say("{name}: {title}", name=say(", ").join(where), title=sentences(note))
        for note, where in found.items()
    ]
