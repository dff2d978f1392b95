"""The report as PDF: typst sets what `typeset` wrote, with fonts of installed packages alone."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from petlab.errors import MissingPackage, PetlabError
from petlab.report.document import Document
from petlab.report.typeset import BRIEF_SIZES, Typeset, typeset
from petlab.study.fonts import font_folders

OVERFLOW, BRIEF_END = "<overflow>", "<brief-end>"


def write_pdf(document: Document, path: Path) -> None:
    """Write a report as PDF; page one is set as large as it fits on one page.

    Raises
    ------
    MissingPackage
        typst or, for Japanese, the font is not installed.
    """
    _check(document.language)
    import typst

    source = fitting(document)
    with TemporaryDirectory() as folder:
        main = _unpacked(source, Path(folder))
        path.write_bytes(
            typst.compile(str(main), font_paths=_fonts(), ignore_system_fonts=True, timestamp=0)
        )


def fitting(document: Document) -> Typeset:
    """Set the report with the largest type with which page one is one page."""
    for size in BRIEF_SIZES:
        first = typeset(document, brief_size=size, whole=False)
        if query(first, BRIEF_END) == [1]:
            return typeset(document, brief_size=size)
    raise PetlabError("page one of the report does not fit on one page; give fewer constraints.")


def query(source: Typeset, label: str) -> list[object]:
    """Values of the metadata with a label, as typst lays the report out."""
    import json

    import typst

    with TemporaryDirectory() as folder:
        main = _unpacked(source, Path(folder))
        found = typst.query(
            str(main),
            label,
            field="value",
            font_paths=_fonts(),
            ignore_system_fonts=True,
        )
    return list(json.loads(found))


def _check(language: str) -> None:
    wanted = ["typst", *(["matplotlib-fontja"] if language == "ja" else [])]
    absent = [name for name in wanted if find_spec(name.replace("-", "_")) is None]
    if absent:
        needs = " and ".join(absent)
        raise MissingPackage(f"report.pdf needs {needs}: pip install {' '.join(absent)}")


def _unpacked(source: Typeset, folder: Path) -> Path:
    for name, svg in source.figures.items():
        (folder / name).write_text(svg, encoding="utf-8")
    main = folder / "report.typ"
    main.write_text(source.text, encoding="utf-8")
    return main


def _fonts() -> list[str]:
    return [str(folder) for folder in font_folders()]
