"""Build backend that makes CrypTen 0.4.1 installable beside current libraries.

CrypTen's last wheel (2022) requires the dead ``sklearn`` package and torchvision, and installs
top-level packages called ``test``, ``examples`` and ``benchmarks``. pip has no way to say
"without its dependencies" in a requirements file. So this backend downloads that very wheel,
checked against the hash below, replaces its version and requirements with those of the
``[project]`` table beside this file, leaves the stray packages out and hands the result on.
CrypTen's code itself is not changed.

References
----------
.. [1] PEP 517, A build-system independent format for source trees.
"""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

UPSTREAM = "0.4.1"
UPSTREAM_SHA256 = "26e7f4b54997b3a78d10c8c0bcb604215eef6ad7830ddbfe93a14d80c9c1dd84"

# `configs` holds the default.yaml that crypten/config reads from beside its package.
KEPT_PACKAGES = ("crypten", "configs")

# Any date will do, as long as it is the same one: equal input gives an equal wheel.
TIMESTAMP = (2022, 12, 8, 0, 0, 0)


class UnsupportedOperation(Exception):
    """PEP 517's name for a hook that this backend does not offer."""


@dataclass(frozen=True)
class Project:
    """What the repackaged distribution says about itself."""

    name: str
    version: str
    requires_python: str
    dependencies: tuple[str, ...]

    @classmethod
    def read(cls, pyproject: Path) -> Project:
        """Read the ``[project]`` table of a pyproject.toml."""
        table = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
        return cls(
            name=table["name"],
            version=table["version"],
            requires_python=table["requires-python"],
            dependencies=tuple(table["dependencies"]),
        )

    @property
    def dist_info(self) -> str:
        """Name of the wheel's metadata folder."""
        return f"{self.name}-{self.version}.dist-info"

    @property
    def wheel_name(self) -> str:
        """File name of the wheel."""
        return f"{self.name}-{self.version}-py3-none-any.whl"


def build_wheel(
    wheel_directory: str,
    config_settings: dict[str, Any] | None = None,
    metadata_directory: str | None = None,
) -> str:
    """Write the repackaged wheel into `wheel_directory` and return its name (PEP 517)."""
    project = Project.read(Path(__file__).with_name("pyproject.toml"))
    with tempfile.TemporaryDirectory() as folder:
        upstream = download(Path(folder))
        return repackage(upstream, Path(wheel_directory), project).name


def build_sdist(sdist_directory: str, config_settings: dict[str, Any] | None = None) -> str:
    """Refuse: there is no source to distribute (PEP 517)."""
    raise UnsupportedOperation("crypten is repackaged from its wheel: build a wheel")


def download(folder: Path, version: str = UPSTREAM, sha256: str = UPSTREAM_SHA256) -> Path:
    """Fetch CrypTen's own wheel with pip, which honours the user's index and proxy settings.

    Raises
    ------
    SystemExit
        If pip cannot get the wheel, or gets another one than the hash names.
    """
    requirement = folder / "upstream.txt"
    requirement.write_text(f"crypten=={version} --hash=sha256:{sha256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--only-binary=:all:", "--require-hashes"]
    command += ["--requirement", str(requirement), "--dest", str(folder)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode != 0:
        raise SystemExit(
            f"Could not get the crypten {version} wheel with this sha256 from the package "
            "index. Check that pip reaches the index (settings given as pip options on the "
            "command line do not reach this build: use PIP_INDEX_URL or pip.conf).\n"
            f"{finished.stderr}"
        )
    return next(folder.glob("*.whl"))


def repackage(upstream: Path, folder: Path, project: Project) -> Path:
    """Copy a wheel with `project`'s metadata, without the packages that are not kept.

    Parameters
    ----------
    upstream
        The wheel to read.
    folder
        Where the new wheel goes.
    project
        Version and requirements of the new wheel.
    """
    target = folder / project.wheel_name
    with (
        zipfile.ZipFile(upstream) as source,
        zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as wheel,
    ):
        record = []
        for name in source.namelist():
            new_name = renamed(name, project)
            if new_name is None:
                continue
            content = corrected(new_name, source.read(name), project)
            write(wheel, new_name, content)
            record.append(f"{new_name},{record_hash(content)},{len(content)}")
        record_name = f"{project.dist_info}/RECORD"
        record.append(f"{record_name},,")
        write(wheel, record_name, ("\n".join(record) + "\n").encode())
    return target


def renamed(name: str, project: Project) -> str | None:
    """Return a member's name in the new wheel; None if it is left out."""
    folder, _, rest = name.partition("/")
    if folder in KEPT_PACKAGES:
        return name
    if folder.endswith(".dist-info") and rest != "RECORD":
        return f"{project.dist_info}/{rest}"
    return None


def corrected(name: str, content: bytes, project: Project) -> bytes:
    """Return a member's content with the metadata files brought up to date."""
    if name == f"{project.dist_info}/METADATA":
        return corrected_metadata(content.decode("utf-8"), project).encode("utf-8")
    if name == f"{project.dist_info}/top_level.txt":
        return "".join(f"{package}\n" for package in KEPT_PACKAGES).encode()
    return content


def corrected_metadata(text: str, project: Project) -> str:
    """Replace version, Python range and requirements; keep author, licence and description."""
    headers, separator, description = text.partition("\n\n")
    replaced = ("Version:", "Requires-Python:", "Requires-Dist:")
    kept = [line for line in headers.splitlines() if not line.startswith(replaced)]
    new = [f"Version: {project.version}", f"Requires-Python: {project.requires_python}"]
    new += [f"Requires-Dist: {requirement}" for requirement in project.dependencies]
    return "\n".join(kept + new) + separator + description


def write(wheel: zipfile.ZipFile, name: str, content: bytes) -> None:
    """Add one member with a fixed date."""
    member = zipfile.ZipInfo(name, TIMESTAMP)
    member.external_attr = 0o644 << 16
    wheel.writestr(member, content, zipfile.ZIP_DEFLATED)


def record_hash(content: bytes) -> str:
    """Return the hash notation of a wheel's RECORD."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest())
    return "sha256=" + digest.rstrip(b"=").decode()
