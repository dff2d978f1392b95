"""How records are spread: all of them, each once, and nobody is left with none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from petlab.errors import DataError, UsageError
from petlab.partition import partition, split

LABELS = np.random.default_rng(0).integers(0, 3, 600)


@given(
    st.sampled_from(["iid", "dirichlet:1", "dirichlet:100"]), st.integers(1, 6), st.integers(0, 99)
)
def test_parts_are_disjoint_and_cover(how: str, owners: int, seed: int) -> None:
    """Every record has exactly one owner."""
    try:
        parts = partition(how, LABELS, owners, seed=seed)
    except DataError as error:
        assert "has no records" in str(error)
        return
    assert len(parts) == owners
    assert all(len(part) for part in parts)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(LABELS)))


def test_iid_parts_have_equal_sizes() -> None:
    """To within one record."""
    sizes = [len(part) for part in partition("iid", LABELS, 7, seed=0)]
    assert max(sizes) - min(sizes) <= 1


def shares(how: str) -> np.ndarray:
    """Share of class 0 at each of five owners, over many seeds."""
    found = []
    for seed in range(40):
        try:
            parts = partition(how, LABELS, 5, seed=seed)
        except DataError:
            continue
        found += [(LABELS[part] == 0).mean() for part in parts]
    return np.array(found)


def test_small_alpha_makes_owners_unlike() -> None:
    """Class shares vary far more at alpha 0.3 than at alpha 100, where they are the pool's."""
    assert shares("dirichlet:0.3").std() > 4 * shares("dirichlet:100").std()
    assert shares("dirichlet:100").mean() == pytest.approx((LABELS == 0).mean(), abs=0.02)


def test_site_partition_is_the_natural_one() -> None:
    """Each site is one owner."""
    sites = np.array([2, 0, 1, 0, 2, 2])
    parts = partition("site", np.zeros(6), 3, seed=0, sites=sites)
    assert [part.tolist() for part in parts] == [[1, 3], [2], [0, 4, 5]]


def test_site_partition_wants_as_many_parties_as_sites() -> None:
    """And a card that names a site column."""
    with pytest.raises(UsageError, match="3 sites"):
        partition("site", np.zeros(6), 2, seed=0, sites=np.array([2, 0, 1, 0, 2, 2]))
    with pytest.raises(UsageError, match="no site column"):
        partition("site", np.zeros(6), 2, seed=0)


@pytest.mark.parametrize("how", ["iid", "dirichlet:0.01"])
def test_owner_without_records_is_refused(how: str) -> None:
    """With the owner's name and the cure."""
    with pytest.raises(DataError, match=r"owner-\d+ has no records. Use fewer parties"):
        partition(how, np.zeros(3), 5, seed=0)


@pytest.mark.parametrize(
    "how", ["random", "dirichlet:0", "dirichlet:-1", "dirichlet:x", "dirichlet:inf"]
)
def test_unknown_way_is_refused(how: str) -> None:
    """Misspelt names and impossible alphas."""
    with pytest.raises(UsageError):
        partition(how, LABELS, 3, seed=0)


@given(st.integers(0, 99), st.sampled_from([0.1, 0.25, 0.5]))
def test_split_is_stratified(seed: int, share: float) -> None:
    """Both parts cover all, share nothing, and hold each class in its proportion."""
    train, test = split(LABELS, share, seed=seed)
    assert sorted([*train.tolist(), *test.tolist()]) == list(range(len(LABELS)))
    for label in range(3):
        members = (label == LABELS).sum()
        assert abs((LABELS[test] == label).sum() - share * members) <= 0.5


def test_split_depends_on_the_seed_alone() -> None:
    """Every technique sees the same test records."""
    first, again, other = (split(LABELS, 0.25, seed=s)[1].tolist() for s in (0, 0, 1))
    assert first == again
    assert first != other


def test_class_too_rare_for_both_parts_is_refused() -> None:
    """One record cannot be both trained and tested on."""
    with pytest.raises(DataError, match="too few records"):
        split(np.array([0] * 50 + [1]), 0.25, seed=0)
