"""Fonts that come with installed packages, so that a report needs none of the system's."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from petlab.errors import MissingPackage

JAPANESE = "IPAexGothic"


def font_folders() -> list[Path]:
    """Folders of matplotlib's fonts and, where it is installed, of the Japanese one."""
    folders = [_folder("matplotlib") / "mpl-data" / "fonts" / "ttf"]
    if find_spec("matplotlib_fontja"):
        folders.append(_folder("matplotlib_fontja") / "fonts")
    return folders


def japanese_family() -> tuple[str]:
    """Make the Japanese font known to matplotlib and return its name.

    Raises
    ------
    MissingPackage
        The package that brings it is not installed.
    """
    if find_spec("matplotlib_fontja") is None:
        raise MissingPackage(
            "plots in Japanese need a Japanese font: pip install matplotlib-fontja"
        )
    from matplotlib import font_manager

    # The package itself would change matplotlib's settings for the whole process.
    if JAPANESE not in {font.name for font in font_manager.fontManager.ttflist}:
        path = _folder("matplotlib_fontja") / "fonts" / "ipaexg.ttf"
        font_manager.fontManager.addfont(path)
        # It has one weight: asked for a bold one, matplotlib would complain at every text.
        entry = font_manager.FontEntry(
            fname=str(path),
            name=JAPANESE,
            style="normal",
            variant="normal",
            weight=700,
            stretch="normal",
            size="scalable",
        )
        font_manager.fontManager.ttflist.append(entry)
    return (JAPANESE,)


def _folder(package: str) -> Path:
    found = find_spec(package)
    assert found is not None and found.origin is not None
    return Path(found.origin).parent
