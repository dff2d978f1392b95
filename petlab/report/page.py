"""The HTML page: gathers the parts and fills the template."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from petlab.report import words
from petlab.report.accuracy import accuracy_grids
from petlab.report.costs import cost_grids
from petlab.report.coverage import support_grid, trouble_grid
from petlab.report.epsilon import curves
from petlab.report.grid import Column, Entry, Grid, Group, head
from petlab.report.guarantees import guarantee_grid, view_grids
from petlab.report.plot import accuracy_against_cost, accuracy_against_epsilon
from petlab.report.study import Study, data_name, data_title, program_title, task_title
from petlab.report.summary import asked, cautions, glance_grids, lessons, outcome_counts

FOLDER = Path(__file__).parent


def render(study: Study, *, command: str) -> str:
    """Return the page as HTML."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    plot, found = accuracy_against_cost(study), curves(study.results)
    return environment.get_template("page.html.j2").render(
        style=Markup((FOLDER / "style.css").read_text(encoding="utf-8")),
        date=_date(study),
        asked=asked(study),
        counts=outcome_counts(study),
        total=len(study.results),
        glance=glance_grids(study),
        lessons=lessons(study),
        cautions=cautions(study),
        programs={key: _program(study, *key) for key in study.programs},
        support=support_grid(study),
        accuracy=accuracy_grids(study),
        costs=cost_grids(study),
        guarantees=guarantee_grid(study),
        views=view_grids(study),
        plot=Markup(plot) if plot else None,
        epsilon=Markup(drawn) if (drawn := accuracy_against_epsilon(found)) else None,
        epsilon_sentences=[(f"{c.task}, {c.data}, {c.technique}", c.sentence) for c in found],
        trouble=trouble_grid(study),
        data=_data_grid(study),
        versions=_versions(study),
        machines=_provenance(study, "machine"),
        seeds=sorted({result.cell.seed for result in study.results}),
        command=command,
        metrics=[words.metric(name) for name in _metric_names(study)],
        cost_terms=list(words.COSTS.values()),
        sources=words.SOURCES,
        source={name: study.source(name) for name in ("bytes", "wan_s")},
        notes=_remarks(study),
    )


def _date(study: Study) -> str:
    """Day of the last run, in UTC; today when no result says."""
    times = [r.provenance.get("finished") or r.provenance.get("started") for r in study.results]
    known = [float(time) for time in times if time]
    moment = datetime.fromtimestamp(max(known), UTC) if known else datetime.now(UTC)
    return f"{moment.day} {moment:%B %Y}"


def _program(study: Study, task: str, program: str) -> dict[str, Any]:
    settings: dict[str, list[str]] = {}
    for result in study.results:
        cell = result.cell
        if (cell.task, cell.program) == (task, program):
            text = ", ".join(f"{name} = {value}" for name, value in cell.settings.items())
            owners = settings.setdefault(text or "defaults", [])
            owners += [cell.technique] if cell.technique not in owners else []
    return {
        "task": task_title(task),
        "what": program_title(task, program),
        "settings": "; ".join(f"{text} ({', '.join(who)})" for text, who in settings.items()),
    }


def _data_grid(study: Study) -> Grid:
    columns = [
        Column("Data set", style="text", width="16%"),
        Column("Title", style="text", width="34%"),
        Column("SHA-256 of the file", style="text", width="50%"),
    ]
    grid = Grid("Data behind the numbers", columns, style="prose")
    seen: dict[tuple[str, str], list[Entry]] = {}
    for result in study.results:
        checksum = str(result.provenance.get("dataset_sha256") or "not recorded")
        name = data_name(result.cell)
        row = [head(name), Entry(data_title(result.cell)), Entry(checksum, style="text code")]
        seen.setdefault((name, checksum), row)
    grid.groups.append(Group("", list(seen.values())))
    return grid


def _versions(study: Study) -> list[str]:
    found: dict[str, set[str]] = {}
    for result in study.results:
        provenance = result.provenance
        named = {"petlab": provenance.get("petlab"), "Python": provenance.get("python")}
        named |= {k.partition("==")[0]: v for k, v in provenance.get("packages", {}).items()}
        for name, version in named.items():
            if version:
                found.setdefault(name, set()).add(str(version))
    return [f"{name} {' and '.join(sorted(versions))}" for name, versions in found.items()]


def _provenance(study: Study, name: str) -> list[str]:
    return sorted({str(r.provenance[name]) for r in study.results if r.provenance.get(name)})


def _metric_names(study: Study) -> list[str]:
    present = {name for result in study.ok for name in result.quality}
    return [*(n for n in words.METRICS if n in present), *sorted(present - set(words.METRICS))]


def _remarks(study: Study) -> list[str]:
    """Remarks that programs left about their answers, and where."""
    found: dict[str, dict[str, None]] = {}
    for result in study.ok:
        where = f"{result.cell.task}/{result.cell.program} under {study.label(result)}"
        for note in result.notes:
            found.setdefault(note, {})[where] = None
    return [f"{', '.join(where)}: {note}" for note, where in found.items()]
