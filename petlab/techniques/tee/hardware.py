"""What real hardware would add to a simulated enclave's time: a model, never a measurement.

No processor with enclaves is here. From three measured numbers (seconds of computation, bytes of
memory in use, messages across the boundary) the model gives a range of *added* seconds, spanned by
published figures for other programs on other machines. It is an orientation, not a bound.

SGX-like enclaves. Each crossing costs 8,200 to 17,000 cycles [1]_. At the low end, computing costs
nothing more: "under 10 %" of throughput on recent server processors [2]_ sets no smaller limit. At
the high end it costs what scientific programs lost on older ones [3]_: the smallest slowdown seen,
1.2, while the memory in use fits into the 128 MB that were protected there, and the largest, 126,
once it does not (5 on average in another study [4]_). That the smallest belongs to what fits is
this model's assumption. Every page that does not fit is fetched once at least, at 40,000 cycles
[4]_. A call interface without crossings was 13 to 27 times faster than the one of [1]_'s figures:
not assumed.

Confidential virtual machines. 1 to 3.4 times the time of an unprotected virtual machine for the
same scientific programs on AMD SEV, the high end where memory is placed badly [3]_; Intel TDX lies
inside ("under 10 %", [2]_). Crossings are not in it: no figure solid enough was found for what a
message costs there, nor one for the newer SEV-SNP, which checks more.

References
----------
.. [1] Weisse, Bertacco, Austin, Regaining Lost Cycles with HotCalls: A Fast Interface for SGX
   Secure Enclaves, ISCA 2017.
.. [2] Chrapek, Copik, Mettaz, Hoefler, Confidential LLM Inference: Performance and Cost Across CPU
   and GPU TEEs, 2025, arXiv:2509.18886 (Llama2 on TDX and SGX; latency "20 %").
.. [3] Akram, Giannakou, Akella, Lowe-Power, Peisert, Performance Analysis of Scientific Computing
   Workloads on General Purpose TEEs, IPDPS 2021; the figures are those of the preprint's abstract
   (... on Trusted Execution Environments, October 2020).
.. [4] Taassori, Shafiee, Balasubramonian, VAULT: Reducing Paging Overheads in SGX with Efficient
   Integrity Verification Structures, ASPLOS 2018.
"""

from __future__ import annotations

from dataclasses import dataclass

from petlab.core.claims import Cost

CLOCK_HZ = 3e9
"""Assumed: a server processor's usual clock. Turns published cycles into seconds."""
CROSSING_CYCLES = (8_200, 17_000)
"""Added by one call into or out of an SGX enclave (HotCalls, ISCA 2017); a system call: 150."""
PAGE_CACHE = 128 * 2**20
"""Protected memory of the processors that VAULT (ASPLOS 2018) describes, in bytes."""
PAGE = 4096
PAGE_SWAP_CYCLES = 40_000
"""One page swapped in or out beyond the protected memory (VAULT, ASPLOS 2018: "about 40K")."""
SGX_SLOWDOWN = (1.2, 126.0)
"""Smallest and largest over scientific programs on SGX (Akram et al., IPDPS 2021)."""
SEV_SLOWDOWN = (1.0, 3.4)
"""The same on AMD SEV, over an unprotected virtual machine (Akram et al., IPDPS 2021)."""


@dataclass(frozen=True)
class Overhead:
    """Modelled seconds that a kind of hardware would add.

    Attributes
    ----------
    kind
        "sgx" or "confidential_vm".
    low_s, high_s
        Ends of the range.
    basis
        What the two ends rest on, for a table's footnote.
    """

    kind: str
    low_s: float
    high_s: float
    basis: str


def sgx(
    compute_s: float | None,
    working_set: int | None,
    crossings: int | None,
    *,
    clock_hz: float = CLOCK_HZ,
) -> Overhead | None:
    """Range for an SGX-like enclave: None if any input was not measured.

    low = 8,200 crossings / clock; high = 17,000 crossings / clock + 0.2 compute while the
    working set fits into 128 MB, else + max(125 compute, 40,000 pages over / clock).

    Parameters
    ----------
    compute_s
        Measured seconds inside the enclave.
    working_set
        Measured bytes in use there.
    crossings
        Messages into and out of it.
    """
    if compute_s is None or working_set is None or crossings is None:
        return None
    low, high = (crossings * cycles / clock_hz for cycles in CROSSING_CYCLES)
    least, largest = ((slowdown - 1) * compute_s for slowdown in SGX_SLOWDOWN)
    over = -(-max(working_set - PAGE_CACHE, 0) // PAGE)
    # Those slowdowns include swapping, but a short run over much memory swaps for longer.
    memory = max(largest, over * PAGE_SWAP_CYCLES / clock_hz) if over else least
    end = f"{SGX_SLOWDOWN[1]:g}x beyond" if over else f"{SGX_SLOWDOWN[0]:g}x within"
    return Overhead(
        "sgx",
        low,
        high + memory,
        f"{CROSSING_CYCLES[0]:,}-{CROSSING_CYCLES[1]:,} cycles a crossing (HotCalls, ISCA 2017) "
        f"at {clock_hz / 1e9:g} GHz; computing 1x (under 10 % in arXiv:2509.18886) to "
        f"{end} 128 MB (Akram et al., IPDPS 2021; swaps: VAULT, ASPLOS 2018)",
    )


def confidential_vm(compute_s: float | None) -> Overhead | None:
    """Range for a confidential virtual machine, crossings left out: None without its input."""
    if compute_s is None:
        return None
    low, high = ((slowdown - 1) * compute_s for slowdown in SEV_SLOWDOWN)
    return Overhead(
        "confidential_vm",
        low,
        high,
        f"{SEV_SLOWDOWN[0]:g}-{SEV_SLOWDOWN[1]:g}x on AMD SEV (Akram et al., IPDPS 2021), "
        "TDX under 10 % (arXiv:2509.18886); crossings not included",
    )


def modelled_costs(
    compute_s: float | None, working_set: int | None, crossings: int | None
) -> dict[str, Cost]:
    """Both ranges as costs whose source is "modelled"; None where an input is missing."""
    found = {
        "sgx": sgx(compute_s, working_set, crossings),
        "confidential_vm": confidential_vm(compute_s),
    }
    costs = {}
    for kind, overhead in found.items():
        ends = (overhead.low_s, overhead.high_s) if overhead else (None, None)
        for end, seconds in zip(("low", "high"), ends, strict=True):
            costs[f"{kind}_added_{end}_s"] = Cost(seconds, "modelled")
    return costs
