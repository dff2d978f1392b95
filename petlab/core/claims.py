"""What a cell says of its answer: scores, costs and what was protected."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Source = Literal["measured", "modelled", "accounted"]


@dataclass(frozen=True)
class Metric:
    """A score beside the independent reference's, and which way is better."""

    value: float | None
    reference: float | None
    better: Literal["higher", "lower"]


@dataclass(frozen=True)
class Cost:
    """A cost and where the number comes from."""

    value: float | int | None
    source: Source


@dataclass(frozen=True)
class Guarantee:
    """What was protected, against whom, and what was not.

    Attributes
    ----------
    kind
        "none", "input", "output" or "hardware", joined by "+" when composed.
    protects
        One sentence.
    not_protected
        One sentence on what it does not protect.
    adversary
        Semi-honest or malicious, and how many may collude.
    trusted
        Parties that could break it: curator, dealer, chip maker.
    security_bits
        Computational security, or None where there is no such parameter.
    epsilon, delta
        Differential privacy of what is opened (add/remove one unit), or None.
    mechanism
        How: scheme and parameters, or noise and accountant.
    """

    kind: str
    protects: str
    not_protected: str
    adversary: str = "none"
    trusted: tuple[str, ...] = ()
    security_bits: int | None = None
    epsilon: float | None = None
    delta: float | None = None
    mechanism: str = ""

    def joined(self, output: Guarantee) -> Guarantee:
        """Combine an input guarantee with an output guarantee."""
        if self.kind == "none":
            return output
        return replace(
            output,
            kind=f"{self.kind}+{output.kind}",
            protects=f"{self.protects} {output.protects}",
            not_protected=f"{self.not_protected} {output.not_protected}",
            adversary=f"{self.adversary}; {output.adversary}",
            trusted=tuple(dict.fromkeys(self.trusted + output.trusted)),
            security_bits=self.security_bits,
            mechanism=f"{self.mechanism}; {output.mechanism}",
        )
