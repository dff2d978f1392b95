"""What can run at all, and what did not run here and why."""

from __future__ import annotations

from petlab.core.ops import Kind
from petlab.errors import PetlabError
from petlab.report.grid import Column, Entry, Grid, Group, head
from petlab.running.registry import support, tasks, technique_names
from petlab.running.result import Result, Status
from petlab.study import words
from petlab.study.blocks import Study
from petlab.study.language import say, sentences
from petlab.study.titles import data_name

GAPS = {"never": "never", "not_yet": "not yet", "": ""}


def support_grid(study: Study) -> Grid:
    """Make the matrix of programs and techniques, from what each technique declares."""
    seen = dict.fromkeys(r.cell.technique for r in study.results)
    specs = list(dict.fromkeys([*technique_names(), *(s for s in seen if _known(s))]))
    columns = [
        Column(say("Task and program"), style="text"),
        Column(say("What happens"), style="text"),
    ]
    columns += [Column(spec, style="mark") for spec in specs]
    grid = Grid(say("Which technique can run which program"), columns, style="support")
    ran = {(r.cell.task, r.cell.program, r.cell.technique) for r in study.results}
    rows = []
    for task in tasks().values():
        for name, program in task.programs.items():
            row = [head(f"{task.name} / {name}"), Entry(sentences(program.summary))]
            for spec in specs:
                gap = support(task, program, spec)
                if gap is None:
                    here = (task.name, name, spec) in ran
                    row.append(
                        Entry(say("yes"), "" if here else say("not run here"), style="mark yes")
                    )
                else:
                    never = gap.kind is Kind.NEVER
                    row.append(
                        Entry(
                            say("never") if never else say("not yet"),
                            style="mark never" if never else "mark later",
                            note=grid.note(sentences(gap.reason)),
                        )
                    )
            rows.append(row)
    grid.groups.append(Group("", rows))
    return grid


def trouble_grid(study: Study) -> Grid | None:
    """List every cell without numbers; equal reasons share a row. None when all ran."""
    groups: dict[tuple[str, ...], list[Result]] = {}
    for result in study.results:
        if result.status is not Status.OK:
            cell = result.cell
            what = f"{cell.task} / {cell.program}"
            key = (what, study.label(result), result.status, result.gap or "", _reason(result))
            groups.setdefault(key, []).append(result)
    if not groups:
        return None
    columns = [
        Column(say("Task and program"), style="text", width="14%"),
        Column(say("Technique"), style="text", width="14%"),
        Column(say("Outcome"), style="text", width="13%"),
        Column(say("Reason"), style="text", width="37%"),
        Column(say("Data sets and seeds"), style="text", width="22%"),
    ]
    grid = Grid(say("Cells that gave no numbers"), columns, style="prose")
    ordered = sorted(groups.items(), key=lambda item: item[0][2] == Status.UNSUPPORTED)
    rows = [
        [
            head(what),
            Entry(label),
            Entry(words.status(Status(status)).title, say(GAPS.get(gap, gap)), style="outcome"),
            Entry(reason),
            Entry(_where(results)),
        ]
        for (what, label, status, gap, reason), results in ordered
    ]
    grid.groups.append(Group("", rows))
    return grid


def _reason(result: Result) -> str:
    return sentences(result.reason or "") or say("No reason was recorded.")


def _where(results: list[Result]) -> str:
    seeds: dict[str, list[str]] = {}
    for result in results:
        seeds.setdefault(data_name(result.cell), []).append(str(result.cell.seed))
    return say("; ").join(
        say("{data} (seeds {seeds})" if len(found) > 1 else "{data} (seed {seeds})").format(
            data=data, seeds=say(", ").join(found)
        )
        for data, found in seeds.items()
    )


def _known(spec: str) -> bool:
    task = next(iter(tasks().values()))
    try:
        support(task, next(iter(task.programs.values())), spec)
    except PetlabError:
        return False
    return True
