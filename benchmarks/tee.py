"""What the simulated enclave adds to a cell of ten seconds, against the same cell in the clear.

Run it from the repository: `OMP_NUM_THREADS=1 python benchmarks/tee.py` (some three minutes).
Logistic regression by gradient steps on 30,000 records runs in this process and in an enclave, in
turns, on the same shards; the answers have to be equal bit for bit. The simulation itself is what
the cell takes beyond the program's own run, by the clock inside the enclave, and the start of
host, device and enclave process. Importing libraries is left out: what the enclave reports of it
is taken off, and for the start the same interpreter is timed importing the same libraries and
nothing of petlab. The target is under 1 s and 10 %. Whether the program itself runs slower inside
is shown beside it, by the fastest of the turns, as other work on the machine only adds. A second
table gives the cost of an oblivious program. `--write` puts both into docs/tee.md.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, ClassVar

import numpy as np
from overhead import Study

from petlab.attacks.enclave.side_channel import watched
from petlab.core.session import Opening
from petlab.core.technique import Run
from petlab.running.registry import find_technique
from petlab.techniques.tee import measurement
from petlab.techniques.tee import technique as deployed
from petlab.techniques.tee.deployment import Machine

DOC = Path(__file__).resolve().parents[1] / "docs" / "tee.md"
MARKS = "<!-- begin: benchmarks/tee.py {0} -->", "<!-- end: benchmarks/tee.py {0} -->"
ITERATIONS, REPEATS = 5_000, 5
TARGET_S, TARGET_SHARE = 1.0, 0.1
PROCESSES = (
    "petlab.techniques.tee.host",
    "petlab.techniques.tee.platform",
    "petlab.techniques.tee.enclave",
)
"""They start one after the other, each a new interpreter."""


@dataclass(frozen=True)
class Turn:
    """Seconds of one turn.

    Attributes
    ----------
    clear, inside
        Wall time of the program in the clear, and in the enclave by its own clock.
    clear_cpu, inside_cpu
        CPU time of the same.
    setup, protect, reveal
        Wall time of the enclave's cell by phase, imports left out.
    relay
        Of its phase `compute` without the program: handing over records, and the request.
    start
        Of host, device and enclave process, imports left out.
    imports
        Of what these three import besides petlab, in bare interpreters.
    """

    clear: float
    inside: float
    clear_cpu: float
    inside_cpu: float
    setup: float
    protect: float
    relay: float
    reveal: float
    start: float
    imports: float

    @property
    def simulation(self) -> float:
        """Attestation, sealing, messages and processes."""
        return self.setup + self.protect + self.relay + self.reveal + self.start


class Noting(Machine):
    """Keeps what the enclave says of its run."""

    spent: ClassVar[dict[str, float]] = {}

    def ask(self, head: dict[str, Any], body: bytes = b"") -> tuple[dict[str, Any], bytes]:
        """Ask, and keep."""
        answer, found = super().ask(head, body)
        if head["do"] == "run":
            type(self).spent = answer
        return answer, found


def libraries(module: str) -> list[str]:
    """What a process of petlab's loads that is not petlab's, found by loading it."""
    script = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    named = [n for n in done.stdout.split() if not n.startswith(("petlab", "__", "encodings"))]
    return [n for n in named if all(part.isidentifier() for part in n.split("."))]


def bare_imports(loaded: list[list[str]]) -> float:
    """Seconds for interpreters that import these libraries, one after the other."""
    script = (
        "import importlib, sys, contextlib\n"
        "for name in sys.argv[1:]:\n"
        "    with contextlib.suppress(Exception): importlib.import_module(name)\n"
    )
    begun = time.perf_counter()
    for names in loaded:
        subprocess.run([sys.executable, "-c", script, *names], check=True)
    return time.perf_counter() - begun


def timed(technique: Any, program: Any, opening: Opening) -> tuple[Run, float]:
    """One cell as petlab runs it, from opening to answer."""
    begun = time.perf_counter()
    run = technique.execute(program, opening)
    return run, time.perf_counter() - begun


def turn(study: Study, loaded: list[list[str]]) -> Turn:
    """One turn: in the clear, then in an enclave."""
    program, plan, shards, _ = study.prepared()
    opening = Opening(shards, plan)
    clear, clear_s = timed(find_technique("cleartext"), program, opening)
    technique = find_technique("tee")
    measurement._imported.cache_clear()  # a cell's process reads the sources for the first time
    begun = time.perf_counter()
    technique.warm_up()
    start = time.perf_counter() - begun
    enclave, elapsed = timed(technique, program, opening)
    for name, value in clear.answer.values.items():
        np.testing.assert_array_equal(enclave.answer[name], value)
    wall = {name: phase["wall_s"] for name, phase in enclave.phases.items()}
    assert sum(wall.values()) <= elapsed
    imports = bare_imports(loaded)
    return Turn(
        clear=clear_s,
        inside=Noting.spent["wall_s"],
        clear_cpu=clear.phases["compute"]["cpu_s"],
        inside_cpu=Noting.spent["cpu_s"],
        setup=wall["setup"],
        protect=wall["protect"],
        relay=wall["compute"] - Noting.spent["wall_s"],
        reveal=wall["reveal"],
        start=start - imports,
        imports=imports,
    )


def table(turns: list[Turn]) -> str:
    """Markdown: medians over the turns; of the program the fastest."""

    def middle(name: str) -> float:
        return median(getattr(t, name) for t in turns)

    def best(name: str) -> float:
        return min(getattr(t, name) for t in turns)

    added, clear = middle("simulation"), best("clear")
    worst = max(t.simulation for t in turns)
    verdict = "under" if added < TARGET_S and added < TARGET_SHARE * clear else "OVER"
    rows = [
        ("attestation (`setup`)", middle("setup")),
        ("sealing records (`protect`)", middle("protect")),
        ("handing records over, asking for the run", middle("relay")),
        ("opening the answer (`reveal`)", middle("reveal")),
        ("starting three processes, libraries left out", middle("start")),
        ("**the simulation**", added),
        ("libraries that the processes import at their start", middle("imports")),
        ("the program in the clear, fastest", clear),
        ("the program in the enclave, fastest", best("inside")),
        ("CPU time of the program in the clear, least", best("clear_cpu")),
        ("CPU time of the program in the enclave, least", best("inside_cpu")),
    ]
    ratios = [t.inside_cpu / t.clear_cpu for t in turns]
    lines = ["| | seconds |", "| --- | ---: |"]
    lines += [f"| {name} | {seconds:.2f} |" for name, seconds in rows]
    lines += [
        "",
        f"The simulation takes {added:.2f} s ({worst:.2f} s at most over {len(turns)} turns), "
        f"{100 * added / clear:.1f} % of the cell in the clear: {verdict} {TARGET_S:g} s and "
        f"{100 * TARGET_SHARE:g} %. The program's CPU time inside is {median(ratios):.2f} times "
        f"that in the clear ({min(ratios):.2f} to {max(ratios):.2f}, by the turn): this spread is "
        f"the machine's, whose load was {load()}.",
    ]
    return "\n".join(lines)


def load() -> str:
    """Processes that wanted a processor, and processors."""
    return f"{os.getloadavg()[1]:.1f} on {os.cpu_count()} processors"


def obliviousness() -> str:
    """Markdown: what it costs to touch the same memory for everybody."""
    frame = watched().cost.reset_index()
    lines = [f"| {' | '.join(frame.columns)} |", "| --- | --- " + "| ---: " * 4 + "|"]
    lines += [f"| {' | '.join(row)} |" for row in frame.itertuples(index=False)]
    return "\n".join(lines)


def write(text: str, name: str, found: str) -> str:
    """A page with a table between its two marks."""
    begin, end = (mark.format(name) for mark in MARKS)
    head, _, rest = text.partition(begin)
    return f"{head}{begin}\n{found}\n{end}{rest.partition(end)[2]}"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="tee against cleartext")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {DOC.name}")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--iterations", type=int, default=ITERATIONS)
    options = parser.parse_args()
    chosen = {"method": "gradient", "iterations": options.iterations}
    study = Study("tee", "logreg", "taiwan_default", chosen)
    deployed.Machine = Noting  # type: ignore[misc]
    loaded = [libraries(module) for module in PROCESSES]
    turns = []
    for _ in range(options.repeats):
        turns.append(turn(study, loaded))
        print(turns[-1], f"simulation {turns[-1].simulation:.2f} s", flush=True)
    found = {"overhead": table(turns), "obliviousness": obliviousness()}
    print(*found.values(), sep="\n\n")
    if options.write:
        text = DOC.read_text(encoding="utf-8")
        for name, lines in found.items():
            text = write(text, name, lines)
        DOC.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
