"""Multiparty computation as a technique: which parties there are, and who deals."""

from __future__ import annotations

from dataclasses import dataclass

from petlab.errors import UsageError
from petlab.lending import Lender
from petlab.party import OWNERS
from petlab.release import Exposure
from petlab.session import Opening, Session
from petlab.summing import Summing
from petlab.task import setting
from petlab.technique import Technique
from petlab.techniques.mpc.cluster import Cluster
from petlab.techniques.mpc.committee import Committee
from petlab.techniques.mpc.party import read_secret
from petlab.techniques.mpc.session import SharedSession

DEALERS = ("third", "first")


@dataclass(frozen=True)
class Settings:
    """Settings of multiparty computation."""

    compute_parties: int = setting(2, "compute parties, 2 or 3")
    dealer: str = setting(
        "third", "who deals: third (a process of its own), or first (party 1, who then can see all)"
    )
    address: str = setting("", "HOST:PORT where `petlab party` calls; default: start them here")
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

    def warm_up(self) -> None:
        """Start the compute parties, and wait until they have imported their libraries."""
        if self._waiting is None:
            self._waiting = self._cluster()
        self._waiting.gather()

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
        if chosen.compute_parties not in (2, 3):
            raise UsageError(f"compute_parties is 2 or 3, not {chosen.compute_parties}.")
        if chosen.dealer not in DEALERS:
            raise UsageError(f"unknown dealer {chosen.dealer!r}. Known: {', '.join(DEALERS)}.")
        return Cluster(
            chosen.compute_parties,
            third_dealer=chosen.dealer == "third",
            address=chosen.address or None,
            secret=read_secret(chosen.secret_file) if chosen.address else None,
        )
