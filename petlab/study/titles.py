"""What tasks, techniques, programs and data sets are called."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from petlab.data.dataset import find_dataset
from petlab.errors import PetlabError
from petlab.running.registry import guards, tasks, techniques
from petlab.running.result import Cell
from petlab.study.language import listed, say, sentences


def data_name(cell: Cell) -> str:
    """Name of the data set, or of the user's own file."""
    return Path(cell.data).stem if cell.data else cell.dataset


def task_title(name: str) -> str:
    """Title of a task for people."""
    return say(tasks()[name].title) if name in tasks() else name


def technique_title(spec: str) -> str:
    """Title of a technique for people, such as that of "fl" and of "dp" for "fl+dp"."""
    known: dict[str, Any] = {**techniques(), **guards()}
    titles = [say(known[part].title) if part in known else part for part in spec.split("+")]
    first, added = titles[0], [mid_sentence(title) for title in titles[1:]]
    if not added:
        return first
    return say("{technique} with {guard}", technique=first, guard=listed(added))


def mid_sentence(title: str) -> str:
    """Lower the first letter, unless it starts an abbreviation."""
    return title[:1].lower() + title[1:] if title[1:2].islower() else title


def program_title(task: str, program: str) -> str:
    """First line of a program's docstring."""
    known = tasks()[task].programs if task in tasks() else {}
    return known[program].summary if program in known else ""


def data_title(cell: Cell) -> str:
    """Title of the data set as its card has it."""
    title = _title(cell.dataset, cell.data, cell.card)
    if not title:
        return data_name(cell)
    return sentences(title) if cell.data is None else title


@cache
def _title(dataset: str, data: str | None, card: str | None) -> str:
    """Title on a card, which a report asks for many times; empty where there is none."""
    try:
        return find_dataset(dataset, data=data, card=card).card.title or ""
    except (PetlabError, OSError):
        return ""
