"""Multiparty computation as a technique: which parties there are, and who deals."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace

from petlab.core.aggregation import Lender
from petlab.core.party import OWNERS
from petlab.core.release import Exposure
from petlab.core.session import Opening, Session
from petlab.core.settings import setting
from petlab.core.summing import Summing
from petlab.core.technique import Technique
from petlab.errors import UsageError
from petlab.techniques.mpc.cluster import Cluster
from petlab.techniques.mpc.committee import Committee
from petlab.techniques.mpc.party import ENGINES, read_secret
from petlab.techniques.mpc.session import SharedSession
from petlab.techniques.mpc.spu.environment import interpreter

DEALERS = ("third", "first")


@dataclass(frozen=True)
class Settings:
    """Settings of multiparty computation."""

    compute_parties: int = setting(2, "compute parties, 2 or 3")
    dealer: str = setting(
        "third", "who deals: third (a process of its own), or first (party 1, who then can see all)"
    )
    address: str = setting("", "HOST:PORT where `petlab party` calls; default: start them here")
    engine: str = setting("crypten", "crypten, or spu (ABY3: 3 compute parties, no dealer)")
    spu_python: str = setting("", "interpreter whose environment holds spu; see `make spu`")
    secret_file: str = setting("", "32 bytes that all parties know, when an address is given")


class MultipartyComputation(Technique):
    """Compute on secret shares, at parties none of which learns anything alone."""

    name = "mpc"
    title = "Multiparty computation"
    protects = "inputs, against the compute parties"
    packages = {"crypten": "crypten==0.4.1"}  # noqa: RUF012
    settings = Settings
    session = SharedSession
    exposure = Exposure(places=(OWNERS,), contributions=False)
    _waiting: Cluster | None = None

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(settings)
        if self.chosen.engine == "spu":
            self.chosen = replace(self.chosen, compute_parties=3, dealer="none")

    def check_packages(self) -> None:
        """Refuse early when the engine's library is not installed."""
        if self.chosen.engine == "spu":
            interpreter(self.chosen.spu_python)
        else:
            super().check_packages()

    def warm_up(self) -> None:
        """Start the compute parties, and wait until they have imported their libraries."""
        if self._waiting is None:
            cluster = self._cluster()
            cluster.gather()
            self._waiting = cluster

    def open(self, opening: Opening) -> Session:
        """Open a session with compute parties of its own."""
        cluster = self._taken()
        try:
            return SharedSession(opening, cluster)
        except BaseException:
            cluster.close()
            raise

    def lend(self, host: Summing) -> Lender:
        """Lend sums on shares to another technique's session."""
        return Committee(host, self._taken())

    def _taken(self) -> Cluster:
        self.warm_up()
        cluster, self._waiting = self._waiting, None
        assert cluster is not None
        return cluster

    def _cluster(self) -> Cluster:
        chosen = self.chosen
        if chosen.engine not in ENGINES:
            raise UsageError(f"unknown engine {chosen.engine!r}. Known: {', '.join(ENGINES)}.")
        if chosen.compute_parties not in (2, 3):
            raise UsageError(f"compute_parties is 2 or 3, not {chosen.compute_parties}.")
        if chosen.engine == "crypten" and chosen.dealer not in DEALERS:
            raise UsageError(f"unknown dealer {chosen.dealer!r}. Known: {', '.join(DEALERS)}.")
        return Cluster(
            chosen.compute_parties,
            third_dealer=chosen.dealer == "third",
            address=chosen.address or None,
            secret=read_secret(chosen.secret_file) if chosen.address else None,
            engine=chosen.engine,
            python=interpreter(chosen.spu_python) if chosen.engine == "spu" else sys.executable,
        )
