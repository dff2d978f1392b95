"""The report: complete, self-contained, honest about sources and intervals."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from subprocess import run
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from petlab.core.claims import Cost, Guarantee, Metric
from petlab.errors import UsageError
from petlab.report import write_report
from petlab.running.result import Cell, Result, Status

AUC = {"cleartext": [0.90, 0.88, 0.91], "dp": [0.80, 0.84, 0.79], "he": [0.90, 0.88, 0.91]}
HOSTILE = '<script>alert("x")</script> & "quotes"'


def made(technique: str, seed: int, auc: float | None, **changes: object) -> Result:
    """One plausible result."""
    result = Result(
        Cell("logreg", technique=technique, dataset="heart", seed=seed),
        Status.OK,
        quality={"auc": Metric(auc, 0.9, "higher"), "brier": Metric(0.12, 0.11, "lower")},
        costs={
            "wall_s": Cost(0.5 if technique == "he" else 0.1, "measured"),
            "bytes": Cost(1_234_567, "measured"),
            "peak_mib": Cost(None, "measured"),
            "wan_s": Cost(1.5, "modelled"),
        },
        guarantee=Guarantee(
            kind="output" if technique == "dp" else "none",
            protects="Each person's presence.",
            not_protected=f"What {technique} leaves open.",
            trusted=("curator",),
            epsilon=0.75 if technique == "dp" else None,
            delta=1e-5 if technique == "dp" else None,
        ),
        views={
            "curator": [{"sender": "owner-1", "what": "raw rows", "messages": 2, "bytes": 2048}]
        },
        provenance={"petlab": "0.1.0", "dataset_sha256": "ab" * 32, "started": 1.7e9},
    )
    return replace(result, **changes)  # type: ignore[arg-type]


def without_numbers(status: Status, reason: str, task: str = "deep") -> Result:
    """A cell that ended without numbers."""
    return Result(Cell(task, technique="he", dataset="heart"), status, reason)


GRID = [made(t, seed, auc) for t, values in AUC.items() for seed, auc in enumerate(values)]
TROUBLE = [
    without_numbers(Status.UNSUPPORTED, "forbidden by mathematics", "chi2"),
    without_numbers(Status.MISSING_PACKAGE, "needs a library", "elm"),
    without_numbers(Status.FAILED, HOSTILE),
    replace(
        without_numbers(Status.TIMEOUT, "stopped after 60 s"),
        cell=Cell("deep", "score", "fl", "wdbc"),
    ),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a report on a grid with three seeds and every kind of failure."""
    out = tmp_path_factory.mktemp("report") / "site"
    write_report([*GRID, *TROUBLE], out, command="petlab sweep <mine>.yml")
    return out


@pytest.fixture(scope="module")
def page(site: Path) -> str:
    """Its page."""
    return (site / "index.html").read_text(encoding="utf-8")


def text_of(page: str) -> str:
    """Text as read, without tags."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def part(page: str, key: str) -> str:
    """One section of the page."""
    found = page[page.index(f'<section id="{key}"') :]
    return found[: found.index("</section>")]


def test_page_refers_to_nothing_outside(page: str) -> None:
    """It opens offline: no address, no script, only the data files beside it."""
    assert "http" not in page
    assert (
        "<script" not in page and "@import" not in page and "url(" not in page.replace("url(#", "")
    )
    targets = set(re.findall(r'(?:src|href)="([^"]*)"', page))
    assert {t for t in targets if not t.startswith("#")} == {
        "report.pdf",
        "results.csv",
        "results.parquet",
    }


def test_every_link_inside_the_page_has_its_target(page: str) -> None:
    """No link of the contents, and none within the plot, leads nowhere."""
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]*)"', page)) <= set(ids)


def test_every_status_appears_with_its_count(page: str) -> None:
    """Nobody has to guess how many cells did not run."""
    shown = text_of(page)
    for words in ("9 ok", "1 not possible", "1 package missing", "1 failed", "1 timed out"):
        assert words in shown


def test_cells_without_numbers_stand_there_with_their_reason(page: str) -> None:
    """A cell never vanishes."""
    trouble = part(page, "testing")
    for reason in ("forbidden by mathematics", "needs a library", "stopped after 60 s"):
        assert reason in trouble


def test_a_seed_that_failed_is_counted_beside_those_that_ran(tmp_path: Path) -> None:
    """A mean over the survivors says that it is one."""
    failed = replace(GRID[-1], status=Status.FAILED, reason="broke", quality={}, costs={})
    index = write_report([*GRID[:-1], failed], tmp_path, command="x").page
    assert re.search(r">he</th>\s*<td class=\"number\">2 of 3</td>", index.read_text("utf-8"))


def test_hostile_text_is_escaped(page: str) -> None:
    """A reason or a command is text, never markup."""
    assert "&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt; &amp;" in page
    assert "sweep &lt;mine&gt;.yml" in page


def test_numbers_say_where_they_come_from(page: str) -> None:
    """Columns are labelled measured or modelled, epsilon accounted."""
    cost = part(page, "computation")
    assert re.search(r"Wall time<small>measured", cost)
    assert re.search(r"WAN time<small>modelled", cost)
    assert "ε = 0.75, δ = 10⁻⁵ (accounted)" in page


def test_a_column_of_mixed_sources_labels_each_number(tmp_path: Path) -> None:
    """An extrapolated cost beside a measured one is not passed off as measured."""
    costs = {"wall_s": Cost(9.0, "modelled")}
    index = write_report([GRID[0], made("he", 0, 0.9, costs=costs)], tmp_path, command="x").page
    page = index.read_text(encoding="utf-8")
    cost = text_of(part(page, "computation"))
    assert "Wall time measured or modelled" in cost
    assert "90 ×, modelled" in cost


def test_guarantees_say_what_is_not_protected_and_what_the_trusted_see(page: str) -> None:
    """Exposure is stated in full, trust comes with what the party receives."""
    guarantees = text_of(part(page, "trust"))
    assert "What dp leaves open." in guarantees
    assert "curator: receives raw rows" in guarantees


def test_differences_are_paired_and_carry_a_t_interval(page: str) -> None:
    """Mean and half width equal scipy's interval over the seeds' differences."""
    differences = np.subtract(AUC["dp"], AUC["cleartext"])
    low, high = stats.t.interval(
        0.95, len(differences) - 1, loc=differences.mean(), scale=stats.sem(differences)
    )
    accuracy = text_of(part(page, "utility"))
    assert high > 0, "else this example would not be inconclusive"
    shown = f"{differences.mean():.3f} ± {(high - low) / 2:.3f} inconclusive"
    assert shown.replace("-", "−") in accuracy


def test_equal_values_are_called_the_same_and_one_seed_gives_no_interval(tmp_path: Path) -> None:
    """No verdict without grounds for it."""
    results = [made("cleartext", 0, 0.9), made("he", 0, 0.9), made("dp", 0, 0.8)]
    shown = text_of(write_report(results, tmp_path, command="x").page.read_text(encoding="utf-8"))
    assert "−0.100 1 seed" in shown and "same as cleartext" in shown
    assert "One seed: nothing here tells a small difference from chance." in shown


@pytest.mark.parametrize("name", ["results.csv", "results.parquet"])
def test_data_files_hold_every_cell_and_null_for_absent(site: Path, name: str) -> None:
    """Absent is null, not zero; present values come back as they were."""
    path = site / name
    frame = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    assert len(frame) == len(GRID) + len(TROUBLE)
    bad = frame[frame.status != "ok"]
    assert bad[["auc", "auc_minus_cleartext", "wall_s", "guarantee_epsilon"]].isna().all(axis=None)
    assert frame["peak_mib"].isna().all()
    dp = frame[frame.technique == "dp"].sort_values("seed")
    assert dp["auc"].tolist() == AUC["dp"]
    assert np.allclose(
        dp["auc_minus_cleartext"].astype(float), np.subtract(AUC["dp"], AUC["cleartext"])
    )
    assert set(dp["wan_s_source"]) == {"modelled"}
    assert HOSTILE in set(bad["reason"])


def test_both_data_files_say_the_same(site: Path) -> None:
    """CSV and Parquet agree in columns and numbers."""
    csv, parquet = pd.read_csv(site / "results.csv"), pd.read_parquet(site / "results.parquet")
    assert list(csv.columns) == list(parquet.columns)
    for name in ("auc", "wall_s", "bytes", "guarantee_epsilon"):
        there = parquet[name].astype("Float64").to_numpy(float, na_value=np.nan)
        assert np.allclose(csv[name].astype(float), there, equal_nan=True)


def test_plot_is_valid_named_and_repeatable(page: str, tmp_path: Path) -> None:
    """The SVG parses, tells screen readers what it shows, and does not change by itself."""
    svg = re.search(r"<svg.*?</svg>", page, re.DOTALL)
    assert svg
    root = ElementTree.fromstring(svg.group())
    assert root.get("role") == "img" and root.find("title") is not None
    again = write_report([*GRID, *TROUBLE], tmp_path, command="petlab sweep <mine>.yml")
    assert again.page.read_text(encoding="utf-8") == page


def test_markup_is_accessible(page: str) -> None:
    """Language, one h1, no skipped heading level, a caption and scopes in every table."""
    assert '<html lang="en">' in page
    levels = [int(level) for level in re.findall(r"<h([1-6])\b", page)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert page.count("<table") == page.count("<caption>")
    assert all("scope=" in tag for tag in re.findall(r"<th\b[^>]*>", page))


def test_a_report_of_failures_only_is_still_a_report(tmp_path: Path) -> None:
    """Nothing ran: the page says so and why."""
    shown = text_of(write_report(TROUBLE, tmp_path, command="x").page.read_text(encoding="utf-8"))
    assert "No cell gave numbers." in shown and "needs a library" in shown


def test_unknown_names_of_an_older_result_do_not_break_it(tmp_path: Path) -> None:
    """A result of a task, technique and metric that are gone is shown all the same."""
    cell = Cell("gone", "away", "lost", data="/no/$where$/mine.csv", card="/no/mine.toml")
    old = made("lost", 0, 0.5, cell=cell, quality={"odd_score": Metric(0.5, None, "higher")})
    shown = text_of(write_report([old], tmp_path, command="x").page.read_text(encoding="utf-8"))
    assert "gone / away" in shown and "odd score" in shown and "Data set mine" in shown


def test_no_results_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    """An empty report would look like a finding."""
    with pytest.raises(UsageError, match="petlab sweep"):
        write_report([], tmp_path, command="x")


def test_importing_the_report_loads_nothing_heavy() -> None:
    """Help and listing stay instant."""
    heavy = "{'pandas', 'matplotlib', 'jinja2', 'scipy', 'typst'}"
    code = f"import sys, petlab.report; assert not {heavy} & set(sys.modules)"
    assert run([sys.executable, "-c", code], check=False).returncode == 0
