"""The pages of techniques and the tutorial say what their commands print now."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from pathlib import Path

import pytest

from petlab.__main__ import command_parser
from petlab.running.registry import techniques

REPOSITORY = Path(__file__).parents[1]
DOCS = REPOSITORY / "docs"
sys.path.insert(0, str(REPOSITORY / "benchmarks"))

import pages  # noqa: E402
from page_tables import TABLES  # noqa: E402

EXPENSIVE = {"he scores", "fl uneven", "fl composed", "dp noise", "dp records"}
TABLED = sorted({name.split()[0] for name in TABLES})
QUICK = ("petlab list", "petlab card", "petlab plan", "cut ")


def page(name: str) -> str:
    """Text of a page."""
    return (DOCS / f"{name}.md").read_text(encoding="utf-8")


def taken_apart(text: str) -> tuple[str, list[float]]:
    """Text without its figures, and the figures."""
    figure = r"\d[\d,]*(?:\.\d+)?"
    figures = [float(found.replace(",", "")) for found in re.findall(figure, text)]
    return re.sub(figure, "#", text), figures


def anchors(text: str) -> set[str]:
    """Names that a link may give to the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLED)
def test_cheap_tables_are_what_the_command_makes(name):
    """`python benchmarks/pages.py --write` rewrites them.

    Up to 1 %: ciphertexts are compressed, so that their sizes vary by some thousandths.
    """
    text = page(name)
    words, figures = taken_apart(text)
    made_words, made_figures = taken_apart(pages.with_tables(text, only=set(TABLES) - EXPENSIVE))
    assert made_words == words
    assert made_figures == pytest.approx(figures, rel=0.01)


@pytest.mark.parametrize("name", TABLED)
def test_every_table_stands_on_its_page_with_figures(name):
    """A page shows each of its tables once, and none is empty."""
    text = page(name)
    assert sorted(pages.table_names(text)) == sorted(t for t in TABLES if t.split()[0] == name)
    for block in re.findall(r"<!-- begin: .*? -->\n(.*?)<!-- end", text, re.DOTALL):
        assert re.search(r"^\| [^-].*\d.*\|$", block.partition("| ---")[2], re.MULTILINE)


@pytest.mark.slow
def test_quick_commands_of_the_tutorial_print_what_it_shows():
    """Lists, a drafted card, a plan; the others take a minute."""
    blocks = re.findall(r"```(?:console|toml)\n.*?```", page("tutorial"), re.DOTALL)
    kept = [b for b in blocks if all(c.startswith(QUICK) for c in pages.commands(b))]
    assert len(kept) == 4
    assert pages.with_output("\n".join(kept)) == "\n".join(kept)


def test_every_command_of_the_tutorial_parses():
    """No option that the command line does not have."""
    shown = re.findall(r"```(?:console|sh)\n.*?```", page("tutorial"), re.DOTALL)
    found = [words for block in shown for c in pages.commands(block) for words in calls(c)]
    assert len(found) >= 10
    for words in found:
        assert isinstance(command_parser().parse_args(words), argparse.Namespace)


def calls(command: str) -> list[list[str]]:
    """Arguments of every call of petlab in a shell command."""
    lexer = shlex.shlex(command.replace("\\\n", " "), posix=True, punctuation_chars="|;&<>")
    lexer.whitespace_split = True
    segments: list[list[str]] = [[]]
    for word in lexer:
        if set(word) <= set("|;&"):
            segments.append([])
        else:
            segments[-1].append(word)
    # What follows a redirection is for the shell.
    plain = (" ".join(map(shlex.quote, s)).split(" 2 '>'")[0] for s in segments)
    return [words[1:] for words in map(shlex.split, plain) if words[:1] == ["petlab"]]


def test_output_is_put_below_its_command_and_times_are_left_out():
    """A file from the page is there, and later commands see what earlier ones left."""
    text = (
        "```toml\n# card.toml\nname = 1\n```\n```console\n"
        "$ cat card.toml | grep name\nold\n"
        "$ printf 'wall_s  0.3  s\\nbytes  12\\n' > f\n```\n```console\n$ cat f\n```\n"
    )
    written = pages.with_output(text)
    assert "$ cat card.toml | grep name\nname = 1\n" in written
    assert "old" not in written
    assert "$ cat f\nwall_s  …  s\nbytes  12\n```" in written


def test_a_failing_command_is_noticed_unless_the_page_announces_it():
    """Also when it fails before a pipe."""
    with pytest.raises(RuntimeError, match="status 3"):
        pages.with_output("```console\n$ (exit 3) | cat\n```")
    announced = "```console\n$ (exit 3) | cat\n(exit status 3)\n```"
    assert pages.with_output(announced) == announced


@pytest.mark.parametrize("path", sorted(DOCS.glob("*.md")), ids=lambda path: path.name)
def test_links_of_every_page_lead_to_a_file_and_a_heading(path):
    """Relative links only."""
    for target in re.findall(r"\]\(([^):]+)\)", path.read_text(encoding="utf-8")):
        name, _, anchor = target.partition("#")
        file = path.parent / name if name else path
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file.read_text(encoding="utf-8")), target


@pytest.mark.parametrize("name", sorted(set(techniques()) | {"dp"}))
def test_every_technique_has_a_page_of_the_same_form(name):
    """Cleartext protects nothing and has none."""
    if name == "cleartext":
        return
    text = page(name)
    for part in ("**What it does.**", "**When to choose it.**", "**When not.**", "| party |"):
        assert part in text
    for heading in ("## Roles and messages", "## Traps"):
        assert heading in text


def test_the_index_names_every_page():
    """docs/README.md."""
    linked = set(re.findall(r"\]\(([^)#:/]+\.md)\)", page("README")))
    assert linked == {path.name for path in DOCS.glob("*.md")} - {"README.md"}
