"""What an enclave's memory accesses tell its host, and what its hardware would cost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from petlab.attacks.enclave.controlled_channel import attack, recover, steps, watch
from petlab.attacks.enclave.oblivious import COMPILED, VERSIONS, cost_of_obliviousness, efforts
from petlab.attacks.enclave.side_channel import watched
from petlab.attacks.enclave.trace import LINE, PAGE, AddressSpace
from petlab.data.dataset import find_dataset
from petlab.data.features import as_category
from petlab.techniques.tee import hardware

UNITS = pytest.mark.parametrize("unit", [PAGE, LINE])
LEVELS = (3, 2, 5, 40)
"""1,200 counters: three pages, the last of which is not full."""


@pytest.fixture(scope="module")
def cohort():
    """Genotype, diagnosis and two proteins of the 333 people of apoe; a histogram is a page."""
    data = find_dataset("apoe").load()
    columns = [as_category(data, n, bins=b)[0] for n, b in (("ab42", 16), ("tau", 32))]
    genotype = as_category(data, "genotype", bins=1)[0]
    return np.column_stack([genotype, data.target, *columns]), (6, 2, 16, 32)


def two_groups(people: int = 20):
    """Records of two groups of the same public size."""
    columns = [arrays(np.int64, people, elements=st.integers(0, n - 1)) for n in LEVELS]
    group = st.tuples(*columns).map(np.column_stack)
    return st.tuples(group, group)


@UNITS
def test_the_naive_table_gives_everybodys_genotype_away(cohort, unit):
    """Every group has its own page, so that pages do as well as lines."""
    found = attack(VERSIONS["naive"], *cohort, attribute=0, unit=unit)
    assert found.accuracy == 1.0
    assert found.interval[0] > 0.95 > found.chance


@UNITS
@pytest.mark.parametrize("attribute", range(4))
def test_the_oblivious_table_leaves_the_host_at_chance(cohort, unit, attribute):
    """The attack names the commonest value for everybody: it has nothing else."""
    records, levels = cohort
    found = attack(VERSIONS["oblivious"], records, levels, attribute=attribute, unit=unit)
    low, high = found.interval
    assert low < found.chance < high
    guesses = recover(*watch(VERSIONS["oblivious"], records, levels, unit), attribute)
    assert len(set(guesses)) == 1


def test_a_defence_against_pages_is_none_against_lines(cohort):
    """Hidden from who sees pages, the place in the page is plain to who sees lines."""
    version = VERSIONS["page-oblivious"]
    pages = attack(version, *cohort, attribute=2, unit=PAGE)
    lines = attack(version, *cohort, attribute=2, unit=LINE)
    assert pages.interval[0] < pages.chance < pages.interval[1]
    assert lines.accuracy == 1.0


def test_two_cache_lines_tell_carriers_of_the_risk_allele(cohort):
    """The chi-squared table fits one page, so pages say nothing, but not one line."""
    records, levels = cohort[0][:, :2], cohort[1][:2]
    lines = attack(VERSIONS["naive"], records, levels, attribute=0, unit=LINE)
    pages = attack(VERSIONS["naive"], records, levels, attribute=0, unit=PAGE)
    assert lines.accuracy > 0.8 and lines.interval[0] > lines.chance
    assert pages.accuracy == pages.chance
    trace, known = watch(VERSIONS["naive"], records, levels, LINE)
    second_line = [step[0] == known.counter_units[-1] for step in steps(trace, known)]
    assert np.array_equal(second_line, records[:, 0] >= 4)  # E3E4 and E4E4


@pytest.mark.slow
def test_the_tables_of_the_notebook_say_what_was_found():
    """The naive version's victims, the oblivious version's price: exact in touches."""
    found = watched()
    accuracy, cost = found.accuracy, found.cost
    assert set(accuracy.loc["naive", "genotype"]) == {"100 % (99-100 %)"}
    hidden = accuracy.loc["oblivious"]
    assert all(
        share.startswith(chance)
        for share, chance in zip(hidden["genotype"], hidden["genotype, not looking"], strict=True)
    )
    histograms = cost.loc["histograms, 6,144 counters"]
    assert list(histograms["touched, times naive"]) == ["1", "12", "6,144"]


@settings(max_examples=40, deadline=None)
@given(two_groups())
def test_accesses_of_the_oblivious_table_do_not_depend_on_the_records(groups):
    """For any two groups of the same size the traces are identical: the definition."""
    for version, unit in (("oblivious", PAGE), ("oblivious", LINE), ("page-oblivious", PAGE)):
        first, second = (watch(VERSIONS[version], g, LEVELS, unit)[0] for g in groups)
        assert np.array_equal(first, second)


@pytest.mark.parametrize(("version", "unit"), [("naive", PAGE), ("page-oblivious", LINE)])
def test_accesses_of_the_others_do(version, unit):
    """The property above can fail."""
    first, second = np.zeros((5, 4), np.int64), np.full((5, 4), (2, 1, 4, 39))
    traces = [watch(VERSIONS[version], group, LEVELS, unit)[0] for group in (first, second)]
    assert not np.array_equal(*traces)


@settings(max_examples=40, deadline=None)
@given(two_groups())
def test_all_versions_count_the_same(groups):
    """As numpy's histogram does; the timed loops too."""
    size = int(np.prod(LEVELS))
    edges = [np.arange(n + 1) - 0.5 for n in LEVELS]
    truth = np.histogramdd(groups[0], bins=edges)[0]
    cells = np.ravel_multi_index(tuple(groups[0].T), LEVELS)
    for name, version in VERSIONS.items():
        published = watch(version, groups[0], LEVELS, PAGE)[1].published
        assert np.array_equal(published, truth), name
        assert np.array_equal(COMPILED[name](cells, size), truth.ravel()), name


def test_a_trace_shows_order_and_place_and_no_value():
    """Page by page, each array on pages of its own, and no second visit in a row."""
    space = AddressSpace(PAGE)
    first, second = space.place(np.arange(1000)), space.place(np.arange(10))
    assert first.read(3) == 3 and first.read(slice(0, 600)).sum() == 179_700
    second.add(9, 5)
    second.add(np.array([0, 1]), np.array([7, 7]))
    first.read(999)
    assert space.trace.tolist() == [0, 1, 2, 1]
    assert second.values.tolist() == [7, 8, 2, 3, 4, 5, 6, 7, 8, 14]
    assert (first.touched, second.touched) == (602, 3)


def test_nobody_watching_records_nothing():
    """Timed runs pay for no trace."""
    space = AddressSpace(unit=None)
    space.place(np.arange(10)).read(3)
    assert len(space.trace) == 0


def test_obliviousness_costs_a_touch_of_every_counter(cohort):
    """Touches are exact; the time is measured, and clearly longer."""
    touches, wall = cost_of_obliviousness(*cohort, repeats=3)
    assert touches == 6 * 2 * 16 * 32
    assert wall > 20
    found = efforts(*cohort, repeats=1)
    assert [effort.touches for effort in found.values()] == [1, 12, 6144]


def test_hardware_follows_from_its_inputs_by_the_published_figures():
    """One call at 3 GHz costs 2.7 to 5.7 microseconds; computing up to 1.2 or 126 times."""
    calls = hardware.sgx(0.0, 0, 1_000)
    assert (calls.low_s, calls.high_s) == pytest.approx((8.2e6 / 3e9, 17e6 / 3e9))
    assert hardware.sgx(10.0, 2**27, 0).high_s == pytest.approx(2.0)
    assert hardware.sgx(10.0, 2**27 + 1, 0).high_s == pytest.approx(1250.0)
    assert hardware.sgx(0.0, 2**28, 0).high_s == pytest.approx(32_768 * 40_000 / 3e9)
    machine = hardware.confidential_vm(10.0)
    assert (machine.low_s, machine.high_s) == pytest.approx((0.0, 24.0))


@settings(max_examples=100, deadline=None)
@given(
    *(st.lists(st.floats(0, 1e4), min_size=2, max_size=2).map(sorted),),
    *(st.lists(st.integers(0, 2**34), min_size=2, max_size=2).map(sorted) for _ in range(2)),
)
def test_more_work_never_costs_less_and_ranges_are_ordered(compute, memory, crossings):
    """In every input, at both ends."""
    less, more = (hardware.sgx(*inputs) for inputs in zip(compute, memory, crossings, strict=True))
    small, large = (hardware.confidential_vm(seconds) for seconds in compute)
    for before, after in ((less, more), (small, large)):
        assert 0 <= before.low_s <= before.high_s and after.low_s <= after.high_s
        assert before.low_s <= after.low_s and before.high_s <= after.high_s


@pytest.mark.parametrize("absent", range(3))
def test_what_was_not_measured_is_not_modelled(absent):
    """None, never 0; the machine needs the seconds only."""
    inputs = [None if k == absent else 1 for k in range(3)]
    costs = hardware.modelled_costs(*inputs)
    assert hardware.sgx(*inputs) is None
    assert costs["sgx_added_low_s"].value is None and costs["sgx_added_high_s"].value is None
    assert (costs["confidential_vm_added_high_s"].value is None) == (absent == 0)


def test_every_modelled_number_says_so_and_names_its_sources():
    """In the cost's source, in the basis that tables show, and in the module's references."""
    costs = hardware.modelled_costs(1.0, 2**20, 10)
    assert {cost.source for cost in costs.values()} == {"modelled"}
    assert list(costs) == [
        *("sgx_added_low_s", "sgx_added_high_s"),
        *("confidential_vm_added_low_s", "confidential_vm_added_high_s"),
    ]
    for source in ("HotCalls, ISCA 2017", "VAULT, ASPLOS 2018", "IPDPS 2021", "2509.18886"):
        assert source in hardware.sgx(1.0, 2**20, 10).basis
    for source in ("HotCalls", "arXiv:2509.18886", "IPDPS 2021", "ASPLOS 2018"):
        assert source in hardware.__doc__
    assert "not included" in hardware.confidential_vm(1.0).basis
