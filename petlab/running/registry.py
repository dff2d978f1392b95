"""Find tasks and techniques: whatever lies in their folder.

Either is one module. A technique with protocols of its own is a folder, and the class stands in
its `technique.py`: what else is in the folder can then be imported, and measured, without it.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from types import ModuleType
from typing import Any

from petlab import tasks as task_folder
from petlab import techniques as technique_folder
from petlab.core.composing import Borrowing, Guarded, OutputGuard
from petlab.core.ops import Gap
from petlab.core.release import Exposure
from petlab.core.settings import Setting, split_settings
from petlab.core.task import Program, Task
from petlab.core.technique import Technique
from petlab.errors import UsageError, closest, unknown


@dataclass(frozen=True)
class Spec:
    """A technique spec taken apart: BASE[+LENDER][+GUARD]."""

    base: type[Technique]
    lender: type[Technique] | None = None
    guard: type[OutputGuard] | None = None

    @property
    def settings(self) -> list[type]:
        """Settings classes of its parts, in their order."""
        return [part.settings for part in (self.base, self.lender, self.guard) if part]

    @property
    def exposure(self) -> Exposure | Gap:
        """What the aggregator sees."""
        if self.lender:
            return self.lender.lent_exposure or self.lender.exposure
        return self.base.exposure


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
    lent = [name for name, spec in _unguarded().items() if spec.lender]
    alone = [name for name in techniques() if name != "cleartext"]
    return [*techniques(), *guards(), *_guarded(alone), *lent, *_guarded(lent)]


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
    """Return the settings classes of a technique spec: base technique, lender, guard."""
    return _parse(spec).settings


def find_technique(spec: str, settings: Mapping[str, Setting] | None = None) -> Technique:
    """Make a technique from a spec such as "he", "dp", "fl+dp" or "fl+he+dp".

    Parameters
    ----------
    settings
        Settings of the technique and whatever it is composed with, by name.
    """
    parts = _parse(spec)
    given = split_settings(settings or {}, parts.settings)
    chosen = iter([kind(**share) for kind, share in zip(parts.settings, given, strict=True)])
    technique = parts.base(next(chosen))
    if parts.lender:
        name = f"{parts.base.name}+{parts.lender.name}"
        technique = Borrowing(technique, parts.lender(next(chosen)), name=name)
    if parts.guard:
        technique = Guarded(technique, parts.guard(next(chosen)), name=spec)
    return technique


def support(task: Task, program: Program, spec: str) -> Gap | None:
    """Say why a technique cannot run a program, or None when it can."""
    return find_technique(spec).gap(program.requires)


def _parse(spec: str) -> Spec:
    if spec in guards():
        return Spec(techniques()["cleartext"], guard=guards()[spec])
    inputs, _, last = spec.rpartition("+")
    guard = guards().get(last) if inputs else None
    found = _unguarded().get(inputs if guard else spec)
    if found:
        return replace(found, guard=guard)
    if spec.partition("+")[0] not in techniques():
        raise unknown("technique", spec, technique_names())
    lent = [name for name, known in _unguarded().items() if known.lender]
    raise UsageError(
        f"unknown technique {spec!r}: inputs are protected together only by {', '.join(lent)}; "
        f"{', '.join(guards())} goes last. {closest(spec, technique_names())}"
    )


def _unguarded() -> dict[str, Spec]:
    """Every technique, and every one that borrows with every other that lends."""
    kinds = techniques().values()
    lenders = [kind for kind in kinds if not isinstance(kind.lend, Gap)]
    return {kind.name: Spec(kind) for kind in kinds} | {
        f"{base.name}+{lender.name}": Spec(base, lender)
        for base in kinds
        for lender in lenders
        if base.borrows and base is not lender
    }


def _guarded(names: list[str]) -> list[str]:
    """Every composition with a guard, where the guard has a place for its noise."""
    specs = _unguarded()
    fitting = [name for name in names if not isinstance(specs[name].exposure, Gap)]
    return [f"{name}+{guard}" for guard in guards() for name in fitting]


def _subclasses(folder: ModuleType, kind: type) -> list[Any]:
    found = []
    for info in pkgutil.iter_modules(folder.__path__, folder.__name__ + "."):
        inside = f"{info.name}.technique"
        split = info.ispkg and importlib.util.find_spec(inside)
        module = importlib.import_module(inside if split else info.name)
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
