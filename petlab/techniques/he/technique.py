"""The session of homomorphic encryption, and what it promises."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from petlab.accumulator import Accumulators
from petlab.aggregation import Aggregation, Opener
from petlab.errors import ProtocolError
from petlab.ops import not_yet
from petlab.party import AGGREGATOR, OWNERS, SERVER
from petlab.protected import Layout, Local, Protected
from petlab.release import Exposure
from petlab.result import Guarantee
from petlab.technique import Technique
from petlab.techniques.he import counts, records
from petlab.techniques.he.keys import KeyPair, PublicKey, Scheme
from petlab.techniques.he.sums import SUMS, EncryptedSums, ReadableSums

SECURITY_BITS = 128
"""TenSEAL refuses parameters below the HomomorphicEncryption.org table for 128 bits."""


@dataclass(frozen=True)
class Slots:
    """Encrypted rows with people along the slots; not yet, or already, multiplied."""

    message: bytes
    answered: bool = False


class EncryptedSession(Accumulators):
    """Owners encrypt under the reader's public key; the server adds and multiplies.

    The reader of a sum makes the key pair. Several readers of one accumulator share a
    secret key, which the first of them hands to the others.
    """

    def _set_up(self) -> None:
        self._keys: dict[tuple[Scheme, tuple[str, ...]], KeyPair] = {}
        self._colluding = False

    def _key(self, scheme: Scheme, *readers: str) -> KeyPair:
        known = (scheme, readers)
        if known not in self._keys:
            first = readers[0]
            with self.meter.phase("setup", party=first):
                keys = KeyPair(scheme)
                for other in readers[1:]:
                    private = keys.secret.serialize(save_secret_key=True)
                    self.send(first, other, "secret key", private)
                for party in {SERVER, self.place, *(o.name for o in self.owners)} - {*readers}:
                    self.send(first, party, "public key", keys.public.blob)
            self._keys[known] = keys
            self._colluding |= len(readers) > 1
        return self._keys[known]

    def _aggregation(self, *readers: str, terms: int) -> Aggregation:
        if self.aggregator in readers:
            raise ProtocolError("the compute server cannot be a reader: it must hold no key.")
        return EncryptedSums(self._key(SUMS, *readers).public, terms=terms)

    def _opener(self, *readers: str, terms: int) -> Opener:
        return ReadableSums(self._key(SUMS, *readers), terms=terms)

    def _share(self, values: np.ndarray, owner: str, label: str, layout: Layout) -> Protected:
        self.plain_bytes += values.nbytes
        if layout == "slots":
            keys = self._key(counts.COUNTS, self.place)
            with self.meter.phase("protect", party=owner):
                message = counts.encrypt_rows(keys.public, values)
            return Protected(self, Slots(message), values.shape, label, layout, owner)
        keys = self._key(self._chain, self.place)
        with self.meter.phase("protect", party=owner):
            message = records.encrypt(keys.public, values)
        message = self.send(owner, SERVER, "encrypted records", message)
        with self.meter.phase("compute", party=SERVER):
            handle = records.load(keys.public, message, self.plan.value_max)
        return Protected(self, handle, values.shape, label, layout, SERVER)

    @property
    def _public(self) -> PublicKey:
        return self._key(self._chain, self.place).public

    @property
    def _chain(self) -> Scheme:
        return records.scheme_for(self.plan.depth)

    def _plain_matmul(self, left: Protected, right: Local | np.ndarray) -> Protected:
        if left.layout == "slots":
            return self._count(left, right)
        matrix = self._beside(left, right)
        with self.meter.phase("compute", party=left.holder):
            handle = records.product(left.handle, matrix, self._public)
        shape = (left.shape[0], matrix.shape[1])
        return Protected(self, handle, shape, left.label, left.layout, left.holder)

    def _count(self, left: Protected, right: Local | np.ndarray) -> Protected:
        if left.handle.answered:
            raise ProtocolError("masked counts can be revealed, and nothing else.")
        at = right.at if isinstance(right, Local) else SERVER
        matrix = self._lookup(at, right.source) if isinstance(right, Local) else right
        keys = self._key(counts.COUNTS, self.place)
        message = self.send(left.holder, at, "encrypted rows", left.handle.message)
        with self.meter.phase("compute", party=at):
            answers = counts.masked_products(keys.public, message, matrix, left.shape[0])
        shape = (left.shape[0], matrix.shape[1])
        return Protected(self, Slots(answers, answered=True), shape, left.label, "slots", at)

    def _add(self, left: Protected, right: Protected | Local | np.ndarray) -> Protected:
        if left.layout == "slots" or isinstance(right, Protected):
            raise ProtocolError("this technique adds plain rows to encrypted records only.")
        row = self._beside(left, right)
        with self.meter.phase("compute", party=left.holder):
            handle = records.shifted(left.handle, row, self._public)
        return Protected(self, handle, left.shape, left.label, left.layout, left.holder)

    def _square(self, value: Protected) -> Protected:
        with self.meter.phase("compute", party=value.holder):
            handle = records.squared(value.handle, self._public)
        return Protected(self, handle, value.shape, value.label, value.layout, value.holder)

    _multiply = not_yet("no program multiplies two encrypted arrays; squares are built")
    _matmul = not_yet("no program multiplies two encrypted matrices")

    def _reveal(self, value: Protected, reader: str) -> np.ndarray:
        if reader != self.place:
            raise ProtocolError(f"{reader} has no key for what {self.place} reads.")
        if value.layout == "slots":
            if not value.handle.answered:
                raise ProtocolError("encrypted rows are opened only after masking: multiply first.")
            message = self.send(value.holder, reader, "masked counts", value.handle.message)
            with self.meter.phase("reveal", party=reader):
                keys = self._key(counts.COUNTS, reader)
                return counts.open_counts(keys, message, (value.shape[0], value.shape[1]))
        keys = self._key(self._chain, reader)
        with self.meter.phase("compute", party=value.holder):
            blob = records.dump(keys.public, value.handle)
        message = self.send(value.holder, reader, "encrypted scores", blob)
        with self.meter.phase("reveal", party=reader):
            return records.decrypt(keys, message, value.shape)

    def _beside(self, value: Protected, operand: Local | np.ndarray) -> np.ndarray:
        """Return a plain operand, which must lie where the ciphertexts are."""
        if not isinstance(operand, Local):
            return operand
        if operand.at != value.holder:
            raise ProtocolError(f"{operand.at}'s operand is not at {value.holder}.")
        return self._lookup(operand.at, operand.source)

    def _guarantee(self) -> Guarantee:
        schemes = sorted({str(scheme) for scheme, _ in self._keys})
        exposed = (
            "One reader who colludes with the server opens everything. "
            if self._colluding
            else "A reader who colludes with the server opens single contributions. "
        )
        return Guarantee(
            kind="input",
            protects="Records and contributions, against the compute server, which has no key.",
            not_protected=(
                f"What is opened to its reader. {exposed}Ciphertext noise is not flooded: "
                "decrypted scores must not be shown to the server (IND-CPA-D), and a reader may "
                "learn something of a plain operand from the noise (no circuit privacy)."
            ),
            adversary="semi-honest server, colluding with no reader",
            trusted=(),
            security_bits=SECURITY_BITS,
            mechanism="; ".join(schemes),
        )


class HomomorphicEncryption(Technique):
    """Compute on ciphertexts: TenSEAL's BFV for sums and counts, CKKS for scores."""

    name = "he"
    title = "Homomorphic encryption"
    protects = "inputs, against the compute server"
    packages = {"tenseal": "tenseal"}  # noqa: RUF012
    session = EncryptedSession
    exposure = Exposure(places=(OWNERS, AGGREGATOR), contributions=False)
