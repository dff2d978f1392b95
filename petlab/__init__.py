"""petlab: compare privacy-enhancing technologies on the same analysis, by measuring them.

Examples
--------
>>> import petlab
>>> result = petlab.run("logreg", technique="he", dataset="wdbc")  # doctest: +SKIP
>>> result.accuracy, result.cost  # doctest: +SKIP
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"
__all__ = [
    "Budget",
    "Cell",
    "Result",
    "compare",
    "compare_notebook",
    "epsilon_notebook",
    "epsilon_study",
    "run",
    "run_notebook",
]


def __getattr__(name: str) -> Any:
    # Listing and help must not load numpy's neighbours, so names resolve on first use.
    if name in ("run", "run_notebook"):
        from petlab import api

        return getattr(api, name)
    if name in ("compare", "compare_notebook"):
        from petlab import comparing

        return getattr(comparing, name)
    if name in ("Cell", "Result"):
        from petlab import result

        return getattr(result, name)
    if name in ("epsilon_study", "epsilon_notebook"):
        from petlab import epsilon

        return getattr(epsilon, name)
    if name == "Budget":
        from petlab.budget import Budget

        return Budget
    raise AttributeError(f"module 'petlab' has no attribute {name!r}")
