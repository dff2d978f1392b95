"""Tables that differ in one record give owners, samples and splits that differ in it alone.

Epsilon compares a table with the same table less one record. So must everything before the
noise: whatever a contribution saw with all records, without one of them it saw the same, that
record apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from petlab.core.ops import Op
from petlab.core.summing import Summing
from petlab.core.task import Placement
from petlab.data.dataset import Dataset, find_dataset
from petlab.running.evaluator import evaluate
from petlab.running.registry import tasks
from petlab.running.result import Cell, Status
from petlab.techniques.dp import release

PROGRAMS = [
    (name, program)
    for name, task in tasks().items()
    for program, found in task.programs.items()
    if found.placement is Placement.ROWS and Op.SUM in found.requires
]
FAST = {"deep": {"epochs": 1, "hidden": "4"}, "elm": {"hidden": 8}, "logreg": {}, "chi2": {}}
Seen = Counter[tuple[str, bytes]]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Seen]:
    """Every record that a contribution was computed from, by owner, each once a run."""
    found: Seen = Counter()
    original = Summing._rows

    def watched(self: Any, owner: Any, request: Any, state: Any) -> Any:
        arrays = [np.asarray(owner.shard[name], float) for name in sorted(owner.shard.arrays)]
        rows = np.column_stack([a.reshape(owner.shard.rows, -1) for a in arrays])
        counts = Counter((owner.name, row.tobytes()) for row in rows)
        found.update(counts - found)
        return original(self, owner, request, state)

    monkeypatch.setattr(Summing, "_rows", watched)
    yield found


def less(dataset: Dataset, row: int, folder: Path) -> Dataset:
    """The same table without one record."""
    table = dataset.path
    path = folder / table.name
    if table.suffix == ".parquet":
        pd.read_parquet(table).drop(index=row).to_parquet(path)
    else:
        lines = table.read_text(encoding="utf-8").splitlines(keepends=True)
        path.write_text("".join(lines[: row + 1] + lines[row + 2 :]), encoding="utf-8")
    return Dataset(replace(dataset.card, sha256=None), path)


def what_was_seen(cell: Cell, dataset: Dataset, seen: Seen) -> Seen:
    """Run a cell and take what its contributions saw."""
    seen.clear()
    result = evaluate(cell, dataset=dataset)
    assert result.status is Status.OK, result.reason
    assert seen
    return Counter(seen)


def changed(cell: Cell, row: int, seen: Seen, folder: Path) -> int:
    """How many records of contributions differ when one of the table is taken away."""
    whole = find_dataset(cell.dataset)
    before = what_was_seen(cell, whole, seen)
    after = what_was_seen(cell, less(whole, row, folder), seen)
    assert not after - before, "taking a record away added one somewhere"
    return (before - after).total()


@pytest.mark.parametrize("release_it", [False, True], ids=["evaluated", "released"])
@pytest.mark.parametrize(("partition", "parties"), [("iid", 3), ("dirichlet:1", 2), ("site", 4)])
@pytest.mark.parametrize(("task", "program"), PROGRAMS)
def test_one_record_less_changes_that_record_alone(
    task: str,
    program: str,
    partition: str,
    parties: int,
    release_it: bool,
    seen: Seen,
    tmp_path: Path,
) -> None:
    """In what every contribution saw, over all tasks and partitions."""
    cell = Cell(task, program, "dp", "heart", parties, partition, settings=FAST.get(task, {}))
    cell = replace(cell, release=release_it)
    found = [changed(cell, row, seen, tmp_path) for row in (0, 459, 919)]
    assert max(found) <= 1
    if release_it or not tasks()[task].test_share:
        assert found == [1, 1, 1], "nothing is set aside, so each record counts"


@pytest.mark.parametrize("technique", ["he+dp", "fl+dp", "fl+he+dp"])
def test_owners_contributions_change_by_one_record(
    technique: str, seen: Seen, tmp_path: Path
) -> None:
    """Wherever the noise is added."""
    cell = Cell("logreg", "sums", technique, "wdbc", parties=3, settings={"iterations": 4})
    assert max(changed(cell, row, seen, tmp_path) for row in (3, 568)) <= 1


@pytest.mark.parametrize("dataset", ["heart", "wdbc", "taiwan_default"])
@pytest.mark.parametrize("rows", [100, 300])
def test_samples_change_by_one_record(dataset: str, rows: int, seen: Seen, tmp_path: Path) -> None:
    """With IDs and without, and every time the same one."""
    cell = Cell("chi2", "sums", "dp", dataset, settings={"rows": rows})
    found = [changed(cell, row, seen, tmp_path) for row in (0, 7, 300)]
    assert max(found) <= 1


def test_batches_are_drawn_by_a_coin_for_each_record() -> None:
    """Under differential privacy a batch holds each record independently of all others."""
    stream = release.NoiseStream(insecure_seed=5)
    from petlab.core.party import Shard

    shard = Shard("owner-1", 400, {"x": np.arange(400)})
    drawn = np.zeros((300, 400), bool)
    for step in range(300):
        drawn[step, release._poisson(shard, 0.25, stream)["x"]] = True
    sizes = drawn.sum(1)
    assert sizes.std() == pytest.approx(np.sqrt(400 * 0.25 * 0.75), rel=0.2)  # seeded
    correlation = np.corrcoef(drawn.T) - np.eye(400)
    assert abs(correlation).max() < 0.35
    assert abs(correlation.mean()) < 0.001


def test_a_sample_of_an_unknown_number_is_refused_under_privacy(tmp_path: Path) -> None:
    """A chance of rows / n would change for everybody with every record."""
    whole = find_dataset("wdbc")
    unknown = Dataset(replace(whole.card, records=None), whole.path)
    cell = Cell("chi2", "sums", "dp", "wdbc", settings={"rows": 100})
    refused = evaluate(cell, dataset=unknown)
    assert refused.status is Status.UNSUPPORTED
    assert "records = " in str(refused.reason)
    released = evaluate(replace(cell, release=True), dataset=unknown)
    assert "dataset_sha256" not in released.provenance, "a refusal is released as well"
    assert evaluate(replace(cell, technique="fl"), dataset=unknown).status is Status.OK


@pytest.mark.parametrize("task", ["chi2", "elm", "logreg", "deep"])
@pytest.mark.parametrize("technique", ["dp", "fl+dp", "he+dp"])
def test_an_owner_without_records_takes_part_under_privacy(task: str, technique: str) -> None:
    """Refusing it, or drawing again, would tell that it has none."""
    settings = {**FAST[task], "rows": 12}
    cell = Cell(task, "sums", technique, "wdbc", 12, settings=settings, release=True)
    result = evaluate(cell)
    assert result.status is Status.OK, result.reason


@pytest.mark.parametrize("again", [True, False])
def test_only_privacy_takes_owners_as_they_come(
    again: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everybody else draws until nobody starves."""
    from petlab.running import placement

    asked = []
    original = placement.partition

    def watched(*given: Any, **named: Any) -> Any:
        asked.append(named["again"])
        return original(*given, **named)

    monkeypatch.setattr(placement, "partition", watched)
    evaluate(Cell("chi2", "sums", "fl" if again else "fl+dp", "wdbc"))
    assert asked == [again]
