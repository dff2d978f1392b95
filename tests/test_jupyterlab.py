"""Notebooks opened, run and read in a real JupyterLab in Chromium."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import pytest

FOLDER = Path(__file__).parents[1] / "notebooks"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
IDLE = "document.querySelector('.jp-Notebook-ExecutionIndicator')?.dataset.status === 'idle'"
PATIENCE_MS, SETTLING_MS = 120_000, 3_000

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium: apt install chromium"),
]


@contextmanager
def lab(folder: Path) -> Iterator[str]:
    """A JupyterLab on its own folder and settings; its address with %s for a notebook."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    kept = ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR")
    own = {f"JUPYTER_{name}": str(folder / f".{name}") for name in kept}
    own |= {f"JUPYTERLAB_{n}_DIR": str(folder / f".{n}") for n in ("SETTINGS", "WORKSPACES")}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += [f"--port={port}", "--ip=127.0.0.1", "--IdentityProvider.token=token"]
    command += [f"--ServerApp.root_dir={folder}", "--LabApp.news_url="]
    command += ["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    address = f"http://127.0.0.1:{port}"
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            command, env={**os.environ, **own}, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            _wait_for(f"{address}/api/status?token=token")
            yield address + "/lab/tree/%s.ipynb?token=token&reset"
        finally:
            server.terminate()
            server.wait(30)


def _wait_for(url: str) -> None:
    for _ in range(240):
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.5)
    raise AssertionError("JupyterLab did not start")


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Run a notebook, with other parameters perhaps, and return its panel in the browser."""
    sync_api = pytest.importorskip("playwright.sync_api")
    folder = tmp_path_factory.mktemp("lab")
    with lab(folder) as address, sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )

        def run(name: str, **parameters: object) -> Any:
            _copy(name, folder, parameters)
            page = browser.new_page(viewport={"width": 1300, "height": 1500})
            page.set_default_timeout(PATIENCE_MS)
            page.goto(address % name)
            panel = page.locator(".jp-NotebookPanel")
            sync_api.expect(panel).to_be_visible(timeout=PATIENCE_MS)
            # Run before the kernel is there, and JupyterLab asks which one is meant.
            page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
            page.wait_for_timeout(SETTLING_MS)
            page.get_by_role("menuitem", name="Run", exact=True).click()
            page.get_by_role("menuitem", name=re.compile("^Run All Cells")).click()
            last = len(nbformat.read(FOLDER / f"{name}.ipynb", 4).cells) - 2
            prompt = panel.locator(".jp-Cell").nth(last).locator(".jp-InputPrompt")
            sync_api.expect(prompt).to_have_text(re.compile(r"\[\d+\]:"), timeout=PATIENCE_MS)
            page.wait_for_function(IDLE)
            page.keyboard.press("Control+b")
            if kept := os.environ.get("PETLAB_SCREENSHOTS"):
                page.screenshot(path=str(Path(kept) / f"{name}.png"))
            return panel

        yield run
        browser.close()


def _copy(name: str, folder: Path, parameters: dict[str, object]) -> None:
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", 4)
    cell = next(c for c in notebook.cells if "parameters" in c.metadata.get("tags", []))
    for parameter, value in parameters.items():
        cell.source, count = re.subn(
            rf"^{parameter} = .*$", f"{parameter} = {value!r}", cell.source, flags=re.MULTILINE
        )
        assert count == 1
    nbformat.write(notebook, folder / f"{name}.ipynb")


def _errors(panel: Any) -> int:
    return panel.locator('[data-mime-type="application/vnd.jupyter.stderr"]').count()


def _clipped(panel: Any) -> list[str]:
    """Tables that are wider than their cell and cannot be scrolled."""
    return panel.locator("table.dataframe").evaluate_all(
        """tables => tables.filter(t => {
             const box = t.closest('.jp-RenderedHTMLCommon')
             const scrolls = getComputedStyle(box).overflowX
             return t.scrollWidth > box.clientWidth + 1 && !['auto', 'scroll'].includes(scrolls)
           }).map(t => t.innerText.slice(0, 60))"""
    )


def test_a_task_notebook_runs_and_shows_its_tables(opened: Any) -> None:
    """Accuracy and Cost with their rows, nothing on standard error, nothing clipped."""
    panel = opened("chi2", technique="fl")
    for heading in ("Accuracy", "Cost"):
        assert panel.locator("h3", has_text=heading).count() == 1
    assert panel.locator("table.dataframe").count() == 2
    assert panel.locator("table.dataframe tbody tr").count() > 8
    assert _errors(panel) == 0
    assert not _clipped(panel)


def test_the_comparison_shows_progress_and_a_decision(opened: Any) -> None:
    """A bar that is full, the short list, and two tables that fit."""
    panel = opened("compare", techniques=["fl", "dp"], seeds=2, require="trusted!=curator")
    assert panel.get_by_text("Short list", exact=True).count() == 1
    assert panel.get_by_text("trusted curator, not trusted!=curator").count() == 1
    bar = panel.locator(".jupyter-widgets", has_text="3/3")
    assert bar.count() >= 1
    assert panel.locator("table.dataframe").count() == 2
    assert _errors(panel) == 0
    assert not _clipped(panel)
