"""Figures of the pages on techniques, and what the tutorial's commands print.

Run it from the repository: `OMP_NUM_THREADS=1 python benchmarks/pages.py [PAGE ...] [--write]`
(four minutes for all). The tables of `docs/he.md`, `docs/fl.md` and `docs/dp.md` stand between
markers that name this command; `page_tables.py` makes them. In `docs/tutorial.md` the blocks of
kind `console` hold commands after a `$`: they are run, in order, in one temporary folder that
looks like a checkout, and what they print is put below them. A `toml` block whose first line
names a file is that file.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from page_tables import TABLES

REPOSITORY = Path(__file__).resolve().parents[1]
DOCS = REPOSITORY / "docs"
TUTORIAL = "tutorial"
LENT = ("datasets", "notebooks")
"""Folders of the checkout that the tutorial's commands read."""

_TABLE = re.compile(
    r"<!-- begin: benchmarks/pages\.py (?P<name>[^>]+?) -->\n.*?"
    r"<!-- end: benchmarks/pages\.py (?P=name) -->",
    re.DOTALL,
)
_BLOCK = re.compile(r"```(?P<kind>console|toml)\n(?P<body>.*?)```", re.DOTALL)
_VOLATILE = re.compile(r"^((?:wall|cpu|offline|lan|wan)_s|peak_mib)( +)\S+", re.MULTILINE)
"""Times and memory, which differ from run to run."""


def with_tables(text: str, *, only: set[str] | None = None) -> str:
    """Return a page with its tables made anew; `only` leaves the others as they are."""

    def made(found: re.Match[str]) -> str:
        name = found["name"]
        if only is not None and name not in only:
            return found[0]
        mark = f"benchmarks/pages.py {name} -->"
        return f"<!-- begin: {mark}\n{TABLES[name]()}\n<!-- end: {mark}"

    return _TABLE.sub(made, text)


def table_names(text: str) -> list[str]:
    """Names of a page's tables."""
    return [found["name"] for found in _TABLE.finditer(text)]


def commands(block: str) -> Iterator[str]:
    """Commands of a console block; one that ends in a backslash goes on in the next line."""
    lines = iter(block.splitlines())
    for line in lines:
        if line.startswith("$ "):
            command = line[2:]
            while command.endswith("\\"):
                command += "\n" + next(lines)
            yield command


def with_output(text: str) -> str:
    """Return the tutorial with what its commands print now.

    Raises
    ------
    RuntimeError
        A command ended in another way than the page says: a line `(exit status N)` announces it.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for lent in LENT:
            (folder / lent).symlink_to(REPOSITORY / lent)

        def done(found: re.Match[str]) -> str:
            body = found["body"]
            if found["kind"] == "toml":
                named = body.partition("\n")[0].removeprefix("# ")
                (folder / named).write_text(body, encoding="utf-8")
                return found[0]
            shown = [_shown(command, body, folder) for command in commands(body)]
            return "```console\n" + "".join(shown) + "```"

        return _BLOCK.sub(done, text)


def _shown(command: str, page: str, folder: Path) -> str:
    """Return a command as it is on the page, and what it prints."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    quiet = {"PATH": path, "COLUMNS": "100", "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=folder,
        env={**os.environ, **quiet},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    ended = f"(exit status {ran.returncode})\n" if ran.returncode else ""
    if ended and ended not in page:
        raise RuntimeError(f"{command} ended with status {ran.returncode}:\n{ran.stdout}")
    output = _VOLATILE.sub(lambda m: f"{m[1]}{m[2]}…", ran.stdout).replace(str(folder), ".")
    output = "\n".join(line.rstrip() for line in output.splitlines() if "IPKernelApp" not in line)
    return f"$ {command}\n{output}" + ("\n" if output else "") + ended


def made(page: str) -> str:
    """Return a page with everything on it made anew."""
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    return with_output(text) if page == TUTORIAL else with_tables(text)


def main() -> None:
    """Make pages, and print or write them."""
    pages = [*dict.fromkeys(name.split()[0] for name in TABLES), TUTORIAL]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", nargs="*", default=pages, help=f"of {', '.join(pages)}")
    parser.add_argument("--write", action="store_true", help="put them into docs/")
    options = parser.parse_args()
    for page in options.pages:
        text = made(page)
        if options.write:
            (DOCS / f"{page}.md").write_text(text, encoding="utf-8")
            print(f"docs/{page}.md", file=sys.stderr)
        else:
            print(text)


if __name__ == "__main__":
    main()
