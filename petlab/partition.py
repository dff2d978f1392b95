"""How records are spread over data owners."""

from __future__ import annotations

import numpy as np

from petlab.errors import DataError, UsageError

HOW = ("iid", "dirichlet:ALPHA", "site")


def split(labels: np.ndarray, test_share: float, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of training and test records, stratified by class; both sorted.

    Raises
    ------
    DataError
        A class has too few records to be in both parts.
    """
    rng = np.random.default_rng([seed, 1])
    test = []
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        count = round(test_share * len(members))
        if not 0 < count < len(members):
            raise DataError("a class has too few records for a training and a test part.")
        test.append(members[:count])
    chosen = np.sort(np.concatenate(test))
    return np.setdiff1d(np.arange(len(labels)), chosen), chosen


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
    how: str, labels: np.ndarray, owners: int, *, seed: int, sites: np.ndarray | None = None
) -> list[np.ndarray]:
    """Indices of each owner's records.

    Parameters
    ----------
    how
        "iid" (random, equal sizes), "dirichlet:ALPHA" (each class is spread by a draw from
        a symmetric Dirichlet distribution; small alpha means unlike owners) or "site".
    labels
        Class of each record, shape (rows,).
    owners
        How many.
    sites
        Natural site of each record, or None.

    Raises
    ------
    DataError
        An owner is left without records.
    UsageError
        The way is unknown, or the number of owners is not that of the sites.
    """
    check_partition(how)
    rng = np.random.default_rng([seed, 2])
    if how == "iid":
        parts = np.array_split(rng.permutation(len(labels)), owners)
    elif how.startswith("dirichlet:"):
        parts = _dirichlet(labels, owners, _alpha(how), rng)
    else:
        parts = _by_site(sites, owners)
    for number, part in enumerate(parts, start=1):
        if not len(part):
            raise DataError(f"partition {how}: owner-{number} has no records. Use fewer parties.")
    return [np.sort(part) for part in parts]


def _alpha(how: str) -> float:
    try:
        alpha = float(how.partition(":")[2])
    except ValueError:
        alpha = 0.0
    if not 0 < alpha < np.inf:
        raise UsageError("dirichlet:ALPHA takes a positive number.")
    return alpha


def _dirichlet(
    labels: np.ndarray, owners: int, alpha: float, rng: np.random.Generator
) -> list[np.ndarray]:
    parts: list[list[np.ndarray]] = [[] for _ in range(owners)]
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        shares = np.cumsum(rng.dirichlet(np.full(owners, alpha)))[:-1]
        cuts = (shares * len(members)).astype(int)
        for part, piece in zip(parts, np.split(members, cuts), strict=True):
            part.append(piece)
    return [np.concatenate(part) for part in parts]


def _by_site(sites: np.ndarray | None, owners: int) -> list[np.ndarray]:
    if sites is None:
        raise UsageError("partition site: the card names no site column. Use iid.")
    found = np.unique(sites)
    if len(found) != owners:
        raise UsageError(f"partition site: the data has {len(found)} sites; set parties to that.")
    return [np.flatnonzero(sites == site) for site in found]
