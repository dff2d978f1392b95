"""What stays exposed, in words for readers who know no cryptography."""

from __future__ import annotations

import re

from petlab.core.claims import Guarantee
from petlab.study.language import say, sentences

PLAIN = {
    "All records, towards the analyst; links are encrypted.": (
        "The analyst sees every record; only the way there is encrypted."
    ),
    "Every owner's single update, which the aggregator reads in the clear: gradients and "
    "statistics of few records can be inverted.": (
        "The aggregator reads what each organisation contributes, and can sometimes rebuild "
        "records from it."
    ),
    "The resulting model.": "Whoever reads the resulting model can learn from it.",
    "What is opened to its reader.": "Whoever reads the result learns what it tells.",
    "What the analyst reads.": "Whoever reads the result learns what it tells.",
    "What is opened to the analyst.": "Whoever reads the result learns what it tells.",
    "What is opened to the analyst: a sum over every owner of the measured configuration, each "
    "once, or nothing.": "Whoever reads the result learns what it tells.",
    "The server, if it deviates, can show a reader a single contribution in place of the sum, or "
    "repeat an older one.": (
        "A server that breaks the rules can show a reader what one organisation contributed."
    ),
    "The aggregator, if it deviates, can show a reader a single contribution in place of the sum, "
    "or repeat an older one.": (
        "An aggregator that breaks the rules can show a reader what one organisation contributed."
    ),
    "A reader who colludes with the server opens single contributions.": (
        "If a reader and the server join forces, they see what each organisation contributed."
    ),
    "A reader who colludes with the aggregator opens single contributions.": (
        "If a reader and the aggregator join forces, they see what each organisation contributed."
    ),
    "A reader who knows as many records as a linear model has weights solves for the model from "
    "their scores.": (
        "Whoever reads scores of records that it knows can work out a simple model from them."
    ),
    "The noise of scores is not flooded and tells their reader about the model (no circuit "
    "privacy).": "Whoever reads scores can learn something of the model behind them.",
    "Decrypted scores must not be shown to the server (IND-CPA-D).": (
        "Decrypted results must not be handed back to the server, which could use them against "
        "the key."
    ),
    "What is opened to its reader, and whether all values kept to their declared ranges; sizes "
    "and the program, which are public.": (
        "Whoever reads the result learns what it tells; sizes and the program are public."
    ),
    "A compute party that deviates from the protocol can falsify results.": (
        "A computing party that breaks the rules can falsify the result."
    ),
    "The dealer and one compute party together open every input.": (
        "If the dealer and one computing party join forces, they see every record."
    ),
    "A simulation: the kernel and its administrator can read the process' memory.": (
        "Here the enclave is simulated: the computer's administrator can read everything."
    ),
    "A simulation: the kernel and its administrator can read the enclave's memory.": (
        "Here the enclave is simulated: the computer's administrator can read everything."
    ),
    "Real enclaves leak through side channels such as memory access patterns.": (
        "Real enclaves have been broken by watching their memory accesses."
    ),
    "What the program sends to the owners, which the aggregator carries in the clear: it sees "
    "the model of each round, and so how sums moved it.": (
        "The aggregator sees the model of every round, though no single contribution."
    ),
    "An aggregator that deviates can send owners other models, under which the sum shows one of "
    "them.": "An aggregator that breaks the rules can single one organisation out.",
    "Compute parties carry out the analyst's program: one that asks for a single input is given "
    "it.": "The computing parties do what the analyst's program says: it has to be agreed on.",
    "The curator holds all records and knows the noise.": (
        "The curator sees every record and knows the noise."
    ),
    "Each owner knows its own noise.": "Each organisation knows its own share of the noise.",
    "Conclusions about people that hold whether or not they are in the data.": (
        "What is true of people in general can be concluded about anybody, in the data or not."
    ),
    "Everything that is opened.": "Everything that is opened is unprotected.",
}


def plain(guarantee: Guarantee) -> list[str]:
    """Say what a guarantee leaves open, a sentence each; what has no plain form as it stands."""
    found = re.split(r"(?<=\.)\s+", guarantee.not_protected)
    return list(dict.fromkeys(say(PLAIN[s]) if s in PLAIN else sentences(s) for s in found))
