"""The report on paper and in Japanese: nothing clipped, left in English or missing."""

from __future__ import annotations

import ast
import csv
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from petlab.core.claims import Cost, Guarantee, Metric
from petlab.deciding import Prices, parse_requirements
from petlab.errors import UsageError
from petlab.report import _decision, columns, pdf, plain, write_report
from petlab.report.document import Document
from petlab.report.sections import assemble
from petlab.report.typeset import Typeset, typeset
from petlab.running.registry import support, tasks, technique_names
from petlab.running.result import Cell, Result, Status
from petlab.study import language, words
from petlab.study.blocks import Study
from petlab.study.language import sentences, speaking
from petlab.study.titles import technique_title

ROOT = Path(__file__).resolve().parents[1]
ENGLISH = re.compile(r"\b[A-Za-z]{2,} [a-z]{2,} [a-z]{2,}\b")
"""Three words in a row, which no name, formula or version has."""
LANGUAGES = ("en", "ja")
SAYS = {
    "en": ("Recommended: Homomorphic encryption (he, sums)", "is still personal data under Japan"),
    "ja": ("推奨：準同型暗号（he, sums）", "個人データであることに変わりはなく"),
}
OPEN = {"en": "nothing is recommended", "ja": "推奨は行わない"}


def made(technique: str, seed: int, auc: float, **exposure: float) -> Result:
    """A result of one technique, with what real ones have."""
    private = technique.endswith("dp")
    return Result(
        Cell("logreg", technique=technique, dataset="heart", seed=seed),
        Status.OK,
        quality={"auc": Metric(auc, 0.9, "higher")},
        exposure={
            name: Metric(value, 0.55, "lower")
            for name, value in {"membership_auc": 0.6, **exposure}.items()
        },
        costs={
            "wall_s": Cost(1.5, "measured"),
            "cpu_s": Cost(3.6, "measured"),
            "wan_s": Cost({"he": 2.0, "fl": 1.0}.get(technique, 3.0) + seed / 100, "modelled"),
            "bytes": Cost(10**6, "measured"),
        },
        guarantee=Guarantee(
            kind="output" if private else "input",
            protects="Each person's presence in the data, against readers of the result.",
            not_protected="What is opened to its reader. Each owner knows its own noise.",
            adversary="semi-honest; up to 1 of 2 compute parties collude",
            trusted={"fl": ("aggregator",), "dp": ("curator",)}.get(technique, ()),
            epsilon=1.0 if private else None,
            delta=1e-5 if private else None,
            mechanism="Flower, strategy fedavg; Gaussian noise by the owners, 8 planned releases",
        ),
        views={"server": [{"sender": "owner-1", "what": "update", "messages": 2, "bytes": 9}]},
        provenance={"petlab": "0.1.0", "packages": {"numpy": "2"}, "started": 1.7e9},
    )


AUC = {"cleartext": 0.9, "fl": 0.9, "he": 0.899, "dp": 0.8}
GRID = [
    made(t, seed, auc + seed / 50, membership_auc_low=0.56, membership_auc_high=0.64)
    for t, auc in AUC.items()
    for seed in (0, 1, 2)
]
REQUIRE = "auc_loss<=0.02, trusted!=aggregator"


def document(
    spoken: str, results: Sequence[Result] = GRID, require: str = REQUIRE
) -> tuple[Document, set[str]]:
    """A report and the texts for which it found no translation."""
    with speaking(spoken) as used:
        study = Study(results)
        decision = _decision(study, parse_requirements(require), "wan_s", None)
        found = assemble(study, decision, prices=Prices(0.05, 0.09), command="petlab report")
    return found, used.missed


def example() -> Iterator[Result]:
    """The shipped example's results, as far as their table tells."""
    with (ROOT / "reports" / "example" / "results.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            yield _result(row)


def _result(row: dict[str, str]) -> Result:
    """One row; text that it lacks is empty, as in the table."""
    guarantee = None
    if row["guarantee_kind"]:
        texts = {n: row[f"guarantee_{n}"] for n in ("kind", "protects", "not_protected")}
        more = {n: row[f"guarantee_{n}"] for n in ("adversary", "mechanism")}
        trusted = tuple(row["guarantee_trusted"].split(", ")) if row["guarantee_trusted"] else ()
        epsilon = row["guarantee_epsilon"]
        guarantee = Guarantee(
            **texts, **more, trusted=trusted, epsilon=float(epsilon) if epsilon else None
        )
    costs = {
        name: Cost(float(row[name]), row[f"{name}_source"])  # type: ignore[arg-type]
        for name in words.COSTS
        if row.get(name)
    }
    quality = {
        name: Metric(float(row[name]), float(row[f"{name}_reference"] or "nan"), "higher")
        for name in words.METRICS
        if row.get(name)
    }
    cell = Cell(
        *(row[name] for name in ("task", "program", "technique", "dataset")),
        seed=int(row["seed"]),
        settings=json.loads(row["settings"]),
    )
    return Result(
        cell,
        Status(row["status"]),
        row["reason"] or None,
        row["gap"] or None,
        quality=quality,
        costs=costs,
        guarantee=guarantee,
        notes=(row["notes"],) if row["notes"] else (),
    )


def shown(source: Typeset) -> list[str]:
    """All texts that a report on paper shows."""
    body = source.text[source.text.index("#show: report.with") :]
    return [json.loads(text) for text in re.findall(r'"(?:[^"\\]|\\.)*"', body)]


@pytest.mark.parametrize("spoken", LANGUAGES)
def test_page_one_answers_and_settles_nothing_about_the_law(spoken: str) -> None:
    """The recommendation, from the numbers, and the sentence on personal data stand there."""
    first = " ".join(shown(typeset(document(spoken)[0], brief_size=9, whole=False)))
    for text in SAYS[spoken]:
        assert text in first


@pytest.mark.parametrize("spoken", LANGUAGES)
def test_without_constraints_nothing_is_recommended(spoken: str) -> None:
    """It says what each option buys instead."""
    report, _ = document(spoken, require="")
    first = " ".join(shown(typeset(report, brief_size=9, whole=False)))
    assert OPEN[spoken] in first and SAYS[spoken][0] not in first


@pytest.mark.slow
@pytest.mark.parametrize("spoken", LANGUAGES)
def test_page_one_is_one_page_and_every_section_starts_another(spoken: str) -> None:
    """Page one ends where it starts; behind it comes at least a page for each section."""
    report, _ = document(spoken)
    source = pdf.fitting(report)
    assert pdf.query(source, "<brief-end>") == [1]
    (last,) = pdf.query(source, "<last-page>")
    assert len(report.sections) < last <= 3 * len(report.sections)


@pytest.mark.slow
@pytest.mark.parametrize("spoken", LANGUAGES)
def test_no_word_is_wider_than_its_column(spoken: str) -> None:
    """In the tables of the whole example, as typst lays them out, nothing sticks out."""
    report, _ = document(spoken, [*example(), *GRID])
    assert pdf.query(pdf.fitting(report), pdf.OVERFLOW) == []


@pytest.mark.slow
def test_a_word_wider_than_its_column_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above can fail: columns of twenty points clip many words."""
    report, _ = document("en")
    narrow = "petlab.report.typeset.shares"
    monkeypatch.setattr(narrow, lambda grid: [20.0] * len(grid.columns))
    found = pdf.query(typeset(report, brief_size=9), pdf.OVERFLOW)
    assert any("cleartext" in text and over > 1 for text, over in found)  # type: ignore


@pytest.mark.slow
def test_columns_are_no_wider_than_the_page_and_hold_their_longest_word() -> None:
    """Widths add up to the page at most, at a size of type that can still be read."""
    report, _ = document("en", [*example(), *GRID])
    grids = [part for s in report.sections for part in s.parts if isinstance(part, columns.Grid)]
    assert len(grids) > 20
    for grid in grids:
        assert sum(columns.shares(grid)) <= columns.PAGE_PT + 0.01
        assert columns.type_size(grid) >= 5.5


@pytest.mark.slow
def test_nothing_of_the_example_stays_english_in_japanese() -> None:
    """Every sentence of the shipped example, of the page and of the grid has a translation."""
    for results in ([*example()], GRID):
        for require in ("", REQUIRE):
            report, missed = document("ja", results, require)
            assert not missed
            texts = shown(typeset(report, brief_size=9))
            assert [text for text in texts if ENGLISH.search(text)] == []


def test_a_sentence_without_translation_is_noticed() -> None:
    """The test above can fail, and the sentence is shown rather than lost."""
    with speaking("ja") as used:
        assert sentences("The moon is made of cheese.") == "The moon is made of cheese."
    assert used.missed == {"The moon is made of cheese."}


def test_every_fixed_text_of_the_report_is_in_the_catalogue() -> None:
    """Also those that need other results: whatever is passed to `say`, and the tables of words."""
    found = {text for path in (ROOT / "petlab/report").glob("*.py") for text in _said(path)}
    assert len(found) > 150
    found |= {
        text
        for term in (*words.METRICS.values(), *words.COSTS.values())
        for text in (term.title, term.meaning)
    }
    found |= {t for term in words.STATUSES.values() for t in (term.title, term.meaning)}
    found |= {*plain.PLAIN.values(), *words.KINDS.values(), *words.SOURCES.values()}
    assert sorted(found - set(language._catalogue("ja"))) == []


def _said(path: Path) -> Iterator[str]:
    """Literal first arguments of `say` in a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "say" and node.args:
            first = node.args[0]
            choices = (first.body, first.orelse) if isinstance(first, ast.IfExp) else (first,)
            for text in choices:
                if isinstance(text, ast.Constant):
                    yield text.value


def test_everything_the_registry_can_say_is_translated() -> None:
    """Titles, programs, placements and reasons of gaps, also of what no example has run."""
    with speaking("ja") as used:
        for spec in technique_names():
            technique_title(spec)
        for task in tasks().values():
            assert language.say(task.title) != task.title
            for program in task.programs.values():
                sentences(program.summary)
                sentences(program.placement)
                for spec in technique_names():
                    gap = support(task, program, spec)
                    sentences(gap.reason if gap else "")
    assert not used.missed


def test_translations_fill_the_same_places() -> None:
    """No translation asks for a number that the English text does not have."""
    for english, translated in language._catalogue("ja").items():
        places = [set(re.findall(r"\{(\w+)\}", text)) for text in (english, translated)]
        assert places[1] <= places[0], english


def test_numbers_in_a_sentence_are_taken_over() -> None:
    """A guarantee's sentence keeps its numbers, and two sentences are not taken for one."""
    with speaking("ja"):
        said = sentences("semi-honest; up to 2 of 5 compute parties collude")
        both = sentences(
            "Flower, strategy fedavg; Gaussian noise by the owners, 8 planned releases"
        )
    assert said == "半正直；計算担当者5者中2者まで結託"
    assert both == "Flower、集約戦略 fedavg；所有者によるガウスノイズ、予定された公開8回"


def test_an_unknown_language_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    """Nothing is written."""
    with pytest.raises(UsageError, match=r"unknown language 'jp'. Did you mean ja"):
        write_report(GRID, tmp_path / "out", command="x", language="jp")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("spoken", LANGUAGES)
def test_the_pdf_is_written_and_repeatable(tmp_path: Path, spoken: str) -> None:
    """The same results give the same bytes."""
    options = {"language": spoken, "requirements": parse_requirements(REQUIRE)}
    written = [
        write_report(GRID, tmp_path / name, command="x", **options).pdf  # type: ignore[arg-type]
        for name in ("a", "b")
    ]
    first, second = [path.read_bytes() for path in written if path]
    assert first.startswith(b"%PDF-") and len(first) > 20_000
    assert first == second


def test_without_typst_the_page_is_written_and_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HTML and tables need no typst; a PDF of an earlier report does not stay as if it were new."""
    (tmp_path / "report.pdf").write_bytes(b"old")
    monkeypatch.setattr(pdf, "find_spec", lambda name: None if name == "typst" else name)
    written = write_report(GRID, tmp_path, command="x")
    assert written.pdf is None and "pip install typst" in written.missing
    assert written.page.exists() and (tmp_path / "results.csv").exists()
    assert not (tmp_path / "report.pdf").exists()
    assert 'href="report.pdf"' not in written.page.read_text("utf-8")


def test_the_japanese_page_says_so_and_speaks_it(tmp_path: Path) -> None:
    """The HTML carries its language, and its plot has Japanese axes with units."""
    page = write_report(GRID, tmp_path, command="x", language="ja").page.read_text("utf-8")
    assert '<html lang="ja">' in page
    assert "単位は目盛に表示" in page and "参照値の差（単位なし）" in page
    for heading in (
        "計算",
        "保存容量と通信",
        "有用性",
        "信頼と必要な技能",
        "検証",
        "長期的なコスト",
    ):
        assert f"<h2>{heading}</h2>" in page


def test_membership_stands_beside_cost(tmp_path: Path) -> None:
    """No technique looks free: the attack's figure and interval are in the cost table."""
    report, _ = document("en")
    (section,) = [s for s in report.sections if s.key == "computation"]
    (grid,) = [part for part in section.parts if isinstance(part, columns.Grid)]
    assert grid.columns[-1].title == "Membership"
    last = [row[-1] for row in grid.groups[0].rows]
    assert {entry.text for entry in last} == {"0.600"}
    assert {entry.below for entry in last} == {"0.560–0.640"}


def test_a_twin_without_protection_is_never_recommended() -> None:
    """It loses least and costs least, but it is there for comparison only."""
    twins = [
        replace(
            r,
            cell=replace(r.cell, settings={"twin": "clip-only"}),
            costs={**r.costs, "wan_s": Cost(0.1, "modelled")},
        )
        for r in GRID
        if r.cell.technique == "dp"
    ]
    report, _ = document("en", [*GRID, *twins], require="auc_loss<=1")
    first = " ".join(shown(typeset(report, brief_size=9, whole=False)))
    assert "Recommended: Federated learning (fl, sums)" in first and "clip-only" not in first


def test_text_cannot_act_as_markup() -> None:
    """A reason full of typst's own signs is shown as it stands."""
    hostile = 'a" #panic("x") \\ [*b*] $c$'
    cell = Cell("deep", technique="he", dataset="heart")
    report, _ = document("en", [*GRID, Result(cell, Status.FAILED, hostile)])
    source = typeset(report, brief_size=9)
    assert hostile in [text.replace(columns.BREAK, "") for text in shown(source)]
