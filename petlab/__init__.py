"""petlab: compare privacy-enhancing technologies on the same analysis, by measuring them.

Examples
--------
>>> import petlab
>>> result = petlab.run("logreg", technique="he", dataset="wdbc")  # doctest: +SKIP
>>> result.accuracy, result.cost  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"
HOMES = {
    "Budget": "petlab.running.budget",
    "Cell": "petlab.running.result",
    "Result": "petlab.running.result",
    "compare": "petlab.deciding.compare",
    "compare_notebook": "petlab.deciding.compare",
    "epsilon_notebook": "petlab.deciding.epsilon",
    "epsilon_study": "petlab.deciding.epsilon",
    "run": "petlab.running.run",
    "run_notebook": "petlab.running.run",
}
"""Where each public name is defined."""
__all__ = [*HOMES]


def __getattr__(name: str) -> Any:
    # Listing and help must not load numpy's neighbours, so names resolve on first use.
    if name not in HOMES:
        raise AttributeError(f"module 'petlab' has no attribute {name!r}")
    return getattr(importlib.import_module(HOMES[name]), name)
