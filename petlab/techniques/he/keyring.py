"""Key pairs of one session, and the sums that are protected with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from petlab.core.aggregation import Aggregation, Opener
from petlab.core.claims import Guarantee
from petlab.core.summing import Summing
from petlab.errors import ProtocolError
from petlab.techniques.he.keys import SECURITY_BITS, KeyPair, Scheme
from petlab.techniques.he.sums import SUMS, EncryptedSums, ReadableSums


class Keyring:
    """Makes a key pair when it is first needed; a lender of encrypted sums.

    The reader of a sum makes the key pair. Several readers of one accumulator share a
    secret key, which the first of them hands to the others.

    Parameters
    ----------
    host
        The session: its aggregator adds and has no key; its owners and the program's place
        get public keys.
    """

    def __init__(self, host: Summing) -> None:
        self._host = host
        self.pairs: dict[tuple[Scheme, tuple[str, ...]], Any] = {}

    def pair(self, scheme: Scheme, *readers: str, make: Callable[[Scheme], Any] = KeyPair) -> Any:
        """Return the readers' key pair; everybody else was sent its public key.

        Parameters
        ----------
        make
            Makes the pair: `KeyPair`, or the like of another engine.
        """
        known = (scheme, readers)
        if known not in self.pairs:
            host, first = self._host, readers[0]
            workers = {host.aggregator, host.place, *(owner.name for owner in host.owners)}
            with host.meter.phase("setup", party=first):
                keys = make(scheme)
                for other in readers[1:]:
                    private = keys.secret.serialize(save_secret_key=True)
                    host.send(first, other, "secret key", private)
                for party in sorted(workers - {*readers}):
                    host.send(first, party, "public key", keys.public.blob)
            self.pairs[known] = keys
        return self.pairs[known]

    def aggregation(self, *readers: str, terms: int) -> Aggregation:
        """Return sums under the readers' public key, which the host's aggregator adds."""
        holder = self._host.aggregator
        if holder in readers:
            raise ProtocolError(f"the {holder} cannot be a reader: it must hold no key.")
        return EncryptedSums(self.pair(SUMS, *readers).public, terms=terms, holder=holder)

    def opener(self, *readers: str, terms: int) -> Opener:
        """Return what decrypts them, at the readers."""
        return ReadableSums(self.pair(SUMS, *readers), terms=terms)

    def guarantee(self) -> Guarantee:
        """State what the adding party cannot read, under the schemes that were used."""
        holder = self._host.aggregator
        shared = any(len(readers) > 1 for _, readers in self.pairs)
        return Guarantee(
            kind="input",
            protects=f"Contributions, against the {holder}, which adds them and has no key.",
            not_protected=(
                "What is opened to its reader. "
                f"{'One' if shared else 'A'} reader who colludes with the {holder} opens "
                f"{'everything' if shared else 'single contributions'}. "
                f"The {holder}, if it deviates, can show a reader a single contribution in place "
                "of the sum, or repeat an older one."
            ),
            adversary=f"semi-honest {holder}, colluding with no reader",
            security_bits=SECURITY_BITS,
            mechanism="; ".join(sorted({str(scheme) for scheme, _ in self.pairs})),
        )

    def close(self) -> None:
        """Nothing lives outside of this process."""
