"""How records are spread: all of them, each once, and each by itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from petlab.data.assignment import coins, record_keys
from petlab.data.partition import Traits, partition, split
from petlab.errors import DataError, UsageError

LABELS = np.random.default_rng(0).integers(0, 3, 600)
KEYS = record_keys([np.random.default_rng(1).normal(size=600)])
PEOPLE = Traits(KEYS, LABELS, 3)
WAYS = ["iid", "dirichlet:1", "dirichlet:100"]


def few(count: int, **more: object) -> Traits:
    """The first records."""
    return Traits(KEYS[:count], LABELS[:count], 3, **more)  # type: ignore[arg-type]


@given(st.sampled_from(WAYS), st.integers(1, 6), st.integers(0, 99))
def test_parts_are_disjoint_and_cover(how: str, owners: int, seed: int) -> None:
    """Every record has exactly one owner."""
    parts = partition(how, PEOPLE, owners, seed=seed)
    assert len(parts) == owners
    assert all(len(part) for part in parts)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(LABELS)))


@given(st.sampled_from(WAYS), st.integers(0, 99), st.integers(0, 599))
def test_one_record_less_moves_no_other(how: str, seed: int, removed: int) -> None:
    """Neither to another owner nor between training and test."""
    rest = np.delete(np.arange(600), removed)
    fewer = Traits(KEYS[rest], LABELS[rest], 3)
    whole = [set(KEYS[part]) for part in partition(how, PEOPLE, 4, seed=seed)]
    parts = [set(KEYS[rest][part]) for part in partition(how, fewer, 4, seed=seed)]
    assert [was - now for was, now in zip(whole, parts, strict=True) if was != now] == [
        {KEYS[removed]}
    ]
    assert all(now <= was for was, now in zip(whole, parts, strict=True))
    for before, after in zip(
        split(KEYS, 0.25, seed=seed), split(KEYS[rest], 0.25, seed=seed), strict=True
    ):
        assert set(KEYS[before]) - {KEYS[removed]} == set(KEYS[rest][after])


def test_iid_owners_are_equally_likely() -> None:
    """Sizes are those of fair draws."""
    from scipy import stats

    sizes = [len(part) for part in partition("iid", PEOPLE, 6, seed=0)]
    assert stats.chisquare(sizes).pvalue > 0.001  # seeded


def shares(how: str) -> np.ndarray:
    """Share of class 0 at each of five owners, over many seeds."""
    found = []
    for seed in range(40):
        found += [(LABELS[part] == 0).mean() for part in partition(how, PEOPLE, 5, seed=seed)]
    return np.array(found)


def test_small_alpha_makes_owners_unlike() -> None:
    """Class shares vary far more at alpha 0.3 than at alpha 100, where they are the pool's."""
    assert shares("dirichlet:0.3").std() > 4 * shares("dirichlet:100").std()
    assert shares("dirichlet:100").mean() == pytest.approx((LABELS == 0).mean(), abs=0.02)


def test_dirichlet_draws_again_until_nobody_starves() -> None:
    """Ten owners at alpha 0.1, of which one draw in hundreds leaves all with something."""
    parts = partition("dirichlet:0.1", PEOPLE, 8, seed=3)
    assert min(len(part) for part in parts) > 0


def test_dirichlet_without_hope_is_refused() -> None:
    """Before any record is looked at."""
    with pytest.raises(UsageError, match="larger alpha"):
        partition("dirichlet:0.0001", PEOPLE, 50, seed=0)


def test_site_partition_is_the_natural_one() -> None:
    """Each site is one owner."""
    sites = np.array([2, 0, 1, 0, 2, 2])
    parts = partition("site", few(6, sites=sites, site_count=3), 3, seed=0)
    assert [part.tolist() for part in parts] == [[1, 3], [2], [0, 4, 5]]


def test_site_partition_wants_as_many_parties_as_sites() -> None:
    """And a card that names a site column."""
    sites = np.array([2, 0, 1, 0, 2, 2])
    with pytest.raises(UsageError, match="3 sites"):
        partition("site", few(6, sites=sites, site_count=3), 2, seed=0)
    with pytest.raises(UsageError, match="no site column"):
        partition("site", few(6), 2, seed=0)


def test_owner_without_records_is_refused() -> None:
    """With the owner's name and the cure."""
    with pytest.raises(DataError, match=r"owner-\d+ has no records. Use fewer parties"):
        partition("iid", few(3), 5, seed=0)
    with pytest.raises(DataError, match=r"owner-1 has no records. Use fewer parties"):
        partition("site", few(3, sites=np.array([1, 1, 1]), site_count=2), 2, seed=0)


def test_under_differential_privacy_nothing_is_drawn_again() -> None:
    """Whether somebody starves depends on all records, so a second draw would tell."""
    starving = next(
        seed
        for seed in range(100)
        if len(np.unique((coins(KEYS[:6], "owner 0", seed=seed) * 3).astype(int))) < 3
    )
    assert all(len(part) for part in partition("iid", few(6), 3, seed=starving))
    parts = partition("iid", few(6), 3, seed=starving, again=False)
    assert not all(len(part) for part in parts)
    assert sum(len(part) for part in parts) == 6


@pytest.mark.parametrize(
    "how", ["random", "dirichlet:0", "dirichlet:-1", "dirichlet:x", "dirichlet:inf"]
)
def test_unknown_way_is_refused(how: str) -> None:
    """Misspelt names and impossible alphas."""
    with pytest.raises(UsageError):
        partition(how, PEOPLE, 3, seed=0)


def test_split_depends_on_the_seed_alone() -> None:
    """Every technique sees the same test records, about as many as asked for."""
    first, again, other = (split(KEYS, 0.25, seed=s)[1].tolist() for s in (0, 0, 1))
    assert first == again
    assert first != other
    assert 100 < len(first) < 200


# Keys and coins.


def test_keys_do_not_depend_on_the_order_of_records() -> None:
    """Not even those of records with the same content."""
    rng = np.random.default_rng(0)
    table = [rng.integers(0, 3, 400).astype(float), rng.integers(0, 2, 400)]
    order = rng.permutation(400)
    keys, shuffled = record_keys(table), record_keys([column[order] for column in table])
    assert sorted(keys.tolist()) == sorted(shuffled.tolist())
    assert len(set(keys.tolist())) == 400, "copies have keys of their own"


@given(st.integers(0, 199))
def test_one_copy_less_takes_one_key_away(removed: int) -> None:
    """Of any copy: what is left is the same."""
    column = np.arange(200) // 40
    keys, rest = record_keys([column]), record_keys([np.delete(column, removed)])
    assert set(rest.tolist()) < set(keys.tolist())
    (gone,) = set(keys.tolist()) - set(rest.tolist())
    assert column[keys.tolist().index(gone)] == column[removed]


def test_keys_follow_the_content_of_every_column() -> None:
    """A number elsewhere is another record; the same number, however written, is not."""
    a, b = np.array([1.0, 2.0, np.nan, 0.0]), np.array([1, 1, 1, 1])
    base = record_keys([a, b])
    assert not set(base.tolist()) & set(record_keys([a + 0.5, b])[:2].tolist())
    assert not set(base.tolist()) & set(record_keys([b, a]).tolist()) - {base[0]}
    other_nan = np.frombuffer(np.uint64(0xFFF8000000000001).tobytes(), float)[0]
    again = record_keys([np.array([1.0, 2.0, other_nan, -0.0]), b])
    assert again.tolist() == base.tolist()


def test_records_of_one_id_stay_together() -> None:
    """Whatever else is in them."""
    keys = record_keys([np.arange(3.0)], np.array(["a", "b", "a"]))
    assert keys[0] == keys[2] != keys[1]


def test_coins_are_fair_and_unrelated() -> None:
    """For one purpose uniform; for two purposes or seeds independent."""
    from scipy import stats

    keys = record_keys([np.arange(20_000)])
    test, owner = coins(keys, "test", seed=0), coins(keys, "owner 0", seed=0)
    other = coins(keys, "test", seed=1)
    assert stats.kstest(test, "uniform").pvalue > 0.001  # nothing here is drawn anew
    for pair in (owner, other):
        assert stats.kstest(pair, "uniform").pvalue > 0.001
        assert abs(np.corrcoef(test, pair)[0, 1]) < 0.03
