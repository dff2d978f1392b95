"""`petlab doctor`: what is installed, what works here, and how to fix what does not."""

from __future__ import annotations

import argparse
import importlib.util
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from petlab.cli.command import AddCommand
from petlab.data.dataset import shipped
from petlab.metering.meter import PeakMemory
from petlab.running.registry import techniques

LIBRARIES = (
    "numpy scipy pandas scikit-learn matplotlib torch tenseal crypten flwr opacus "
    "jupyterlab papermill joblib jinja2"
).split()


def register(add: AddCommand) -> None:
    """Add the command."""
    add("doctor", _doctor, "Check the environment and say how to fix it.")


def _doctor(options: argparse.Namespace) -> int:
    well = True
    for finding in examine():
        well &= finding.well
        print(f"{'ok  ' if finding.well else 'FIX '} {finding.what:<20} {finding.detail}")
    return 0 if well else 4


@dataclass(frozen=True)
class Finding:
    """One check: what, whether it is well, and what to do if not."""

    what: str
    well: bool
    detail: str


def examine() -> Iterator[Finding]:
    """Check interpreter, libraries, techniques, kernel, data and metering."""
    version = sys.version_info
    supported = (3, 11) <= version < (3, 13)
    yield Finding("Python", supported, f"{platform.python_version()} (3.11 or 3.12 is supported)")
    inside = sys.prefix != sys.base_prefix
    yield Finding("environment", inside, sys.prefix if inside else "none active: `make setup`")
    for name in LIBRARIES:
        yield _library(name)
    for name, technique in techniques().items():
        missing = [p for m, p in technique.packages.items() if not importlib.util.find_spec(m)]
        fix = f"pip install {' '.join(missing)}" if missing else "ready"
        yield Finding(f"technique {name}", not missing, fix)
    yield _kernel()
    yield _enclave()
    yield Finding("data sets", bool(shipped()), f"{len(shipped())} shipped")
    measured = PeakMemory().mib is not None
    detail = "peak memory is measured" if measured else "no /proc: peak memory stays empty"
    yield Finding("metering", measured, detail)
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    yield Finding("disk", free > 1, f"{free:.0f} GB free")


def _library(name: str) -> Finding:
    try:
        return Finding(name, True, metadata.version(name))
    except metadata.PackageNotFoundError:
        return Finding(name, False, "not installed: `make setup`, or pip install it")


def _enclave() -> Finding:
    """Say what keeps the simulated enclave's process apart here; none of it is required."""
    from petlab.techniques.tee.isolation import probe

    found = probe()
    held = [name for name, holds in found.items() if holds]
    absent = [name for name, holds in found.items() if not holds]
    detail = f"holds: {', '.join(held) or 'nothing'}"
    return Finding(
        "enclave isolation", True, detail + (f"; not: {', '.join(absent)}" if absent else "")
    )


def _kernel() -> Finding:
    """Check that a notebook's kernel is this interpreter."""
    what = "Jupyter kernel"
    try:
        from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
    except ImportError:
        return Finding(what, False, "jupyter_client is not installed: `make setup`")
    try:
        spec = KernelSpecManager().get_kernel_spec("python3")
    except NoSuchKernel:
        return Finding(what, False, "none named python3: pip install ipykernel")
    program = spec.argv[0]
    own = Path(program).name == program or Path(program).absolute() == Path(sys.executable)
    fix = "python -m ipykernel install --sys-prefix"
    return Finding(what, own, "python3 is this environment" if own else f"is {program}: {fix}")
