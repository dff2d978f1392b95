"""Continuous integration: what the workflow calls exists, and its baseline covers the sweep."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import yaml

from petlab.__main__ import command_parser
from petlab.deciding.diff import read_side
from petlab.running.result import Status
from petlab.running.sweep import read_sweep

ROOT = Path(__file__).resolve().parents[1]
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"
BASELINE = ROOT / "reports" / "baseline" / "smoke.jsonl"


def workflow() -> dict[str, Any]:
    """The workflow; YAML reads its key `on` as true."""
    return yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))


def commands() -> list[list[str]]:
    """Every command of every step, in words."""
    steps = [step for job in workflow()["jobs"].values() for step in job["steps"]]
    scripts = [step["run"].replace("\\\n", " ") for step in steps if "run" in step]
    lines = [line for script in scripts for line in script.splitlines()]
    return [shlex.split(line.partition(" | ")[0], comments=True) for line in lines]


def make_targets() -> set[str]:
    """Names before a colon in the Makefile."""
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def petlab_commands() -> list[list[str]]:
    """Arguments of each call of petlab, wherever it stands in a line."""
    name = ".venv/bin/petlab"
    return [words[words.index(name) + 1 :] for words in commands() if name in words]


def test_the_workflow_runs_on_pull_requests_main_and_at_night() -> None:
    """And has read access only."""
    triggers = workflow()[True]
    assert triggers.keys() >= {"pull_request", "push", "schedule"}
    assert triggers["push"]["branches"] == ["main"]
    assert workflow()["permissions"] == {"contents": "read"}


def test_every_make_target_of_the_workflow_exists() -> None:
    """With variables that the Makefile reads."""
    called = [words[1:] for words in commands() if words[0] == "make"]
    targets = {word for words in called for word in words if "=" not in word}
    assert {"setup", "check", "test", "sweep", "report"} <= targets <= make_targets()
    known = set(re.findall(r"^([A-Z_]+) +\?=", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {word.partition("=")[0] for words in called for word in words if "=" in word} <= known


def test_every_petlab_command_of_the_workflow_is_understood() -> None:
    """The parser takes each, and the sweeps and the baseline that they name are the shipped."""
    called = [command_parser().parse_args(words) for words in petlab_commands()]
    assert len(called) == 2
    (diff,) = [options for options in called if hasattr(options, "old")]
    assert ROOT / diff.old == BASELINE
    assert diff.new == "reports/results"
    named = {
        Path(word) for words in commands() for word in re.findall(r"\S+\.yml", " ".join(words))
    }
    sweeps = {str(path).removeprefix("SWEEP=") for path in named}
    assert sweeps == {"notebooks/sweeps/smoke.yml", "notebooks/sweeps/full.yml"}


def test_artifacts_are_kept_when_the_comparison_fails() -> None:
    """A regression is when its report is needed most."""
    for job in ("smoke", "full"):
        (upload,) = [
            s
            for s in workflow()["jobs"][job]["steps"]
            if str(s.get("uses")).startswith("actions/upload-artifact")
        ]
        assert upload["if"] == "${{ !cancelled() }}"
        assert "reports/results" in upload["with"]["path"]
    (smoke,) = [s for s in workflow()["jobs"]["smoke"]["steps"] if "upload" in str(s.get("uses"))]
    assert "reports/diff.xml" in smoke["with"]["path"]


def test_the_committed_baseline_is_of_the_smoke_sweep_and_has_no_failure() -> None:
    """Every cell that CI runs is compared, and none was broken when the baseline was made."""
    kept = read_side(BASELINE)
    asked = {c.digest for c in read_sweep(ROOT / "notebooks" / "sweeps" / "smoke.yml").cells}
    assert {result.cell.digest for result in kept} == asked
    assert {result.status for result in kept} <= {Status.OK, Status.UNSUPPORTED}
