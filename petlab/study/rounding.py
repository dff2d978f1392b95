"""Numbers as people read them: few digits, a unit, a true minus sign, a dash for absent."""

from __future__ import annotations

import math

THIN = "\u202f"
"""Groups thousands, and does not break a line."""
ABSENT = "–"
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_BYTES = ("B", "kB", "MB", "GB", "TB")
NEGLIGIBLE = 1e-9


def figures(value: float, digits: int = 2) -> str:
    """Round to significant digits without an exponent, keeping whole digits."""
    if value == 0:
        return "0"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    rounded = round(value, places)
    if abs(rounded) >= 10 ** (digits - 1):
        places = max(0, digits - 1 - math.floor(math.log10(abs(rounded))))
    return _minus(f"{rounded:,.{places}f}").replace(",", THIN)


def seconds(value: float | None) -> str:
    """Such as 3.1 ms, 0.42 s, 75 s or 12 min."""
    if value is None:
        return ABSENT
    if value < 0.1:
        return f"{figures(value * 1e3)} ms"
    if value < 120:
        return f"{figures(value)} s"
    return f"{figures(value / 60)} min" if value < 7200 else f"{figures(value / 3600)} h"


def size(value: float | None) -> str:
    """Bytes in decimal units, such as 1.2 MB."""
    if value is None:
        return ABSENT
    step = 0
    while value >= 999.5 and step < len(_BYTES) - 1:
        value, step = value / 1000, step + 1
    return f"{figures(value) if step else round(value)} {_BYTES[step]}"


def memory(value: float | None) -> str:
    """Mebibytes: below 0.1 the operating system's pages are too coarse to tell."""
    if value is None:
        return ABSENT
    return "< 0.1 MiB" if value < 0.1 else f"{figures(value)} MiB"


def count(value: float | None) -> str:
    """Whole numbers with thin thousands."""
    if value is None:
        return ABSENT
    return f"{value:,.0f}".replace(",", THIN) if value == round(value) else figures(value, 3)


def factor(value: float | None) -> str:
    """Such as 1.0 × or 240 ×."""
    if value is None:
        return ABSENT
    return f"{multiple(value)}\u00a0×"


def multiple(value: float) -> str:
    """Two significant digits, also of large numbers: 13 663 is 14 000."""
    return "< 0.01" if value < 0.01 else figures(float(f"{value:.1e}"))


def metric(name: str, value: float | None, *, signed: bool = False) -> str:
    """Scores with three decimals; errors with two digits, tiny ones as powers of ten."""
    if value is None:
        return ABSENT
    if name == "count_max_error":
        text = count(abs(value))
    elif name.endswith("_error"):
        text = _error(abs(value))
    else:
        text = f"{abs(value):.3f}"
    if not signed:
        return text if value >= 0 else f"−{text}"
    if text in ("0", "0.000"):
        return text
    return f"{'+' if value > 0 else '−'}{text}"


def power(value: float | None) -> str:
    """Such as 10⁻⁵ or 2.3·10⁻⁴."""
    if value is None:
        return ABSENT
    if value == 0:
        return "0"
    mantissa, _, exponent = f"{value:.1e}".partition("e")
    front = "" if mantissa == "1.0" else f"{mantissa}·"
    return f"{front}10{str(int(exponent)).translate(_SUPERSCRIPTS)}"


def cost(name: str, value: float | None) -> str:
    """Format a cost in its unit, which the ending of its name tells."""
    if name.endswith("_s"):
        return seconds(value)
    if name.endswith("_mib"):
        return memory(value)
    if name.endswith("bytes"):
        return size(value)
    return factor(value) if name == "expansion" else count(value)


def _error(value: float) -> str:
    if value < NEGLIGIBLE:
        return "0" if value == 0 else "< 10⁻⁹"
    if value >= 0.001:
        return figures(value)
    return power(value)


def _minus(text: str) -> str:
    return text.replace("-", "−")
