"""The compute parties at work in one session: commands out, shares back, all of it counted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from petlab.core.aggregation import Aggregation, Opener
from petlab.core.claims import Guarantee
from petlab.core.summing import Summing
from petlab.errors import OutOfRange
from petlab.techniques.mpc.bounds import widened
from petlab.techniques.mpc.cluster import Cluster
from petlab.techniques.mpc.party import ANALYST_LINK
from petlab.techniques.mpc.spu.traffic import expanded
from petlab.techniques.mpc.streams import joined, split
from petlab.techniques.mpc.sums import SharedSums
from petlab.techniques.mpc.traffic.commands import Command
from petlab.techniques.mpc.traffic.hub import Event
from petlab.techniques.mpc.traffic.replay import Replay

SECURITY_BITS = 128
"""Of links, streams and shares, all but one of which are made from keys (X25519, AES-256)."""
_KEPT = 32
"""Arrays that nobody refers to any more are freed in batches of so many."""
_TOGETHER = 1 << 15
"""Entries are compared with their declared ranges in batches of about so many."""


@dataclass
class Stored:
    """An array that the compute parties hold shares of, until nobody refers to it.

    Attributes
    ----------
    bits
        Fraction bits: 0 for whole numbers.
    bound
        Public: no entry is larger in magnitude.
    """

    number: int
    bits: int
    bound: float
    freed: list[int] = field(repr=False)

    def __del__(self) -> None:
        self.freed.append(self.number)


class Committee:
    """Compute parties of a session, its own or one that borrows their sums.

    Parameters
    ----------
    host
        The session: who runs the program, who owns data, what counts messages.
    cluster
        Processes of the parties; they are connected here and closed with the session.
    """

    def __init__(self, host: Summing, cluster: Cluster) -> None:
        self._host, self.cluster = host, cluster
        self._numbers = self._waiting = 0
        self._freed: list[int] = []
        self._replay = Replay(host.transcript, ANALYST_LINK)
        self._cpu: dict[str, float] = {}
        self._offline_s: dict[str, float] = {}
        self._peaks: dict[str, float] = {}
        self._dealt = self._checked = self._refused = self._unread = False
        self.views: dict[str, list[tuple[str, str, bytes]]] = {n: [] for n in cluster.names}
        with host.meter.phase("setup", party=host.place, waits=True):
            cluster.connect(record=host.transcript.recording)
            logs = cluster.logs()
            for name, log in logs.items():
                self._cpu[name] = log["cpu_s"]
                self._replay.start(name, log["cpu_s"])
            self._keep_views(logs)

    def share(self, owner: str, integers: np.ndarray, bits: int, *, bound: float) -> Stored:
        """Split an owner's fixed-point integers and send each party its share."""
        host = self._host
        with host.meter.phase("protect", party=owner):
            shares = split(integers, len(self.cluster.names))
        stored = self._stored(bits, bound)
        options = {"bits": bits, "shape": list(integers.shape)}
        for name, share in zip(self.cluster.names, shares, strict=True):
            command = Command("share", (), stored.number, options, {"share": share})
            self._tell(owner, name, "share", command)
        return stored

    def command(
        self,
        name: str,
        inputs: Sequence[Stored],
        bits: int,
        *,
        bound: float,
        shapes: Sequence[tuple[int, ...]],
        arrays: Mapping[str, np.ndarray] | None = None,
        **options: Any,
    ) -> Stored:
        """Let all parties carry out one operation; `shapes` are those of its inputs.

        Parameters
        ----------
        bound
            Magnitude that no entry of the result exceeds, if operands keep to theirs.
        options
            Public numbers, such as the range that was declared for the first input.
        """
        stored = self._stored(bits, bound)
        numbers = tuple(value.number for value in inputs)
        kinds = tuple((*shape, v.bits) for shape, v in zip(shapes, inputs, strict=True))
        self._tell_all(Command(name, numbers, stored.number, options, arrays or {}, kinds))
        if "high" in options:
            largest = max(abs(options["low"]), abs(options["high"]))
            self._declared(inputs[0], shapes[0], largest)
        if len(self._freed) >= _KEPT:
            freed, self._freed[:] = tuple(self._freed), []
            self._tell_all(Command("free", freed))
        return stored

    def declare(self, value: Stored, shape: tuple[int, ...], bound: float) -> None:
        """Let the parties compare an array with a bound before anything more is opened."""
        options = {"low": -bound, "high": bound}
        self._tell_all(
            Command("declare", (value.number,), None, options, {}, ((*shape, value.bits),))
        )
        self._declared(value, shape, bound)

    def reveal(self, value: Stored, shape: tuple[int, ...], reader: str) -> np.ndarray:
        """Open an array to a reader, if all values kept to their declared ranges."""
        host = self._host
        with host.meter.phase("compute", party=self.cluster.names[0], waits=True):
            self._refuse()
            if self._checked:
                self._refuse_excess(reader)
            self._tell_all(Command("reveal", (value.number,)))
            shares = self.cluster.shares(shape)
            self._follow(reader)
        for name in self.cluster.names:
            self._replay.received(name)
        with host.meter.phase("reveal", party=reader):
            return np.ldexp(joined(shares).astype(float), -value.bits)

    def add(self, holder: str, shares: Sequence[np.ndarray], size: int) -> np.ndarray:
        """Add shares at a holder's process; the host counted them on their way there."""
        if self._unread:  # what this holder did with protected arrays is replayed with the others
            with self._host.meter.phase("compute", party=holder, waits=True):
                self._follow(self._host.place)
        arrays = {str(k): share for k, share in enumerate(shares)}
        self.cluster.tell(holder, Command("sum", options={"shape": [size]}, arrays=arrays))
        found = self.cluster.share(holder, (size,))
        self._book({holder: self.cluster.log(holder)}, replayed=False)
        return found

    def aggregation(self, *readers: str, terms: int) -> Aggregation:
        """Return sums on shares at the compute parties."""
        return SharedSums(tuple(self.cluster.names), terms=terms, add=self.add)

    def opener(self, *readers: str, terms: int) -> Opener:
        """Return what adds the shares of a sum, at a reader."""
        return SharedSums(tuple(self.cluster.names), terms=terms, add=self.add)

    def guarantee(self) -> Guarantee:
        """State against whom shares protect, and who deals, from what actually ran."""
        parties, first = self.cluster.names, self.cluster.names[0]
        most = len(parties) - 1
        what = "Records and contributions" if self._numbers else "Contributions"
        adversary = f"semi-honest; up to {most} of {len(parties)} compute parties collude"
        mechanism = f"additive shares modulo 2^64 among {len(parties)} processes"
        exposed = (
            "What is opened to its reader, and whether all values kept to their declared ranges; "
            "sizes and the program, which are public. "
        )
        trusted: tuple[str, ...] = ()
        if self._dealt:
            mechanism += "; CrypTen 0.4.1 (Beaver triples), 20 fraction bits, exact truncation"
            dealer = self.cluster.dealer
            if dealer:
                trusted = (dealer,)
                adversary += ", none of them with the dealer"
                exposed += "The dealer and one compute party together open every input. "
            else:
                trusted = (first,)
                adversary += f", {first} not among them"
                exposed += f"{first} deals, and can recover the others' inputs exactly. "
        if self._numbers and self.cluster.engine == "spu":
            adversary = "semi-honest, and one of 3 compute parties: an honest majority"
            exposed += "Two compute parties together open every input. "
            mechanism = (
                "replicated shares modulo 2^64 among 3 processes; SecretFlow SPU 0.9.5 (ABY3, "
                "without a dealer), 20 fraction bits, exact truncation; TLS between the parties"
            )
        return Guarantee(
            kind="input",
            protects=f"{what}, against the compute parties, who see shares.",
            not_protected=exposed
            + "A compute party that deviates from the protocol can falsify results. "
            "Compute parties carry out the analyst's program: one that asks for a single input is "
            "given it.",
            adversary=adversary,
            trusted=trusted,
            security_bits=SECURITY_BITS,
            mechanism=mechanism,
        )

    def close(self) -> None:
        """End the parties' processes."""
        self.cluster.close()

    def _declared(self, value: Stored, shape: tuple[int, ...], bound: float) -> None:
        value.bound = min(value.bound, widened(bound))
        self._checked = True
        self._waiting += math.prod(shape)
        if self._waiting >= _TOGETHER:
            self._compare()

    def _compare(self) -> None:
        """Compare what waits for it, all at once: it takes the rounds of one comparison."""
        if self._waiting:
            self._tell_all(Command("compare", options={"entries": self._waiting}))
            self._waiting = 0

    def _refuse_excess(self, reader: str) -> None:
        self._compare()
        self._tell_all(Command("checks"))
        shares = self.cluster.shares((1,))
        self._checked, self._refused = False, True  # until the answer says otherwise
        self._follow(reader)
        for name in self.cluster.names:
            self._replay.received(name)
        self._refused = bool(joined(shares).any())
        self._refuse()

    def _refuse(self) -> None:
        """Open nothing more, once a value has left its range."""
        if self._refused:
            raise OutOfRange(
                "a protected value left the range that the program declared for it: lower the "
                "learning rate, or scale the inputs down."
            )

    def _follow(self, reader: str) -> None:
        self._book(self.cluster.logs(), replayed=True, reader=reader)
        self._unread = False

    def _book(self, logs: Mapping[str, Any], *, replayed: bool, reader: str = "") -> None:
        """Count what the parties did: their messages, and their time."""
        meter = self._host.meter
        if replayed:
            events = expanded({n: [Event(*e) for e in log["events"]] for n, log in logs.items()})
            self._replay.merge(events, reader)
            dealt = sum(e.remote_s or 0.0 for found in events.values() for e in found)
            meter.add("dealer", cpu_s=dealt)
        for name, log in logs.items():
            meter.add("compute", cpu_s=log["cpu_s"] - self._cpu[name])
            self._cpu[name] = log["cpu_s"]
            waited = log["offline_s"] - self._offline_s.get(name, 0.0)
            self._dealt |= waited > 0 or log["dealt"]
            meter.move("compute", "dealer", wall_s=waited)
            self._offline_s[name] = log["offline_s"]
            self._peaks[name] = log["peak_mib"] or 0.0
        self._host.elsewhere_mib = sum(self._peaks.values())
        self._keep_views(logs)

    def _keep_views(self, logs: Mapping[str, Any]) -> None:
        for name, log in logs.items():
            found = [(p, label, bytes.fromhex(data)) for p, label, data in log["received"]]
            self.views[name] += found

    def _stored(self, bits: int, bound: float) -> Stored:
        self._numbers += 1
        return Stored(self._numbers, bits, bound, self._freed)

    def _tell_all(self, command: Command) -> None:
        for name in self.cluster.names:
            self._tell(self._host.place, name, "command", command)

    def _tell(self, sender: str, name: str, label: str, command: Command) -> None:
        self._host.meter.mark()
        size = self.cluster.tell(name, command)
        self._unread = True
        self._replay.sent(sender, name, label, size)


def encode(values: np.ndarray, bits: int) -> np.ndarray:
    """Fixed-point integers of real values, shape kept."""
    return np.rint(np.ldexp(np.asarray(values, float), bits)).astype(np.int64)
