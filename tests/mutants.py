"""Every protection taken away in turn: a named test has to notice.

`make mutants` patches a copy of the repository, one protection at a time, runs the test that is
meant to catch it, and prints the table that `tests/mutants.md` holds. A protection that no test
notices is one that nobody would miss: the exit status is then 1.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "tests" / "mutants.md"
CAUGHT = "caught"
COPIED = (
    *("petlab", "tests", "datasets", "notebooks", "benchmarks", "docs"),
    *("pyproject.toml", "README.md"),
)


@dataclass(frozen=True)
class Mutant:
    """One protection, and what takes it away.

    Attributes
    ----------
    protects
        What is lost without it.
    file
        Below `petlab/`.
    old, new
        Text that stands there exactly once, and what replaces it.
    test
        Pytest node that fails then.
    """

    protects: str
    file: str
    old: str
    new: str
    test: str

    @property
    def node(self) -> str:
        """The test, or all of a file."""
        return self.test.rstrip(":")


def he(protects: str, file: str, old: str, new: str, test: str) -> Mutant:
    """A protection of homomorphic encryption."""
    return Mutant(protects, f"techniques/he/{file}", old, new, test)


def tee(protects: str, file: str, old: str, new: str, test: str) -> Mutant:
    """A protection of the enclave, caught by attacks on it."""
    return Mutant(
        protects, f"techniques/tee/{file}", old, new, f"tests/test_tee_attacks.py::{test}"
    )


NEAR = "tests/test_neighbours.py::test_one_record_less_changes_that_record_alone"
RELEASE = "tests/test_release.py::"
COUNTS = "tests/test_he_counts.py::"
SHARES = "tests/test_dp_shares.py::"
TABLES = "tests/test_data.py::"
FAILURES = "tests/test_mpc_failures.py::"
BUDGET = "tests/test_budget.py::"

MUTANTS = (
    # One record and all others.
    Mutant(
        "split by each record's own coin",
        "data/partition.py",
        'tested = coins(keys, "test", seed=seed) < test_share',
        "tested = np.random.default_rng(seed).permutation(len(keys)) < test_share * len(keys)",
        f"{NEAR}[logreg-sums-iid-3-evaluated]",
    ),
    Mutant(
        "owner by each record's own coin",
        "data/partition.py",
        'coin = coins(traits.keys, f"owner {attempt}", seed=seed)',
        "coin = np.random.default_rng(seed).permutation(len(traits.keys)) / len(traits.keys)",
        f"{NEAR}[chi2-sums-iid-3-evaluated]",
    ),
    Mutant(
        "sample by each record's own coin",
        "data/subset.py",
        'coins(table.keys, "sample", seed=seed) < rows / size',
        "np.random.default_rng(seed).permutation(table.rows) < rows",
        "tests/test_neighbours.py::test_samples_change_by_one_record",
    ),
    Mutant(
        "samples drawn from a public number",
        "running/prepared.py",
        "if not guarded or",
        "if True or not guarded or",
        "tests/test_neighbours.py::test_a_sample_of_an_unknown_number_is_refused_under_privacy",
    ),
    Mutant(
        "no second draw of owners under privacy",
        "running/placement.py",
        "again=not private",
        "again=True",
        "tests/test_neighbours.py::test_only_privacy_takes_owners_as_they_come",
    ),
    Mutant(
        "copies of a record are counted, not placed",
        "data/assignment.py",
        "return _mixed(content + copies)",
        "return _mixed(content + np.arange(len(content)).astype(np.uint64))",
        "tests/test_partition.py::test_keys_do_not_depend_on_the_order_of_records",
    ),
    Mutant(
        "batches by a coin for each record",
        "techniques/dp/release.py",
        "np.flatnonzero(stream.uniform(shard.rows) <= sample_rate)",
        "np.argsort(stream.uniform(shard.rows))[: int(shard.rows * sample_rate)]",
        "tests/test_neighbours.py::test_batches_are_drawn_by_a_coin_for_each_record",
    ),
    # Releases.
    Mutant(
        "no scores in a release",
        "running/releasing.py",
        "        quality={},\n",
        "",
        f"{RELEASE}test_whatever_a_result_holds_is_taken_out",
    ),
    Mutant(
        "no reference behind a release",
        "running/evaluator.py",
        "reference = None if cell.release else",
        "reference = None if False else",
        f"{RELEASE}test_a_release_fits_on_all_records",
    ),
    Mutant(
        "no sizes in a release",
        "running/releasing.py",
        'PUBLIC_COSTS = ("messages", "rounds")',
        'PUBLIC_COSTS = ("messages", "rounds", "bytes")',
        f"{RELEASE}test_a_release_has_no_truth_beside_it",
    ),
    Mutant(
        "no sizes in a release's views",
        "running/releasing.py",
        'if k != "bytes"',
        "if k",
        f"{RELEASE}test_views_of_a_release_tell_no_sizes",
    ),
    Mutant(
        "times of a release to one digit",
        "running/releasing.py",
        "return round(value, -math.floor(math.log10(abs(value))))",
        "return value",
        f"{RELEASE}test_times_have_one_digit",
    ),
    Mutant(
        "no checksum in a release",
        "running/releasing.py",
        'PRIVATE_PROVENANCE = ("dataset_sha256", "records")',
        'PRIVATE_PROVENANCE = ("records",)',
        f"{RELEASE}test_a_release_has_no_truth_beside_it",
    ),
    Mutant(
        "a budget makes a release",
        "running/evaluator.py",
        "named(replace(cell, release=True) if budget else cell)",
        "named(cell)",
        f"{RELEASE}test_a_budget_makes_a_release",
    ),
    Mutant(
        "nothing is released without epsilon",
        "running/evaluator.py",
        "        check_release(prepared, found)",
        "        pass",
        f"{RELEASE}test_exact_answers_are_not_released",
    ),
    Mutant(
        "why a release failed stays inside",
        "running/releasing.py",
        "reason=_WHY_NOT if failed else result.reason",
        "reason=result.reason",
        f"{RELEASE}test_why_a_release_failed_is_not_released",
    ),
    Mutant(
        "an evaluation says that it is one",
        "running/result.py",
        'lines = [f"{result.cell.name}: {result.status}", result.use]',
        'lines = [f"{result.cell.name}: {result.status}"]',
        f"{RELEASE}test_an_evaluation_says_that_it_is_one",
    ),
    # Homomorphic encryption.
    he(
        "flooding of counts",
        "counts.py",
        "return _flooded(key, answer.to_string())",
        "return answer.to_string()",
        f"{COUNTS}test_flooding_is_measured_and_not_only_computed",
    ),
    he(
        "re-randomisation of counts",
        "counts.py",
        "        key.evaluator.add_inplace(answer, total)",
        "        answer = total",
        f"{COUNTS}test_the_second_polynomial_tells_nothing",
    ),
    he(
        "mask of counts",
        "counts.py",
        "mask = words.astype(np.uint64)",
        "mask = 0 * words.astype(np.uint64)",
        f"{COUNTS}test_other_coefficients_are_uniform",
    ),
    he(
        "forty bits of flooding",
        "counts.py",
        "FLOOD_BITS = 80",
        "FLOOD_BITS = 60",
        f"{COUNTS}test_flooding_has_forty_bits_whatever_the_size",
    ),
    he(
        "counts of bits only",
        "counts.py",
        "    if not np.isin(matrix, (0, 1)).all():",
        "    if False:",
        f"{COUNTS}test_anything_but_bits_is_refused",
    ),
    he(
        "rows and matrix of the same people",
        "counts.py",
        "if len(loaded) != rows * how.chunks:",
        "if False:",
        f"{COUNTS}test_rows_of_other_people_are_refused",
    ),
    he(
        "ciphertexts name their key",
        "keys.py",
        "if named != fingerprint:",
        "if False:",
        "tests/test_he.py",
    ),
    he(
        "canary of encrypted sums",
        "sums.py",
        "if slots[0] != owners:",
        "if False:",
        "tests/test_composition.py::test_a_careless_server_is_noticed_and_a_deviating_one_shows_one_owner",
    ),
    he(
        "public contexts without a secret key",
        "keys.py",
        "save_secret_key=False, save_galois_keys=False, save_relin_keys=not bfv",
        "save_secret_key=True, save_galois_keys=False, save_relin_keys=not bfv",
        "tests/test_he.py",
    ),
    he(
        "a context with a secret key is refused",
        "keys.py",
        "if self.context.is_private():",
        "if False:",
        "tests/test_he.py",
    ),
    he(
        "who adds is no reader",
        "keyring.py",
        "if holder in readers:",
        "if False:",
        "tests/test_he.py::test_who_adds_ciphertexts_gets_no_key",
    ),
    he(
        "a scheme's headroom",
        "records.py",
        "if records.largest >= headroom:",
        "if False:",
        "tests/test_he.py::test_scores_past_the_headroom_are_refused",
    ),
    Mutant(
        "totals keep to their bound",
        "core/aggregation.py",
        "if not np.all(np.isfinite(total)) or np.abs(total).max(initial=0) > self.limit:",
        "if False:",
        "tests/test_he.py",
    ),
    # Differential privacy.
    Mutant(
        "clipping",
        "techniques/dp/release.py",
        "    if not (norms > bound * (1 + 1e-12)).any():",
        "    if True:",
        "tests/test_dp.py",
    ),
    Mutant(
        "a curator's noise",
        "core/plain.py",
        "value = self._noisy_at(self.pool, value, contribution)",
        "pass",
        "tests/test_dp.py",
    ),
    Mutant(
        "owners' noise under encryption",
        "core/summing.py",
        "total = self._noisy_at(OWNERS, total, request.contribution, protection.grid)",
        "pass",
        "tests/test_dp_composition.py",
    ),
    Mutant(
        "the aggregator's noise under encryption",
        "core/summing.py",
        "noise = self._noisy_at(AGGREGATOR, noise, contribution, protection.grid)",
        "pass",
        "tests/test_dp_composition.py",
    ),
    Mutant(
        "owners' noise in plain federated learning",
        "techniques/fl/plain.py",
        "total = self._noisy_at(OWNERS, total, contribution)",
        "pass",
        "tests/test_dp_composition.py",
    ),
    Mutant(
        "the aggregator's noise in plain federated learning",
        "techniques/fl/plain.py",
        "value = self._noisy_at(AGGREGATOR, value.ravel(), contribution)",
        "value = value.ravel()",
        "tests/test_dp_composition.py",
    ),
    Mutant(
        "noise of local steps",
        "techniques/dp/release.py",
        "return to_grid(total + self._stream.gaussian(deviation, total.size), deviation)",
        "return total",
        "tests/test_dp_composition.py",
    ),
    Mutant(
        "shares of noise that rounding cannot swallow",
        "techniques/dp/release.py",
        "return np.rint(total) + self._stream.polya(scale, enough, total.size)",
        "return np.rint(total) + np.rint("
        "self._stream.gaussian(1.4 * scale / np.sqrt(enough), total.size))",
        f"{SHARES}test_what_is_opened_has_that_distribution",
    ),
    Mutant(
        "coarse grids are refused",
        "techniques/dp/release.py",
        "if self.fractional and deviation < GRID_STEPS * step:",
        "if False:",
        f"{SHARES}test_gaussian_shares_that_rounding_would_swallow_are_refused",
    ),
    Mutant(
        "shares suffice without colluders",
        "techniques/dp/calibration.py",
        "honest = owners - self.settings.colluders",
        "honest = max(1, owners)",
        "tests/test_dp_composition.py",
    ),
    Mutant(
        "seeded noise has no epsilon",
        "techniques/dp/calibration.py",
        'return self.settings.twin != "none" or self.settings.insecure_seed is not None',
        'return self.settings.twin != "none"',
        f"{SHARES}test_seeded_noise_has_no_epsilon",
    ),
    Mutant(
        "seeded noise is never chosen",
        "deciding/decide.py",
        'and r.cell.settings.get("insecure_seed") is None',
        "and True",
        f"{SHARES}test_seeded_noise_is_neither_budgeted_nor_released_nor_chosen",
    ),
    Mutant(
        "a delta that means something",
        "techniques/dp/calibration.py",
        "if not 0 < self.delta <= DELTA_MAX:",
        "if not 0 < self.delta < 1:",
        f"{SHARES}test_senseless_parameters_are_refused",
    ),
    Mutant(
        "noise has room beside the bound",
        "core/summing.py",
        "limit=bound.limit + 2 * noise",
        "limit=bound.limit",
        f"{SHARES}test_noise_has_room_at_small_epsilon",
    ),
    Mutant(
        "a noisy test that holds its level",
        "algorithms/independence.py",
        "return ((tables - expected) ** 2 / (expected + variance)).sum((-1, -2))",
        "return pearson(tables)",
        "tests/test_dp.py::test_private_chi2_holds_its_level_on_sparse_tables",
    ),
    Mutant(
        "what opens a value is refused under a guard",
        "core/summing.py",
        "        if self.release:\n            raise Unsupported",
        "        if False:\n            raise Unsupported",
        "tests/test_dp_composition.py",
    ),
    Mutant(
        "no more releases than planned",
        "core/summing.py",
        "if self._released >= self.plan.releases:",
        "if False:",
        "tests/test_waist.py",
    ),
    Mutant(
        "protected arrays have no sensitivity",
        "techniques/dp/technique.py",
        "Op.SHARE: never(",
        "Op.TAKE: never(",
        "tests/test_docs.py::test_the_readme_has_the_support_matrix_of_the_code",
    ),
    # Budgets.
    Mutant(
        "a budget is a limit",
        "running/budget.py",
        "if not total <= self.epsilon * (1 + 1e-9):",
        "if False:",
        f"{BUDGET}test_a_release_past_the_budget_is_refused_before_data_is_read",
    ),
    Mutant(
        "exact answers are not booked",
        "running/budget.py",
        "        if not events:\n            raise",
        "        if False:\n            raise",
        f"{BUDGET}test_what_has_no_events_is_not_booked",
    ),
    Mutant(
        "a budget's file is checked",
        "running/budget.py",
        "            _check(values)\n",
        "",
        f"{BUDGET}test_a_file_that_would_limit_nothing_is_no_budget",
    ),
    Mutant(
        "one budget is made by one at a time",
        "running/budget.py",
        "        fcntl.flock(lock, fcntl.LOCK_EX)\n",
        "",
        f"{BUDGET}test_budgets_are_made_by_one_at_a_time",
    ),
    # Multiparty computation, links and processes.
    Mutant(
        "shares",
        "techniques/mpc/streams.py",
        "first -= Stream(key).words(first.shape)",
        "first -= 0 * Stream(key).words(first.shape)",
        "tests/test_composition.py::test_one_deviating_compute_party_shows_nobody",
    ),
    Mutant(
        "shares, to the attack study",
        "techniques/mpc/sums.py",
        "shares = split(integers, len(self.holders))",
        "shares = [integers, *(np.zeros_like(integers) for _ in self.holders[1:])]",
        "tests/test_attacks.py::test_protected_updates_are_no_numbers_and_give_no_record",
    ),
    Mutant(
        "a study's secret",
        "techniques/mpc/traffic/links.py",
        "salted = hmac.digest(secret, shared + sender + receiver, hashlib.sha256)",
        'salted = hmac.digest(b"", shared + sender + receiver, hashlib.sha256)',
        f"{FAILURES}test_stranger_is_refused",
    ),
    Mutant(
        "strangers are dropped",
        "techniques/mpc/traffic/meeting.py",
        "threading.Thread(target=self._greet, args=(connection,), daemon=True).start()",
        "self._greet(connection)",
        f"{FAILURES}test_strangers_at_a_door_keep_nobody_out",
    ),
    Mutant(
        "loopback on one machine",
        "techniques/mpc/party.py",
        "socket.create_server((here, 0), family",
        'socket.create_server(("", 0), family',
        f"{FAILURES}test_a_party_listens_where_its_coordinator_is_reached",
    ),
    Mutant(
        "children import nothing from the working folder",
        "core/children.py",
        '[python, "-P", "-c", code]',
        '[python, "-c", code]',
        f"{FAILURES}test_children_import_nothing_from_the_working_folder",
    ),
    Mutant(
        "a reply hides no failure",
        "techniques/mpc/cluster.py",
        "while payload := self._hub.links[name].pending(0.5):",
        "if payload := self._hub.links[name].pending(0.5):",
        f"{FAILURES}test_replies_do_not_hide_why_a_party_failed",
    ),
    Mutant(
        "declared ranges are checked",
        "techniques/mpc/committee.py",
        "            if self._checked:\n                self._refuse_excess(reader)",
        "            if False:\n                self._refuse_excess(reader)",
        "tests/test_mpc.py::test_product_that_the_ring_cannot_hold_is_refused",
    ),
    Mutant(
        "a message is read once",
        "metering/transcript.py",
        "        self._received += 1\n        return payload",
        "        return payload",
        "tests/test_transcript.py",
    ),
    # Enclaves.
    tee(
        "a quote is signed by its device",
        "attestation.py",
        '        _verify(device, quote.signature, quote.body(), "the quote")\n',
        "",
        "",
    ),
    tee(
        "a device is certified",
        "attestation.py",
        "        _verify(self.root, certificate.signature, certificate.body(), "
        '"the device\'s certificate")\n',
        "",
        "",
    ),
    tee(
        "the enclave is the one agreed to",
        "attestation.py",
        "if quote.measurement not in self.measurements:",
        "if False:",
        "",
    ),
    tee(
        "a quote answers this challenge",
        "attestation.py",
        "if quote.nonce != nonce.hex():",
        "if False:",
        "",
    ),
    tee(
        "the key is the attested one",
        "attestation.py",
        "if quote.key != digest(key):",
        "if False:",
        "",
    ),
    tee("no debug enclaves", "attestation.py", "if quote.debug:", "if False:", ""),
    tee(
        "no downgraded enclaves",
        "attestation.py",
        "if quote.version < self.version_min:",
        "if False:",
        "",
    ),
    tee(
        "no revoked devices",
        "attestation.py",
        "if certificate.serial in self.revoked:",
        "if False:",
        "",
    ),
    tee(
        "no expired devices",
        "attestation.py",
        "if certificate.not_after < time.time():",
        "if False:",
        "",
    ),
    tee(
        "a sum is of every owner",
        "enclave.py",
        "if set(sent) != set(owners):",
        "if False:",
        "test_the_host_cannot_choose_whom_to_add",
    ),
    tee(
        "a round is added once",
        "enclave.py",
        "        self._rounds.add(label)\n",
        "",
        "test_replayed_round_is_refused",
    ),
    tee(
        "senders sign",
        "channel.py",
        "Ed25519PublicKey.from_public_bytes(sender).verify(signature, signed)",
        "pass",
        "",
    ),
    tee(
        "storage is not rolled back",
        "sealing.py",
        "if stored != count:",
        "if False:",
        "",
    ),
    tee(
        "a noisy answer is given once",
        "enclave.py",
        "        self._spent = True\n",
        "",
        "",
    ),
    Mutant(
        "no text of an error leaves the enclave",
        "techniques/tee/enclave.py",
        '"reason": f"inside the enclave: {always}"}',
        '"reason": str(error)}',
        "tests/test_tee.py::test_no_text_of_an_error_leaves_the_enclave",
    ),
    # Tables and what is stored.
    Mutant(
        "rows as long as the header",
        "data/table.py",
        "if len(row) != len(header):",
        "if False:",
        f"{TABLES}test_what_would_shift_columns_is_refused",
    ),
    Mutant(
        "no column twice",
        "data/table.py",
        "if twice is not None:",
        "if False:",
        f"{TABLES}test_what_would_shift_columns_is_refused",
    ),
    Mutant(
        "only plain numbers are numbers",
        "data/table.py",
        "bad = (np.isnan(numbers) | np.isinf(numbers)) & ~missing",
        "bad = np.isinf(numbers)",
        f"{TABLES}test_only_plain_numbers_are_numbers",
    ),
    Mutant(
        "no column is named like an indicator",
        "data/card.py",
        "if column.indicator in card.columns:",
        "if False:",
        f"{TABLES}test_a_column_named_like_an_indicator_is_refused",
    ),
    Mutant(
        "missing values count where they are used",
        "tasks/chi2.py",
        'return names if len(names) == 1 and settings.factor != "all" else ()',
        "return None",
        f"{TABLES}test_missing_values_count_where_they_are_used",
    ),
    Mutant(
        "what was left out is said",
        "running/prepared.py",
        "notes=records.notes + notes,",
        "notes=(),",
        f"{TABLES}test_missing_values_count_where_they_are_used",
    ),
    Mutant(
        "a stored result is of this table",
        "running/sweep.py",
        "return all(stored.provenance.get(name) == value for name, value in now.items())",
        "return True",
        "tests/test_sweep.py::test_a_sweep_never_gives_yesterdays_numbers_for_todays_table",
    ),
    Mutant(
        "one sweep in a folder",
        "running/sweep.py",
        "            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)\n",
        "            pass\n",
        "tests/test_sweep.py::test_two_sweeps_do_not_share_a_folder",
    ),
    Mutant(
        "stored results are checked",
        "running/result.py",
        '        check_types(result, "result")\n',
        "",
        "tests/test_sweep.py::test_one_odd_file_ends_no_report",
    ),
    Mutant(
        "owners of few records are refused where they are read",
        "core/summing.py",
        "if self._is_read(owner) and shard.rows < contribution.min_units:",
        "if False:",
        "tests/test_he.py::test_owner_with_too_few_records_is_refused",
    ),
    Mutant(
        "the canary that was left out leaves no trace",
        "attacks/canaries/run.py",
        "kept = marked.take(np.flatnonzero((mark < 0) | included[mark]))",
        "kept = marked.take(np.flatnonzero((mark < 0) | (mark >= 0)))",
        "tests/test_audit.py::test_an_excluded_canary_leaves_no_trace_but_its_absence",
    ),
)


def copied(folder: Path) -> None:
    """Put what tests need into a folder."""
    skipped = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=skipped)
        else:
            shutil.copy(source, folder / name)


def status(folder: Path, tests: list[str], *, workers: int = 0) -> int:
    """Pytest's exit status for some tests, in the copy."""
    beside = ["-n", str(workers), "--dist", "loadfile"] if workers else []
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-p",
        "no:cacheprovider",
        *beside,
        *tests,
    ]
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode not in (0, 1):
        print(done.stdout[-2000:], done.stderr[-2000:], file=sys.stderr)
    return done.returncode


def outcome(folder: Path, mutant: Mutant) -> str:
    """Whether the test noticed: "caught", or what else happened."""
    path = folder / "petlab" / mutant.file
    text = path.read_text(encoding="utf-8")
    if text.count(mutant.old) != 1:
        return f"stands there {text.count(mutant.old)} times"
    path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
    try:
        return {0: "SURVIVED", 1: CAUGHT}.get(status(folder, [mutant.node]), "no test ran")
    finally:
        path.write_text(text, encoding="utf-8")


def main() -> int:
    """Take all away, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="protections whose words have this in them")
    parser.add_argument("--write", action="store_true", help="write the table to tests/mutants.md")
    options = parser.parse_args()
    chosen = [m for m in MUTANTS if options.only in m.protects]
    rows = {}
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        copied(folder)
        if status(folder, sorted({m.node for m in chosen}), workers=2):
            print("the tests do not pass as they are", file=sys.stderr)
            return 1
        for mutant in chosen:
            found = outcome(folder, mutant)
            print(f"{found:10} {mutant.protects}", flush=True)
            test = mutant.node.removeprefix("tests/")
            said = f"`{test}`" if found == CAUGHT else f"**{found}** (`{test}`)"
            rows[mutant.protects] = f"| {mutant.protects} | `{mutant.file}` | {said} |"
    bad = sum("**" in row for row in rows.values())
    print(f"{len(chosen)} protections, {len(chosen) - bad} caught")
    if options.write:
        write(rows)
    return bool(bad)


def write(rows: dict[str, str]) -> None:
    """Put rows into the table, beside those of an earlier run that are not among them."""
    names = [mutant.protects for mutant in MUTANTS]
    known = TABLE.read_text(encoding="utf-8").splitlines() if TABLE.exists() else []
    old = {line.split(" | ")[0].removeprefix("| "): line for line in known if " | `" in line}
    merged = [{**old, **rows}[name] for name in names if name in {**old, **rows}]
    caught = sum("**" not in row for row in merged)
    head = (
        "# Every protection is missed by a test\n\n"
        "Written by `make mutants`: each protection was taken away by itself, and the test "
        f"beside it failed. {caught} of {len(merged)} were caught.\n\n"
        "| protection | file | caught by |\n| --- | --- | --- |\n"
    )
    TABLE.write_text(head + "\n".join(merged) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
