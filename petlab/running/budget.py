"""One privacy budget per study: what was spent is added up, and too much is refused.

A budget is a file beside the results. Every release of a study books its events there
before it touches data; events of all releases are accounted together, so that many small
releases cost less than the sum of their epsilons where the mechanism allows it.
"""

from __future__ import annotations

import html
import json
import math
import os
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from petlab.errors import PetlabError, UsageError
from petlab.metering.accountant import Event, total_epsilon


class BudgetExceeded(PetlabError):
    """A release would spend more than is left of a study's budget."""

    exit_status = 3


@dataclass(frozen=True)
class Entry:
    """What one cell spent.

    Attributes
    ----------
    what
        The cell's name and digest.
    events
        Everything its plan could release.
    """

    what: str
    events: tuple[Event, ...]


class Budget:
    """Epsilon and delta of a study, and what was spent of them.

    Parameters
    ----------
    path
        JSON file that holds the budget; made by `Budget.create`.

    Raises
    ------
    UsageError
        There is no such file, or it is not a budget.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        values = self._load()
        self.dataset: str = values["dataset"]
        self.epsilon: float = values["epsilon"]
        self.delta: float = values["delta"]
        self.salt: bytes = bytes.fromhex(values.get("salt", ""))
        """Under which releases name their table; whoever has it can check a guess of one."""

    @classmethod
    def create(
        cls, path: Path | str, *, dataset: str, epsilon: float, delta: float = 1e-5
    ) -> Budget:
        """Make a study's budget; an existing one is opened if it says the same.

        Parameters
        ----------
        dataset
            Name of the data set that the budget protects.

        Raises
        ------
        UsageError
            The file holds another budget: it cannot be raised by making it again.
        """
        path = Path(path)
        if not (0 < epsilon < math.inf and 0 < delta < 1):
            raise UsageError(
                "a budget needs a positive, finite epsilon and a delta between 0 and 1."
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path):
            if not path.exists():
                wanted = {"dataset": dataset, "epsilon": epsilon, "delta": delta, "spent": []}
                _write(path, wanted | {"salt": secrets.token_hex(32)})
        budget = cls(path)
        if (budget.dataset, budget.epsilon, budget.delta) != (dataset, epsilon, delta):
            raise UsageError(
                f"{path} is the budget of {budget.dataset!r} with epsilon {budget.epsilon:g} and "
                f"delta {budget.delta:g}. Open it with Budget(path), or choose another file."
            )
        return budget

    @property
    def spent(self) -> tuple[Entry, ...]:
        """What was booked so far."""
        return tuple(
            Entry(entry["what"], tuple(Event(**event) for event in entry["events"]))
            for entry in self._load()["spent"]
        )

    @property
    def spent_epsilon(self) -> float:
        """Accounted epsilon of everything booked so far, at the budget's delta."""
        return self._total(())

    @property
    def left_epsilon(self) -> float:
        """What is left if it is spent apart from the rest; accounting together gives more."""
        return max(0.0, self.epsilon - self.spent_epsilon)

    def spend(self, what: str, events: Sequence[Event]) -> None:
        """Book a cell's events before its data is touched.

        Raises
        ------
        UsageError
            The cell has no events: an exact release would make the budget meaningless.
        BudgetExceeded
            The budget does not cover them; nothing is booked.
        """
        if not events:
            raise UsageError(
                f"{what}: opens results without differential privacy, which no budget covers."
            )
        with _locked(self.path):
            total = self._total(events)
            if not total <= self.epsilon * (1 + 1e-9):
                raise BudgetExceeded(
                    f"{what}: would bring the study to epsilon {total:.4g} of {self.epsilon:g}. "
                    f"{self.spent_epsilon:.4g} is spent; ask for less, or stop here."
                )
            values = self._load()
            entry = Entry(what, tuple(events))
            values["spent"].append(asdict(entry))
            _write(self.path, values)

    def _total(self, events: Sequence[Event]) -> float:
        booked = [event for entry in self.spent for event in entry.events]
        return total_epsilon([*booked, *events], self.delta)

    def _load(self) -> dict[str, Any]:
        try:
            values = json.loads(self.path.read_text(encoding="utf-8"))
            _check(values)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise UsageError(
                f"{self.path} is not a budget. Budget.create(path, dataset=, epsilon=) makes one."
            ) from None
        return values

    def _repr_html_(self) -> str:
        rows = "".join(f"<li>{html.escape(entry.what)}</li>" for entry in self.spent)
        return (
            f"<b>Budget of {html.escape(self.dataset)}</b>: epsilon {self.spent_epsilon:.4g} of "
            f"{self.epsilon:g} spent (accounted, delta {self.delta:g})<ol>{rows}</ol>"
        )


def _check(values: dict[str, Any]) -> None:
    """Refuse what would make a budget mean something else, a limit that is no number above all.

    Raises
    ------
    ValueError, TypeError, KeyError
        It is no budget.
    """
    numbers = [values["epsilon"], values["delta"]]
    if not isinstance(values["spent"], list):
        raise ValueError
    for entry in values["spent"]:
        events = [Event(**event) for event in entry["events"]]
        if not (isinstance(entry["what"], str) and events):
            raise ValueError
        for e in events:
            if not (e.pure or e.multiplier) or not 0 < e.sample_rate <= 1 or e.releases < 1:
                raise ValueError
            numbers += [n for n in (e.pure, e.multiplier, e.sample_rate, e.releases) if n]
    for number in numbers:
        if isinstance(number, bool) or not 0 < number < math.inf:
            raise ValueError
    if not isinstance(values["dataset"], str) or not values["delta"] < 1:
        raise ValueError
    bytes.fromhex(values.get("salt", ""))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let one process at a time make, check and book."""
    import fcntl

    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write(path: Path, values: dict[str, Any]) -> None:
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=".budget-")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(values, file, indent=1)
    os.replace(partial, path)
