"""The session of homomorphic encryption, and what it promises."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from petlab.core.accumulator import Accumulators
from petlab.core.aggregation import Aggregation, Lender, Opener
from petlab.core.arrays import Layout, Local, Protected
from petlab.core.claims import Guarantee
from petlab.core.ops import never, not_yet
from petlab.core.party import AGGREGATOR, OWNERS, SERVER
from petlab.core.release import Exposure
from petlab.core.summing import Summing
from petlab.core.technique import Technique
from petlab.errors import ProtocolError
from petlab.techniques.he import counts, records
from petlab.techniques.he.keyring import Keyring
from petlab.techniques.he.keys import KeyPair, PublicKey, Scheme


@dataclass(frozen=True)
class Slots:
    """Encrypted rows of bits of people; not yet, or already, multiplied."""

    message: bytes
    packing: counts.Packing
    answered: bool = False


class EncryptedSession(Accumulators):
    """Owners encrypt under the reader's public key; the server adds and multiplies."""

    def _set_up(self) -> None:
        self._keyring = Keyring(self)
        self._flooded, self._scored = counts.FLOOD_BITS, False

    def _key(self, scheme: Scheme) -> KeyPair:
        """Return the key pair of who reads the program's protected arrays."""
        return self._keyring.pair(scheme, self.place)

    def _aggregation(self, *readers: str, terms: int) -> Aggregation:
        return self._keyring.aggregation(*readers, terms=terms)

    def _opener(self, *readers: str, terms: int) -> Opener:
        return self._keyring.opener(*readers, terms=terms)

    def _share(self, values: np.ndarray, owner: str, label: str, layout: Layout) -> Protected:
        self.plain_bytes += values.nbytes
        if layout == "slots":
            public, how = self._count_keys.public, counts.packing(values.shape[1], self._counted)
            with self.meter.phase("protect", party=owner):
                message = counts.encrypt_rows(public, values, how)
            return Protected(self, Slots(message, how), values.shape, label, layout, owner)
        keys = self._key(self._chain)
        with self.meter.phase("protect", party=owner):
            message = records.encrypt(keys.public, values)
        message = self.send(owner, SERVER, "encrypted records", message)
        with self.meter.phase("compute", party=SERVER):
            handle = records.load(keys.public, message, self.plan.value_max)
        return Protected(self, handle, values.shape, label, layout, SERVER)

    @property
    def _count_keys(self) -> counts.CountKeys:
        return self._keyring.pair(counts.COUNTS, self.place, make=counts.CountKeys)

    @property
    def _counted(self) -> int:
        """Columns that the plan lets be counted: what a packing is chosen for."""
        return max((shape[1] for shape in self.plan.shapes.values() if len(shape) == 2), default=1)

    @property
    def _public(self) -> PublicKey:
        return self._key(self._chain).public

    @property
    def _chain(self) -> Scheme:
        return records.scheme_for(self.plan.depth)

    def _plain_matmul(self, left: Protected, right: Local | np.ndarray) -> Protected:
        if left.layout == "slots":
            return self._count(left, right)
        matrix = self._beside(left, right)
        self._scored = True
        with self.meter.phase("compute", party=left.holder):
            handle = records.product(left.handle, matrix, self._public)
        shape = (left.shape[0], matrix.shape[1])
        return Protected(self, handle, shape, left.label, left.layout, left.holder)

    def _count(self, left: Protected, right: Local | np.ndarray) -> Protected:
        if left.handle.answered:
            raise ProtocolError("masked counts can be revealed, and nothing else.")
        at = right.at if isinstance(right, Local) else SERVER
        matrix = self._lookup(at, right.source) if isinstance(right, Local) else right
        how = left.handle.packing
        self._flooded = min(self._flooded, how.hidden_bits)
        message = self.send(left.holder, at, "encrypted rows", left.handle.message)
        with self.meter.phase("compute", party=at):
            answers = counts.masked_products(
                self._count_keys.public, message, matrix, left.shape[0], how
            )
        shape = (left.shape[0], matrix.shape[1])
        handle = Slots(answers, how, answered=True)
        return Protected(self, handle, shape, left.label, "slots", at)

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

    _multiply = not_yet("products of two encrypted arrays are not built; squares are")
    _matmul = not_yet("products of two encrypted matrices are not built")
    _positive = _exp = _reciprocal = _inv_sqrt = _sigmoid = _softmax = never(
        "CKKS and BFV compute additions and multiplications only"
    )

    def _reveal(self, value: Protected, reader: str) -> np.ndarray:
        if reader != self.place:
            raise ProtocolError(f"{reader} has no key for what {self.place} reads.")
        if value.layout == "slots":
            if not value.handle.answered:
                raise ProtocolError("encrypted rows are opened only after masking: multiply first.")
            message = self.send(value.holder, reader, "masked counts", value.handle.message)
            with self.meter.phase("reveal", party=reader):
                shape, how = (value.shape[0], value.shape[1]), value.handle.packing
                return counts.open_counts(self._count_keys, message, shape, how)
        keys = self._key(self._chain)
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
        sums = self._keyring.guarantee()
        said = [sums.not_protected]
        if self._flooded < counts.FLOOD_BITS:
            said.append(
                "Counts tell their reader the margins of the table; single people are hidden by "
                f"a fresh mask and by noise flooded with {self._flooded} bits."
            )
        if self._scored:
            said.append(_OF_SCORES)
        return replace(
            sums,
            protects="Records and contributions, against the compute server, which has no key.",
            not_protected=" ".join(said),
        )


_OF_SCORES = (
    "A reader who knows as many records as a linear model has weights solves for the model from "
    "their scores. The noise of scores is not flooded and tells their reader about the model (no "
    "circuit privacy). Decrypted scores must not be shown to the server (IND-CPA-D)."
)


class HomomorphicEncryption(Technique):
    """Compute on ciphertexts: TenSEAL for sums (BFV) and scores (CKKS), SEAL for counts (BFV)."""

    name = "he"
    title = "Homomorphic encryption"
    protects = "inputs, against the compute server"
    packages = {"tenseal": "tenseal", "seal": "seal-python"}  # noqa: RUF012
    session = EncryptedSession
    exposure = Exposure(places=(OWNERS, AGGREGATOR), contributions=False)

    def lend(self, host: Summing) -> Lender:
        """Encrypt another technique's contributions under its readers' keys."""
        return Keyring(host)
