"""Progress bars: on standard error of a terminal, as widgets in a notebook, else none."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def progress(items: Iterable[T], *, total: int, unit: str) -> Iterator[T]:
    """Pass items on and count them.

    Parameters
    ----------
    unit
        What one item is, such as "cell".
    """
    if _in_notebook():
        from tqdm.notebook import tqdm as bar
    else:
        from tqdm import tqdm as bar
    # `disable=None` leaves the bar out where standard error is no terminal.
    return iter(bar(items, total=total, unit=unit, disable=False if _in_notebook() else None))


def _in_notebook() -> bool:
    """Whether this process is a kernel whose output a front end shows."""
    if "ipykernel" not in sys.modules:
        return False
    from IPython.core.getipython import get_ipython

    return getattr(get_ipython(), "kernel", None) is not None
