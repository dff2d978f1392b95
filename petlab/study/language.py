"""The report's language: fixed English words and sentences, looked up in a catalogue.

The catalogues are the TOML files of the folder `japanese`, from an English text to its
translation. A text may have places to fill in, such as "{n} owners". English needs no catalogue.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from petlab.errors import unknown

LANGUAGES = {"en": "", "ja": "japanese"}
"""Code of each language and the folder of its catalogue."""
PACKAGE = "package"
"""Name of the catalogue of what tasks and techniques say, whose numbers are not known here."""
_PLACE = re.compile(r"\\\{(\w+)\\\}")


@dataclass
class Language:
    """What is spoken, and which texts had no translation."""

    code: str
    missed: set[str] = field(default_factory=set)

    def text(self, english: str) -> str:
        """Translation of a text; the text itself where there is none."""
        if self.code == "en":
            return english
        found = _catalogue(self.code).get(english)
        if found is None:
            self.missed.add(english)
        return english if found is None else found


_SPOKEN: ContextVar[Language] = ContextVar("spoken", default=Language("en"))  # noqa: B039


@contextmanager
def speaking(code: str) -> Iterator[Language]:
    """Make everything inside speak a language.

    Raises
    ------
    UsageError
        There is no such language.
    """
    if code not in LANGUAGES:
        raise unknown("language", code, LANGUAGES)
    token = _SPOKEN.set(Language(code))
    try:
        yield _SPOKEN.get()
    finally:
        _SPOKEN.reset(token)


def spoken() -> str:
    """Code of the language that is spoken."""
    return _SPOKEN.get().code


def say(english: str, **values: object) -> str:
    """Translate a text and fill in its places."""
    found = _SPOKEN.get().text(english)
    return found.format(**values) if values else found


def listed(items: Iterable[str]) -> str:
    """Join the items of an enumeration, such as "a, b and c"."""
    *first, last = list(items) or [""]
    return say("{first} and {last}", first=say(", ").join(first), last=last) if first else last


def paragraph(said: Iterable[str]) -> str:
    """Put whole sentences one after another."""
    return say(" ").join(said)


def sentences(text: str) -> str:
    """Translate what a task or technique says: whole, else sentence by sentence, else by clause."""
    if spoken() == "en" or not text:
        return text
    whole = _phrase(text)
    if whole is not None:
        return whole
    return "".join(_clauses(part) for part in re.split(r"(?<=\.)\s+", text))


def _clauses(sentence: str) -> str:
    whole = _phrase(sentence)
    if whole is not None:
        return whole
    said = []
    for clause in sentence.split("; "):
        found = _phrase(clause)
        if found is None:
            _SPOKEN.get().missed.add(clause)
        said.append(clause if found is None else found)
    return say("; ").join(said)


def _phrase(text: str) -> str | None:
    """Translate one sentence, taking over its numbers and names; None where it is not known."""
    code = spoken()
    found = _catalogue(code).get(text)
    if found is not None or not re.search("[A-Za-z]", text):
        return found or text
    for pattern, translated in _patterns(code):
        matched = pattern.fullmatch(text)
        if matched:
            parts = {name: _parts(value) for name, value in matched.groupdict().items()}
            return translated.format(**parts)
    return None


def _parts(text: str) -> str:
    """Translate the members of an enumeration that are words; names and numbers stay."""
    catalogue = _catalogue(spoken())
    return say(", ").join(catalogue.get(part, part) for part in text.split(", "))


@cache
def _catalogue(code: str) -> dict[str, str]:
    folder = Path(__file__).parent / LANGUAGES[code]
    merged: dict[str, str] = {}
    for path in sorted(folder.glob("*.toml")):
        for section in tomllib.loads(path.read_text(encoding="utf-8")).values():
            merged |= section
    return merged


@cache
def _patterns(code: str) -> list[tuple[re.Pattern[str], str]]:
    """Sentences with places, as patterns that find what stands there; the longest first."""
    path = Path(__file__).parent / LANGUAGES[code] / f"{PACKAGE}.toml"
    found = [
        (re.compile(_PLACE.sub(r"(?P<\1>(?:(?!; |\\. ).)+?)", re.escape(english))), translated)
        for section in tomllib.loads(path.read_text(encoding="utf-8")).values()
        for english, translated in section.items()
        if "{" in english
    ]
    return sorted(found, key=lambda item: -len(item[0].pattern))
