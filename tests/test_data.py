"""Data sets: what is shipped loads, and what is wrong is refused with row, column and cure."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from petlab.data.card import read_card
from petlab.data.dataset import find_dataset, shipped, shipped_folder
from petlab.data.features import as_category, encode
from petlab.data.table import Table
from petlab.errors import DataError, UsageError
from petlab.running.evaluator import evaluate
from petlab.running.result import Cell

TELLTALE = "98765.4321"
"""A value that must not show in an error message, whatever is wrong with it."""

COLUMNS: dict[str, dict[str, Any]] = {
    "patient": {"kind": "category"},
    "clinic": {"kind": "category", "levels": ["north", "south"]},
    "age": {"kind": "number", "range": [20, 100]},
    "sugar": {"kind": "number", "range": [0, 10]},
    "smoker": {"kind": "category", "levels": ["no", "yes"]},
    "ill": {"kind": "category", "levels": ["no", "yes"]},
}
ROWS = 40


def records() -> pd.DataFrame:
    """Forty good records."""
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "patient": [f"p{k}" for k in range(ROWS)],
            "clinic": np.where(np.arange(ROWS) % 2, "north", "south"),
            "age": rng.integers(20, 101, ROWS).astype(object),
            "sugar": rng.uniform(0, 10, ROWS).round(2).astype(object),
            "smoker": rng.choice(["no", "yes"], ROWS),
            "ill": np.where(np.arange(ROWS) % 3, "no", "yes"),
        }
    )


def toml(value: Any) -> str:
    """A literal as TOML writes it."""
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def write(
    folder: Path,
    frame: pd.DataFrame,
    columns: dict[str, dict[str, Any]] | None = None,
    **roles: Any,
) -> dict[str, str]:
    """Write a table and a card; return them as a cell names them."""
    card: dict[str, Any] = {"name": "clinics", "target": "ill", "positive": "yes"}
    card |= {"id": "patient", "site": "clinic", "factor": "smoker"} | roles
    lines = [f"{key} = {toml(value)}" for key, value in card.items() if value is not None]
    for name, entry in (columns or COLUMNS).items():
        lines.append(f'[columns."{name}"]')
        lines += [f"{key} = {toml(value)}" for key, value in entry.items()]
    frame.to_csv(folder / "clinics.csv", index=False)
    (folder / "clinics.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {"data": str(folder / "clinics.csv"), "card": str(folder / "clinics.toml")}


def load(folder: Path, frame: pd.DataFrame, columns: Any = None, **roles: Any) -> Table:
    """Write and read back."""
    return find_dataset(**write(folder, frame, columns, **roles)).load()


def changed(**entries: Any) -> dict[str, dict[str, Any]]:
    """The columns with some entries replaced; `age={"missing": "drop"}` adds to age's."""
    return {name: {**entry, **entries.get(name, {})} for name, entry in COLUMNS.items()}


def refusal(folder: Path, frame: pd.DataFrame, columns: Any = None, **roles: Any) -> str:
    """The message with which a table is refused; never the value."""
    with pytest.raises(DataError) as caught:
        load(folder, frame, columns, **roles)
    assert TELLTALE not in str(caught.value)
    return str(caught.value)


# Shipped.


@pytest.mark.parametrize("name", shipped())
def test_shipped_table_is_the_one_of_its_card(name: str) -> None:
    """The checksum in the card is the file's, and every record passes the card."""
    values = tomllib.loads(shipped()[name].read_text(encoding="utf-8"))
    content = (shipped_folder() / values["file"]).read_bytes()
    assert hashlib.sha256(content).hexdigest() == values["sha256"]
    table = find_dataset(name).load()
    assert table.rows >= 300
    assert {*table.card.columns} >= {values["target"], values["factor"]}


@pytest.mark.parametrize("name", shipped())
def test_shipped_card_says_where_the_data_is_from(name: str) -> None:
    """Source, licence, citation, and the meaning of every column."""
    values = tomllib.loads(shipped()[name].read_text(encoding="utf-8"))
    assert all(values.get(key) for key in ("title", "domain", "source", "licence"))
    assert "observed" not in {entry.get("range_source") for entry in values["columns"].values()}
    assert [c for c, entry in values["columns"].items() if not entry.get("meaning")] == []


def test_both_fields_are_shipped() -> None:
    """Medical and financial."""
    domains = {read_card(path).domain for path in shipped().values()}
    assert {"medical", "financial"} <= domains


def test_heart_keeps_its_four_hospitals() -> None:
    """The missing-value policies leave records at every hospital, not at one."""
    table = find_dataset("heart").load()
    counts = np.bincount(table.values["hospital"])
    assert len(counts) == 4
    assert counts.min() > 100
    assert table.rows == 920


@pytest.mark.parametrize("name", shipped())
def test_features_keep_within_their_public_norm(name: str) -> None:
    """Numbers lie in [-1, 1], categories are one-hot, and no record exceeds the bound."""
    table = find_dataset(name).load()
    features = encode(table)
    assert np.abs(features.matrix).max() <= 1
    norms = np.linalg.norm(features.matrix, axis=1)
    assert norms.max() <= features.norm + 1e-12
    assert len(features.names) == features.matrix.shape[1] == len(set(features.names))
    for column in table.columns:
        if column.kind == "category":
            chosen = [k for k, n in enumerate(features.names) if n.startswith(f"{column.name}=")]
            np.testing.assert_array_equal(features.matrix[:, chosen].sum(1), 1)


def test_unknown_data_set_is_refused_with_a_hint() -> None:
    """A misspelt name meets the nearest one."""
    with pytest.raises(UsageError, match="wdbc"):
        find_dataset("wdcb")


# Good tables of the user's own.


def test_own_table_loads(tmp_path: Path) -> None:
    """Values come as the file has them, categories as codes, the positive class last."""
    frame = records()
    table = load(tmp_path, frame)
    assert table.rows == ROWS
    np.testing.assert_array_equal(table.values["age"], frame["age"].astype(float))
    np.testing.assert_array_equal(table.values["smoker"], frame["smoker"] == "yes")
    np.testing.assert_array_equal(table.target, frame["ill"] == "yes")


def test_positive_class_is_last_whatever_the_order_of_levels(tmp_path: Path) -> None:
    """`positive` decides, not the alphabet."""
    frame = records()
    table = load(tmp_path, frame, positive="no")
    assert table.card.classes == ("yes", "no")
    np.testing.assert_array_equal(table.target, frame["ill"] == "no")


def test_ranges_scale_to_plus_and_minus_one(tmp_path: Path) -> None:
    """The card's low is -1, its high 1, the middle 0, and the data does not matter."""
    frame = records()
    frame.loc[:2, "age"] = [20, 60, 100]
    features = encode(load(tmp_path, frame))
    assert features.names == ("age", "sugar", "smoker=no", "smoker=yes")
    assert features.matrix[:3, 0].tolist() == [-1.0, 0.0, 1.0]
    assert features.norm == pytest.approx(np.sqrt(3))


def test_number_is_cut_at_equal_steps_of_its_range(tmp_path: Path) -> None:
    """Edges belong to the interval above, the highest value to the last."""
    frame = records()
    frame.loc[:5, "age"] = [20, 39.9, 40, 60, 80, 100]
    codes, names = as_category(load(tmp_path, frame), "age", bins=4)
    assert codes[:6].tolist() == [0, 0, 1, 2, 3, 3]
    assert names == ("20 to 40", "40 to 60", "60 to 80", "80 to 100")


def test_parquet_is_read_like_csv(tmp_path: Path) -> None:
    """The same records, the same table."""
    frame = records().astype({"age": float, "sugar": float})
    files = write(tmp_path, frame)
    frame.to_parquet(tmp_path / "clinics.parquet")
    found = find_dataset(data=str(tmp_path / "clinics.parquet"), card=files["card"]).load()
    np.testing.assert_array_equal(encode(found).matrix, encode(load(tmp_path, frame)).matrix)


# What is missing.


def with_gaps(column: str, *rows: int) -> pd.DataFrame:
    """Good records with holes."""
    frame = records()
    frame.loc[list(rows), column] = ""
    return frame


def test_missing_value_is_refused_by_default(tmp_path: Path) -> None:
    """With its row, its column and the way out."""
    message = refusal(tmp_path, with_gaps("sugar", 6, 9))
    assert "row 7, column sugar" in message
    assert "policy" in message


def test_drop_leaves_those_records_out(tmp_path: Path) -> None:
    """And only those, in all columns, and says so."""
    frame = with_gaps("sugar", 6, 9)
    table, left_out = load(tmp_path, frame, changed(sugar={"missing": "drop"})).complete()
    assert table.rows == ROWS - 2
    assert left_out == {"sugar": 2}
    kept = frame["sugar"] != ""
    np.testing.assert_array_equal(table.values["age"], frame["age"][kept].astype(float))
    assert all(len(values) == table.rows for values in table.values.values())


def test_missing_values_count_where_they_are_used(tmp_path: Path) -> None:
    """A test of one column keeps the people who lack another, and a note tells of the rest."""
    from scipy import stats

    frame = with_gaps("sugar", *range(0, ROWS, 3))
    frame.loc[[1, 4], "smoker"] = ""
    written = write(tmp_path, frame, changed(sugar={"missing": "drop"}, smoker={"missing": "drop"}))
    for technique in ("cleartext", "he", "mpc"):
        result = evaluate(Cell("chi2", technique=technique, **written))
        seen = frame[frame["smoker"] != ""]
        table = pd.crosstab(seen["ill"], seen["smoker"])
        assert np.array_equal(result.answer["table"], table)
        expected = stats.chi2_contingency(table, correction=False).statistic
        assert result.answer["statistic"] == pytest.approx(expected)
        assert any("2 records were left out: column smoker" in note for note in result.notes)
        assert not any("sugar" in note for note in result.notes)


@pytest.mark.parametrize("technique", ["cleartext", "he", "mpc", "tee"])
def test_each_of_many_factors_counts_who_has_a_value(tmp_path: Path, technique: str) -> None:
    """As many people in a table as have a value for it, not those who have them all."""
    frame = with_gaps("sugar", *range(0, ROWS, 3))
    frame.loc[[1, 4], "smoker"] = ""
    written = write(tmp_path, frame, changed(sugar={"missing": "drop"}, smoker={"missing": "drop"}))
    cell = Cell("chi2", "linked", technique, settings={"factor": "sugar,smoker"}, **written)
    result = evaluate(cell)
    found = np.array(result.answer["table"])
    assert found[:, :4].sum() == (frame["sugar"] != "").sum()
    smokers = frame[frame["smoker"] != ""]
    assert np.array_equal(found[:, 4:], pd.crosstab(smokers["ill"], smokers["smoker"]))
    assert any("2 records have no value in smoker" in note for note in result.notes)
    assert result.quality["count_max_error"].value == 0


def test_impute_puts_the_public_value_in(tmp_path: Path) -> None:
    """For numbers and categories, and nowhere else."""
    frame = with_gaps("sugar", 6, 9)
    frame.loc[3, "smoker"] = ""
    policies = changed(sugar={"missing": "impute:4.5"}, smoker={"missing": "impute:yes"})
    table = load(tmp_path, frame, policies)
    assert table.values["sugar"][[6, 9]].tolist() == [4.5, 4.5]
    assert table.values["smoker"][3] == 1
    others = np.setdiff1d(np.arange(ROWS), [6, 9])
    np.testing.assert_array_equal(
        table.values["sugar"][others], frame["sugar"][others].astype(float)
    )


def test_indicator_marks_what_was_missing(tmp_path: Path) -> None:
    """A number gets a 0/1 column and the middle of its range, a category a level of its own."""
    frame = with_gaps("sugar", 6, 9)
    frame.loc[3, "smoker"] = ""
    policies = changed(sugar={"missing": "indicator"}, smoker={"missing": "indicator"})
    table = load(tmp_path, frame, policies)
    features = encode(table)
    marks = features.matrix[:, features.names.index("sugar missing")]
    assert set(np.flatnonzero(marks == marks.max())) == {6, 9}
    assert features.matrix[[6, 9], features.names.index("sugar")].tolist() == [0.0, 0.0]
    unknown = features.matrix[:, features.names.index("smoker=missing")]
    assert np.flatnonzero(unknown).tolist() == [3]
    assert np.linalg.norm(features.matrix, axis=1).max() <= features.norm


@pytest.mark.parametrize("policy", ["refuse", "drop"])
@pytest.mark.parametrize("column", ["ill", "clinic"])
def test_missing_target_or_site_is_always_refused(tmp_path: Path, column: str, policy: str) -> None:
    """Whatever the policy: a record without its class or its owner means nothing."""
    message = refusal(tmp_path, with_gaps(column, 4), changed(**{column: {"missing": policy}}))
    assert f"row 5, column {column}" in message


def test_drop_that_leaves_nothing_is_refused(tmp_path: Path) -> None:
    """An empty table is no data set."""
    frame = with_gaps("sugar", *range(ROWS))
    table = load(tmp_path, frame, changed(sugar={"missing": "drop"}))
    with pytest.raises(DataError, match="no row is left"):
        table.complete()


@pytest.mark.parametrize(
    "entry",
    [
        {"range": "[0, inf]"},
        {"range": "[nan, 1]"},
        {"range": "[-inf, inf]"},
    ],
    ids=repr,
)
def test_a_range_without_end_is_refused(tmp_path: Path, entry: dict) -> None:
    """Noise would have no size."""
    written = write(tmp_path, records())
    card = Path(written["card"])
    text = card.read_text().replace("range = [0, 10]", f"range = {entry['range']}")
    card.write_text(text)
    with pytest.raises(DataError, match="range"):
        find_dataset(**written)


# Tables are read as they are.


SHIFTS = {
    "a comma at the end of every row": lambda lines: [lines[0], *(x + "," for x in lines[1:])],
    "a comma at the end of one row": lambda lines: [*lines[:3], lines[3] + ",", *lines[4:]],
    "a value too few": lambda lines: [*lines[:3], lines[3].rpartition(",")[0], *lines[4:]],
    "a column twice": lambda lines: [x + "," + x.rpartition(",")[2] for x in lines],
}


@pytest.mark.parametrize("shift", SHIFTS.values(), ids=SHIFTS)
def test_what_would_shift_columns_is_refused(tmp_path: Path, shift: Any) -> None:
    """Where a reader that guesses would move every value one column on."""
    written = write(tmp_path, records())
    path = Path(written["data"])
    path.write_text("\n".join(shift(path.read_text().splitlines())) + "\n")
    with pytest.raises(DataError, match=r"row [13]\b|column ill"):
        find_dataset(**written).load()


@pytest.mark.parametrize("text", ["1_0", "0x1A", "\u0663\u0664", "4 2", "1d1", "5%", "nan", "inf"])
def test_only_plain_numbers_are_numbers(tmp_path: Path, text: str) -> None:
    """What one program reads as a number and another does not is refused."""
    frame = records()
    frame.loc[4, "age"] = text
    message = refusal(tmp_path, frame)
    assert "row 5, column age" in message
    assert "not a finite number" in message


@pytest.mark.parametrize("text", ["42", " 42 ", "+42", "42.", "4.2e1", "042"])
def test_plain_numbers_are_read(tmp_path: Path, text: str) -> None:
    """However they are written."""
    frame = records()
    frame.loc[4, "age"] = text
    assert load(tmp_path, frame).values["age"][4] == 42


def test_a_column_named_like_an_indicator_is_refused(tmp_path: Path) -> None:
    """It would be overwritten without a word."""
    frame = records().assign(**{"sugar missing": 1})
    columns = changed(sugar={"missing": "indicator"})
    columns["sugar missing"] = {"kind": "number", "range": [0, 2]}
    assert "indicator of sugar" in refusal(tmp_path, frame, columns)


@pytest.mark.parametrize("content", [b"a,b\n1,\xff\n", b"", b"\n", b"a,b\n", b'a,b\n"1,2\n'])
def test_broken_files_are_refused(tmp_path: Path, content: bytes) -> None:
    """Wrong encodings, nothing, an open quote: an error of petlab's, never one of Python's."""
    written = write(tmp_path, records())
    Path(written["data"]).write_bytes(content)
    with pytest.raises(DataError):
        find_dataset(**written).load()


# What is wrong.


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("age", TELLTALE, "range 20..100"),
        ("age", "-" + TELLTALE, "range 20..100"),
        ("sugar", TELLTALE + "x", "not a finite number"),
        ("sugar", "inf", "not a finite number"),
        ("smoker", TELLTALE, "2 levels"),
        ("smoker", "Yes", "2 levels"),
        ("ill", TELLTALE, "2 levels"),
    ],
)
def test_bad_value_is_refused_by_place_and_not_by_value(
    tmp_path: Path, column: str, value: str, says: str
) -> None:
    """Row and column are named, and what to do; the value itself stays private."""
    frame = records()
    frame.loc[16, column] = value
    message = refusal(tmp_path, frame)
    assert f"clinics.csv row 17, column {column}" in message
    assert says in message
    assert value not in message.replace("2 levels", "")


def test_first_bad_row_is_named(tmp_path: Path) -> None:
    """Not the last, and counted from one."""
    frame = records()
    frame.loc[[0, 30], "age"] = "1000"
    assert "row 1," in refusal(tmp_path, frame)


def test_undeclared_column_is_refused(tmp_path: Path) -> None:
    """Nothing unknown is computed on."""
    message = refusal(tmp_path, records().assign(income=TELLTALE))
    assert "column income is not declared" in message
    assert "kind in the card" in message


def test_absent_column_is_refused(tmp_path: Path) -> None:
    """The card describes what the file has."""
    assert "column sugar" in refusal(tmp_path, records().drop(columns="sugar"))


def test_changed_file_is_refused(tmp_path: Path) -> None:
    """A checksum that is not the card's."""
    files = write(tmp_path, records())
    good = hashlib.sha256(Path(files["data"]).read_bytes()).hexdigest()
    assert load(tmp_path, records(), sha256=good).rows == ROWS
    assert "checksum differs" in refusal(tmp_path, records().iloc[1:], sha256=good)


def test_empty_site_is_refused(tmp_path: Path) -> None:
    """A site of the card without records cannot be an owner."""
    message = refusal(tmp_path, records().assign(clinic="north"))
    assert "column clinic" in message
    assert "'south'" in message


def test_single_class_is_refused(tmp_path: Path) -> None:
    """There is nothing to tell apart."""
    assert "only one class" in refusal(tmp_path, records().assign(ill="yes"))


def test_table_without_rows_is_refused(tmp_path: Path) -> None:
    """A header alone."""
    assert "no rows" in refusal(tmp_path, records().iloc[:0])


def test_duplicate_ids_in_a_linked_study_are_refused(tmp_path: Path) -> None:
    """Two owners' columns cannot be laid side by side; sums do not mind."""
    frame = records()
    frame.loc[20, "patient"] = "p7"
    files = write(tmp_path, frame)
    with pytest.raises(DataError, match="row 8, column patient: this ID stands twice") as caught:
        evaluate(Cell("chi2", "linked", "he", **files))
    assert "p7" not in str(caught.value)
    assert evaluate(Cell("chi2", "sums", "cleartext", **files)).status == "ok"


def test_missing_files_are_refused(tmp_path: Path) -> None:
    """With the path, and with what would make a card."""
    files = write(tmp_path, records())
    with pytest.raises(DataError, match="no such file"):
        find_dataset(data=str(tmp_path / "x.csv"), card=files["card"]).load()
    with pytest.raises(DataError, match="petlab card"):
        find_dataset(data=files["data"], card=str(tmp_path / "x.toml"))
    with pytest.raises(UsageError, match="together"):
        find_dataset(data=files["data"])


@pytest.mark.parametrize(
    ("columns", "roles", "says"),
    [
        (changed(age={"range": []}), {}, "fill in `range`"),
        (changed(age={"range": [100, 20]}), {}, "low < high"),
        (changed(age={"range": [20]}), {}, "low < high"),
        (changed(smoker={"levels": []}), {}, "fill in `levels`"),
        (changed(smoker={"levels": ["no", "no"]}), {}, "twice"),
        (changed(age={"kind": "date"}), {}, "kind must be"),
        (changed(age={"unit": "years"}), {}, "unknown key"),
        (changed(age={"missing": "guess"}), {}, "missing must be"),
        (changed(age={"missing": "impute:1000"}), {}, "imputed value"),
        (changed(age={"missing": "impute:old"}), {}, "imputed value"),
        (changed(smoker={"missing": "impute:maybe"}), {}, "imputed value"),
        (changed(age={"range_source": "guess"}), {}, "range_source"),
        (changed(ill={"levels": ["yes"]}), {}, "two levels"),
        (COLUMNS, {"target": "illness"}, "Did you mean ill"),
        (COLUMNS, {"target": "age", "positive": None}, "must be of kind"),
        (COLUMNS, {"positive": "perhaps"}, "positive is not a level"),
        (COLUMNS, {"colour": "red"}, "unknown key"),
    ],
)
def test_bad_card_is_refused(tmp_path: Path, columns: Any, roles: Any, says: str) -> None:
    """Before any data is read, with the column and what to write instead."""
    message = refusal(tmp_path, records(), columns, **roles)
    assert says in message
    assert "clinics.toml" in message


def test_card_that_is_not_toml_is_refused(tmp_path: Path) -> None:
    """A syntax error is one line, not a traceback."""
    files = write(tmp_path, records())
    Path(files["card"]).write_text("name = = 3")
    with pytest.raises(DataError, match="not valid TOML"):
        read_card(Path(files["card"]))


def test_value_that_pandas_cannot_read_is_not_shown(tmp_path: Path) -> None:
    """A line with too many fields is refused, and its content stays out of the message."""
    files = write(tmp_path, records())
    path = Path(files["data"])
    path.write_text(path.read_text() + f"p99,north,50,1,no,yes,{TELLTALE}\n")
    with pytest.raises(DataError) as caught:
        find_dataset(**files).load()
    assert TELLTALE not in str(caught.value)


def test_a_repeated_column_stands_for_numbered_ones(tmp_path: Path) -> None:
    """`repeat = 2` under `pixel` declares pixel_0 and pixel_1."""
    (tmp_path / "few.csv").write_text("pixel_0,pixel_1,digit\n0,255,a\n10,20,b\n")
    (tmp_path / "few.toml").write_text(
        'name = "few"\ntarget = "digit"\nimage = [1, 2]\n'
        '[columns.digit]\nkind = "category"\nlevels = ["a", "b"]\n'
        '[columns.pixel]\nkind = "number"\nrange = [0, 255]\ntypical = 51\nrepeat = 2\n'
    )
    table = find_dataset(data=str(tmp_path / "few.csv"), card=str(tmp_path / "few.toml")).load()
    assert [column.name for column in table.columns] == ["pixel_0", "pixel_1"]
    # Centred on the typical value, the farther end of the range at one.
    np.testing.assert_allclose(encode(table).matrix[0], [-51 / 204, 1.0])
