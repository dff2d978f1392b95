"""How petlab starts its own processes: with its own modules, and none from the working folder.

Python puts the folder it is started in before all libraries. A `resource.py` that lies there, or
that somebody put there, would run inside compute parties, hosts and devices.
"""

from __future__ import annotations

import sys
from pathlib import Path


def running(module: str, *, python: str = sys.executable) -> list[str]:
    """Return the start of a command that runs a module of petlab; its arguments follow.

    Parameters
    ----------
    python
        Interpreter, which need not have petlab installed.
    """
    folder = str(Path(__file__).resolve().parents[2])
    # Last on the path: that interpreter keeps its own libraries.
    code = (
        f"import runpy, sys; sys.path.append({folder!r}); "
        f"runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
    )
    return [python, "-P", "-c", code]
