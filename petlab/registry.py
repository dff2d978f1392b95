"""Find tasks and techniques: whatever module lies in their folder."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from types import ModuleType
from typing import Any

from petlab import tasks as task_folder
from petlab import techniques as technique_folder
from petlab.errors import UsageError, unknown
from petlab.guard import Guarded, OutputGuard
from petlab.ops import Gap
from petlab.result import Setting
from petlab.task import Program, Task, split_settings
from petlab.technique import Technique


@cache
def tasks() -> Mapping[str, Task]:
    """All tasks by name."""
    return {kind.name: kind() for kind in _subclasses(task_folder, Task)}


@cache
def techniques() -> Mapping[str, type[Technique]]:
    """All techniques by name, without output guards."""
    found = {kind.name: kind for kind in _subclasses(technique_folder, Technique)}
    return dict(sorted(found.items(), key=lambda item: (item[0] != "cleartext", item[0])))


@cache
def guards() -> Mapping[str, type[OutputGuard]]:
    """All output guards by name."""
    return {kind.name: kind for kind in _subclasses(technique_folder, OutputGuard)}


def technique_names() -> list[str]:
    """Specs that the support matrix lists: techniques, guards alone, and compositions."""
    composed = [
        f"{name}+{guard}"
        for guard in guards()
        for name, kind in techniques().items()
        if name != "cleartext" and not isinstance(kind.exposure, Gap)
    ]
    return [*techniques(), *guards(), *composed]


def find_task(name: str) -> Task:
    """Look a task up by name."""
    if name not in tasks():
        raise unknown("task", name, tasks())
    return tasks()[name]


def find_program(task: Task, name: str) -> Program:
    """Look a program of a task up by name."""
    if name not in task.programs:
        raise unknown(f"program of {task.name}", name, task.programs)
    return task.programs[name]


def setting_owners(spec: str) -> list[type]:
    """Return the settings classes of a technique spec: base technique, then guard."""
    base, guard = _parse(spec)
    return [base.settings, *([guard.settings] if guard else [])]


def find_technique(spec: str, settings: Mapping[str, Setting] | None = None) -> Technique:
    """Make a technique from a spec such as "he", "dp" or "fl+dp".

    Parameters
    ----------
    settings
        Settings of the technique and its guard, by name.
    """
    base, guard = _parse(spec)
    shares = split_settings(settings or {}, setting_owners(spec))
    technique = base(base.settings(**shares[0]))
    if guard is None:
        return technique
    return Guarded(technique, guard(guard.settings(**shares[1])), name=spec)


def support(task: Task, program: Program, spec: str) -> Gap | None:
    """Say why a technique cannot run a program, or None when it can."""
    return find_technique(spec).gap(program.requires)


def _parse(spec: str) -> tuple[type[Technique], type[OutputGuard] | None]:
    base, _, guard = spec.partition("+")
    if not guard and base in guards():
        base, guard = "cleartext", base
    if base not in techniques():
        raise unknown("technique", spec, technique_names())
    if guard and guard not in guards():
        raise UsageError(f"unknown technique {spec!r}: only {', '.join(guards())} goes after '+'.")
    return techniques()[base], guards().get(guard)


def _subclasses(folder: ModuleType, kind: type) -> list[Any]:
    found = []
    for info in pkgutil.iter_modules(folder.__path__, folder.__name__ + "."):
        module = importlib.import_module(info.name)
        found += [
            value
            for value in vars(module).values()
            if isinstance(value, type)
            and issubclass(value, kind)
            and value is not kind
            and value.__module__.startswith(info.name)
            and "name" in vars(value)
        ]
    return sorted(found, key=lambda value: value.name)
