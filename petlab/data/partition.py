"""How records are spread over data owners, each by a coin of its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from petlab.data.assignment import coins
from petlab.errors import DataError, UsageError

HOW = ("iid", "dirichlet:ALPHA", "site")
ATTEMPTS = 100
"""Draws of owners before it is said that one of them stays without records."""
SHARES_TRIED = 10_000
LEAST_SHARE = 0.25
"""Each owner's share of some class is at least this much of an equal one."""


@dataclass(frozen=True)
class Traits:
    """What may decide where records go.

    Attributes
    ----------
    keys
        See `petlab.data.assignment`, shape (rows,).
    labels
        Class of each record, shape (rows,).
    classes
        How many classes there can be, which is public.
    sites
        Number of each record's natural site, shape (rows,), or None.
    site_count
        How many sites there can be, which is public.
    """

    keys: np.ndarray
    labels: np.ndarray
    classes: int
    sites: np.ndarray | None = None
    site_count: int = 0


def split(keys: np.ndarray, test_share: float, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of training and test records, each record by its own coin; both sorted.

    Classes are in both parts in proportion only on average: a split that kept the proportions
    would move other records whenever one is taken away.

    Parameters
    ----------
    keys
        Of the records, see `petlab.data.assignment`; shape (rows,).
    test_share
        Chance of a record to be a test record.
    """
    tested = coins(keys, "test", seed=seed) < test_share
    return np.flatnonzero(~tested), np.flatnonzero(tested)


def check_partition(how: str) -> None:
    """Refuse a way that does not exist.

    Raises
    ------
    UsageError
        With those that do.
    """
    if how.startswith("dirichlet:"):
        _alpha(how)
    elif how not in HOW:
        raise UsageError(f"unknown partition {how!r}. Known: {', '.join(HOW)}.")


def partition(
    how: str, traits: Traits, owners: int, *, seed: int, again: bool = True
) -> list[np.ndarray]:
    """Indices of each owner's records, sorted.

    Parameters
    ----------
    how
        "iid" (every owner is as likely as any other), "dirichlet:ALPHA" (an owner's share of
        each class is drawn from a symmetric Dirichlet distribution; small alpha means unlike
        owners) or "site".
    owners
        How many.
    again
        Draw again when an owner is left without records. Whether that happens depends on all
        records together, so that differential privacy takes what comes: an owner without
        records adds nothing but its noise.

    Raises
    ------
    DataError
        An owner is left without records.
    UsageError
        The way is unknown, or the number of owners is not that of the sites.
    """
    check_partition(how)
    for attempt in range(1 if how == "site" else ATTEMPTS):
        chosen = _chosen(how, traits, owners, seed=seed, attempt=attempt)
        sizes = np.bincount(chosen, minlength=owners)
        if sizes.all() or not again:
            return [np.flatnonzero(chosen == owner) for owner in range(owners)]
    raise DataError(
        f"partition {how}: owner-{int(np.argmin(sizes)) + 1} has no records. Use fewer parties"
        + ("." if how == "site" else ", or another seed.")
    )


def _chosen(how: str, traits: Traits, owners: int, *, seed: int, attempt: int) -> np.ndarray:
    """Number of each record's owner."""
    if how == "site":
        return _site(traits, owners)
    coin = coins(traits.keys, f"owner {attempt}", seed=seed)
    if how == "iid":
        return (coin * owners).astype(np.int64)
    rng = np.random.default_rng([seed, 2, attempt])
    ends = np.cumsum(_class_shares(rng, owners, traits.classes, _alpha(how)), axis=1)[:, :-1]
    return (coin[:, None] >= ends[traits.labels]).sum(1)


def _class_shares(rng: np.random.Generator, owners: int, classes: int, alpha: float) -> np.ndarray:
    """Each owner's share of each class, shape (classes, owners), under which nobody starves."""
    for _ in range(SHARES_TRIED):
        shares = rng.dirichlet(np.full(owners, alpha), classes)
        if (shares.max(0) >= LEAST_SHARE / owners).all():
            return shares
    raise UsageError(
        f"partition dirichlet:{alpha:g}: {owners} owners of {classes} classes always leave one "
        "with next to nothing. Use fewer parties or a larger alpha."
    )


def _site(traits: Traits, owners: int) -> np.ndarray:
    if traits.sites is None:
        raise UsageError("partition site: the card names no site column. Use iid.")
    if traits.site_count != owners:
        raise UsageError(
            f"partition site: the data has {traits.site_count} sites; set parties to that."
        )
    return traits.sites


def _alpha(how: str) -> float:
    try:
        alpha = float(how.partition(":")[2])
    except ValueError:
        alpha = 0.0
    if not 0 < alpha < np.inf:
        raise UsageError("dirichlet:ALPHA takes a positive number.")
    return alpha
