"""Where SPU lives: an environment of its own, since it needs an older numpy than petlab."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

from petlab.core.children import running
from petlab.errors import MissingPackage

REPOSITORY = Path(__file__).parents[4]
REQUIREMENTS = REPOSITORY / "packaging" / "spu" / "requirements.txt"
VARIABLE = "PETLAB_SPU_PYTHON"
VERSION = "0.9.5"


def interpreter(chosen: str = "") -> str:
    """Return the Python interpreter whose environment holds SPU.

    Parameters
    ----------
    chosen
        Its path; by default PETLAB_SPU_PYTHON's, or .venv-spu beside the repository's files.

    Raises
    ------
    MissingPackage
        It is not there, or holds no SPU; with the command that makes it.
    """
    found = chosen or os.environ.get(VARIABLE) or str(_default())
    if not _holds_spu(found):
        raise MissingPackage(
            f"mpc needs spu=={VERSION} for engine=spu, and {found} has none. Install it in an "
            f"environment of its own: {install_line()}"
        )
    return found


def enter() -> None:
    """Go on with this command line in SPU's interpreter, unless it is this one."""
    if importlib.util.find_spec("spu") is None:
        python = interpreter()
        os.execv(python, [*running("petlab", python=python), *sys.argv[1:]])


def install_line() -> str:
    """Return the command that makes the environment."""
    if REQUIREMENTS.exists():
        return f"make -C {REPOSITORY} spu"
    folder = _default().parents[1]
    return (
        f"python3.11 -m venv {folder} && {folder}/bin/pip install spu=={VERSION} cryptography, "
        f"then set {VARIABLE}={_default()}"
    )


def _default() -> Path:
    beside = REPOSITORY if REQUIREMENTS.exists() else Path(sys.prefix)
    return beside / ".venv-spu" / "bin" / "python"


@cache
def _holds_spu(python: str) -> bool:
    wanted = "import importlib.metadata as m; assert m.version('spu') == '" + VERSION + "'"
    try:
        return not subprocess.run(
            [python, "-c", wanted], capture_output=True, timeout=30, check=False
        ).returncode
    except (OSError, subprocess.TimeoutExpired):
        return False
