"""What a program declares before any data is touched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

DEFAULT_RECORDS_MAX = 1 << 20
"""Public ceiling on the records of a study, from which fixed-point scales are taken."""


@dataclass(frozen=True)
class Public:
    """What everybody knows about the records: nothing in it is read off the data.

    Attributes
    ----------
    features
        Names of the encoded features.
    feature_norm
        Bound on the Euclidean norm of one record's encoded features.
    classes
        Levels of the target.
    levels
        Numbers of levels of further named categories.
    image
        Height and width when the features are pixels, or None.
    sites
        Number of natural sites; 0 where there are none.
    owners
        Number of data owners.
    records_max
        Ceiling on the number of records.
    records
        How many records there are to train on, where that is public; 0 where nobody asks.
    observed
        Columns whose ranges or levels were read off the data after all.
    """

    features: tuple[str, ...] = ()
    feature_norm: float = 0.0
    classes: int = 2
    levels: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    image: tuple[int, int] | None = None
    sites: int = 0
    owners: int = 1
    records_max: int = DEFAULT_RECORDS_MAX
    records: int = 0
    observed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """The whole of a run, known in advance.

    Differential privacy calibrates its noise from it, homomorphic encryption chooses its
    parameters from it, and the session refuses to exceed it. Stopping that depends on the
    data is budgeted at its maximum.

    Attributes
    ----------
    settings
        The task's settings (plain numbers and strings).
    public
        What everybody knows about the records.
    releases
        How many values at most are opened to a reader.
    counts
        Every release is a table of counts to which one unit adds one.
    sample_rate
        Share of each owner's records that one batch draws; 1 means all.
    public_size
        The program uses the number of records, which is thereby public.
    local_steps
        How many batches of `sample_rate` each owner uses by itself for one release; 0 when
        the session draws the batches.
    depth
        Multiplications in a row that protected arrays go through; 0 where they are too many
        for any technique that has to know.
    value_max
        Public bound on the magnitude of protected values on their way.
    shapes
        Shapes of the totals and protected arrays, by name.
    """

    settings: Any
    public: Public
    releases: int
    counts: bool = False
    sample_rate: float = 1.0
    public_size: bool = False
    local_steps: int = 0
    depth: int = 0
    value_max: float = 1.0
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=lambda: MappingProxyType({}))
