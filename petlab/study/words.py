"""The words of the report: what each metric, cost and status is called and means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from petlab.running.result import Status
from petlab.study.language import say


@dataclass(frozen=True)
class Term:
    """A short name for a column and one line that explains it."""

    title: str
    meaning: str

    @property
    def spoken(self) -> Term:
        """The same in the report's language."""
        return Term(say(self.title), say(self.meaning))


# In the order in which they tell most: a table shows the first few that a task has.
METRICS = {
    "auc": Term(
        "AUC",
        "Chance that a random positive record is ranked above a random negative one: "
        "0.5 is guessing, 1 is perfect.",
    ),
    "accuracy": Term("Accuracy", "Share of test records put into the right class."),
    "prediction_agreement": Term(
        "Same predictions",
        "Share of test records that get the same class as from the reference.",
    ),
    "brier": Term(
        "Brier score",
        "Mean squared distance of predicted probabilities from what happened: lower is better.",
    ),
    "statistic_rel_error": Term(
        "Statistic, relative error",
        "Distance of the test statistic from the exact one, as a share of the exact one.",
    ),
    "p_value_abs_error": Term("p value, error", "Distance of the p value from the exact one."),
    "decision_agreement": Term(
        "Same decision",
        "1 if the test decides at the 5 % level as the exact test does, else 0; over several "
        "seeds, the share of runs.",
    ),
    "count_max_error": Term(
        "Count, largest error", "Largest distance of a count in the table from the exact count."
    ),
    "beta_rel_error": Term(
        "Coefficients, relative error",
        "Distance of the fitted coefficients from the reference's, as a share of their length.",
    ),
    "score_max_error": Term(
        "Score, largest error", "Largest distance of a record's score from the exact score."
    ),
    "balanced_accuracy": Term(
        "Balanced accuracy", "Accuracy averaged over classes, so that a rare class counts fully."
    ),
    "average_precision": Term(
        "Average precision", "Precision averaged over all alarm thresholds; suits rare classes."
    ),
    "f1": Term("F1", "Harmonic mean of precision and recall."),
    "recall_at_precision": Term(
        "Recall at 80 % precision",
        "Share of positive records found when four in five alarms must be right.",
    ),
}
SHOWN = 4
"""Metrics per table on the page; the data files have all."""

COSTS = {
    "wall_s": Term("Wall time", "Time on the clock for all parties' work, run one after another."),
    "cpu_s": Term("CPU time", "Processor time of all threads; above wall time when several run."),
    "offline_s": Term(
        "Offline time", "Part of the wall time that could be spent before the data is there."
    ),
    "peak_mib": Term("Peak memory", "Most memory held above what the idle program holds."),
    "bytes": Term("Traffic", "Bytes of all messages between parties, encryption included."),
    "offline_bytes": Term(
        "Offline traffic", "Part of the traffic that could be sent before the data is there."
    ),
    "messages": Term("Messages", "Number of messages between parties."),
    "rounds": Term(
        "Rounds",
        "Longest chain of messages that wait for one another: each costs one network delay.",
    ),
    "expansion": Term("Expansion", "Traffic divided by the size of the same values in the clear."),
    "lan_s": Term("LAN time", "Time between computers of one site: 1 Gb/s, 0.2 ms delay."),
    "wan_s": Term("WAN time", "Time between organisations: 100 Mb/s, 50 ms delay."),
    "sgx_added_low_s": Term(
        "SGX adds, least", "Time that SGX hardware would add, by the mildest published figures."
    ),
    "sgx_added_high_s": Term(
        "SGX adds, most", "The same by the worst published figures: a range, not a bound."
    ),
    "confidential_vm_added_low_s": Term(
        "Confidential VM adds, least", "Time that an encrypted virtual machine would add, mildest."
    ),
    "confidential_vm_added_high_s": Term(
        "Confidential VM adds, most", "The same by the worst published figures."
    ),
}

SOURCES = {
    "measured": "read off a clock, a counter or the operating system during the run",
    "modelled": "computed from measured bytes, rounds and computing time by a network model",
    "accounted": "derived by a mathematical proof from the noise that was really added",
}

STATUSES = {
    Status.OK: Term("ok", "ran and was scored"),
    Status.UNSUPPORTED: Term("not possible", "this technique cannot run this program"),
    Status.MISSING_PACKAGE: Term("package missing", "a library is not installed"),
    Status.FAILED: Term("failed", "stopped with an error"),
    Status.TIMEOUT: Term("timed out", "did not finish in the time allowed"),
}

KINDS = {
    "none": "nothing is protected",
    "input": "input: the records, while they are computed on",
    "output": "output: what a reader learns from the result",
    "hardware": "hardware: the records, inside a processor's enclave",
}


def metric(name: str) -> Term:
    """Return the term of a metric, also of one that is not listed here."""
    return _term(METRICS, name, "Defined by its task.")


def cost(name: str) -> Term:
    """Return the term of a cost, also of one that is not listed here."""
    return _term(COSTS, name, "Defined by its technique.")


def telling(names: set[str]) -> list[str]:
    """Pick the metrics that tell most, best first."""
    order = [*METRICS, *sorted(names - set(METRICS))]
    return [name for name in order if name in names][:SHOWN]


def kind(name: str) -> str:
    """Phrase a guarantee's kind, such as "input+output"."""
    return say("; ").join(say(KINDS[p]) if p in KINDS else p for p in name.split("+"))


def status(found: Status) -> Term:
    """Return the term of a status."""
    return STATUSES[found].spoken


def source(name: str) -> str:
    """Phrase where a number comes from, such as "measured"."""
    return say(name)


def _term(terms: Mapping[str, Term], name: str, otherwise: str) -> Term:
    return terms[name].spoken if name in terms else Term(name.replace("_", " "), say(otherwise))
