"""Constraints, quantities and numbers of a decision as people say them."""

from __future__ import annotations

from petlab.deciding.evidence import MARGIN, Candidate, Reading, shown
from petlab.deciding.requirement import LOSS, WORDS, Requirement
from petlab.study import words
from petlab.study.language import listed, say, sentences
from petlab.study.titles import technique_title

COMPARED = {
    "<=": "{quantity} at most {limit}",
    "<": "{quantity} below {limit}",
    ">=": "{quantity} at least {limit}",
    ">": "{quantity} above {limit}",
}
WORDED = {
    ("trusted", "="): "{value} is trusted",
    ("trusted", "!="): "no trust in: {value}",
    ("adversary", "="): "an adversary that is {value}",
    ("adversary", "!="): "an adversary that is not {value}",
    ("kind", "="): "protection of the kind “{value}”",
    ("kind", "!="): "no protection of the kind “{value}”",
}
NAMED = {
    "epsilon": "Epsilon",
    "delta": "Delta",
    "security_bits": "Security in bits",
    "parties": "Number of parties",
    "price": "Price of one run",
    "trusted": "Who must be trusted",
    "adversary": "Adversary",
    "kind": "Kind of protection",
}
ONE_SEED = ", 1 seed"
SEEDED = ("measured", "modelled", "measured, 1 seed", "modelled, 1 seed")
EXACT = ("epsilon", "delta", "security_bits", "parties")
"""Numbers that are the same whatever the seed."""
PROTECTED = {
    "none": "nothing",
    "input": "the records while they are computed on",
    "output": "what the result tells about one person",
    "hardware": "the records inside an enclave",
}


def quantity(name: str) -> str:
    """Call a number by what people call it, such as "Loss of AUC against cleartext"."""
    if name in NAMED:
        return say(NAMED[name])
    if name.endswith(LOSS):
        metric = words.metric(name.removesuffix(LOSS)).title
        return say("Loss of {metric} against cleartext", metric=metric)
    return (words.cost if name in words.COSTS else words.metric)(name).title


def constraint(requirement: Requirement) -> str:
    """Phrase a constraint, such as "WAN time at most 600 s"."""
    if requirement.name in WORDS:
        value = sentences(str(requirement.limit))
        if requirement.name == "trusted" and requirement.comparator == "=" and value == "nobody":
            return say("nobody has to be trusted")
        return say(WORDED[requirement.name, requirement.comparator], value=value)
    limit = shown(requirement.name, float(requirement.limit))
    return say(COMPARED[requirement.comparator], quantity=quantity(requirement.name), limit=limit)


def number(found: Reading, name: str) -> str:
    """Give a number with its interval, such as "3.1 s ± 0.2 s"."""
    above, below = found.high - found.value, found.value - found.low
    text, least = shown(name, found.value), MARGIN * max(1.0, abs(found.value))
    if max(above, below) <= least:
        return text
    if abs(above - below) <= least:
        return f"{text} ± {shown(name, above)}"
    ends = shown(name, found.low), shown(name, found.high)
    return say("{value}, {low} to {high}", value=text, low=ends[0], high=ends[1])


def fact(candidate: Candidate, name: str, *, seeds: bool = True) -> str:
    """Make a sentence of a number: what it is, its interval, and where it comes from.

    Parameters
    ----------
    seeds
        Whether it says over how many seeds.
    """
    found = candidate.reading(name)
    if found is None:
        if name in ("epsilon", "delta"):
            return say("Nothing bounds what the result tells about one person.")
        return say("{quantity} was not measured.", quantity=quantity(name))
    value, source = number(found, name), say(found.source.removesuffix(ONE_SEED))
    count = len({result.cell.seed for result in candidate.variant.ok})
    if not seeds or name in EXACT or found.source not in SEEDED:
        how = source
    elif count > 1:
        how = say("{source}; mean and 95 % interval of {n} seeds", source=source, n=count)
    else:
        how = say("{source}; one seed", source=source)
    return say("{quantity} is {value} ({how}).", quantity=quantity(name), value=value, how=how)


def trusted(candidate: Candidate) -> str:
    """List whom the owners must trust."""
    parties = candidate.guarantee.trusted if candidate.guarantee else ()
    return listed(map(sentences, parties)) if parties else say("nobody")


def against(candidate: Candidate) -> str:
    """Make a sentence of whom it holds against and who must be trusted."""
    adversary = candidate.guarantee.adversary if candidate.guarantee else "none"
    return say(
        "To be trusted: {trusted}. It holds against: {adversary}.",
        trusted=trusted(candidate),
        adversary=sentences(adversary),
    )


def protected(candidate: Candidate) -> str:
    """Say what is protected, in a few words."""
    kinds = candidate.guarantee.kind.split("+") if candidate.guarantee else ["none"]
    return listed(say(PROTECTED.get(kind, kind)) for kind in kinds)


def name(candidate: Candidate) -> str:
    """Name a candidate, such as "Federated learning (fl, sums)"."""
    return say(
        "{technique} ({name})",
        technique=technique_title(candidate.variant.technique),
        name=candidate.name,
    )
