"""Pages that are generated from the code equal what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from petlab.cli.listing import support_markdown

REPOSITORY = Path(__file__).parents[1]


def test_the_readme_has_the_support_matrix_of_the_code():
    """`python tests/test_docs.py` writes it in."""
    text = (REPOSITORY / "README.md").read_text()
    assert text == with_support(text)


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/threat-models.md"])
def test_links_between_pages_lead_somewhere(page):
    """Every relative link or picture is a file in the repository."""
    path = REPOSITORY / page
    for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
        assert (path.parent / target).exists(), target


@pytest.mark.slow
def test_the_worked_example_of_a_task_runs_under_every_technique(tmp_path, monkeypatch):
    """What CONTRIBUTING prints is a task, and dropping it in is enough."""
    import importlib

    from petlab import tasks
    from petlab.running import registry
    from petlab.running.evaluator import evaluate
    from petlab.running.result import Cell

    code = re.search(r"```python\n(.*?)```", (REPOSITORY / "CONTRIBUTING.md").read_text(), re.S)
    (tmp_path / "prevalence.py").write_text(code.group(1))
    monkeypatch.setattr(tasks, "__path__", [*tasks.__path__, str(tmp_path)])
    importlib.invalidate_caches()
    registry.tasks.cache_clear()
    try:
        for technique in registry.technique_names():
            result = evaluate(Cell("prevalence", technique=technique, dataset="wdbc"))
            assert result.status == "ok", result.reason
            if "dp" not in technique.split("+"):
                assert result.quality["count_max_error"].value == 0
    finally:
        registry.tasks.cache_clear()


def with_support(text: str) -> str:
    """A page with the support matrix between its two marks."""
    start, end = "<!-- support -->", "<!-- /support -->"
    before, _, rest = text.partition(start)
    return f"{before}{start}\n{support_markdown()}\n{end}{rest.partition(end)[2]}"


if __name__ == "__main__":
    page = REPOSITORY / "README.md"
    page.write_text(with_support(page.read_text()))
