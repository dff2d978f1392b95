"""What an attacking party holds: the bytes that it received, read in every way it can."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from petlab.attacks.gradients import formats
from petlab.errors import ProtocolError
from petlab.metering import wire
from petlab.metering.transcript import Message, Transcript

READINGS = ("<f8", "<f4", "<i8")
"""Number formats that unreadable bytes are taken for."""


@dataclass(frozen=True)
class Reading:
    """One owner's message as numbers.

    Attributes
    ----------
    vector
        Shape (size,).
    decoded
        The message's own format gave them; otherwise its bytes were taken for numbers.
    """

    vector: np.ndarray
    decoded: bool


def adder(transcript: Transcript, owners: list[str]) -> str:
    """Name the party that owners sent the most to."""
    sent: Counter[str] = Counter()
    for message in transcript.messages:
        if message.sender in owners and message.receiver not in owners:
            sent[message.receiver] += message.size
    return sent.most_common(1)[0][0]


def update(transcript: Transcript, attacker: str, owner: str) -> Message:
    """Return the largest message of an owner's first answer, as the attacker received it.

    Raises
    ------
    ProtocolError
        The attacker received nothing from this owner, or payloads were not recorded.
    """
    held = [m for m in transcript.view(attacker) if m.sender == owner and m.payload]
    if not held:
        raise ProtocolError(f"{attacker} holds nothing of {owner}: run with record=True.")
    return max(held, key=lambda message: message.size)


def readings(
    payload: bytes, size: int, *, steps: Sequence[float] = (), keys: Sequence[Any] = ()
) -> list[Reading]:
    """Read a message as `size` numbers: by its format, or else as every number format.

    Parameters
    ----------
    steps
        Public steps of fixed-point numbers, see `petlab.attacks.gradients.formats`.
    keys
        Encryption contexts that the attacker was sent.

    Returns
    -------
    One reading if the message is in the clear. Otherwise what shares, ciphertexts and bytes
    give; bytes that are taken for numbers are scaled to norm one as well, and too few bytes
    give no reading.
    """
    content = _flower(payload)
    if content is not None and "arrays" in content:
        values = next(iter(content["arrays"].values())).numpy().astype(float).ravel()
        return [Reading(values, True)]
    blob = payload if content is None else max(_blobs(content), key=len, default=b"")
    clear = formats.in_the_clear(blob)
    if clear is not None:
        return [Reading(clear, True)]
    found = [
        Reading(integers * step, False)
        for integers in formats.as_integers(blob, keys, size)
        for step in steps
    ]
    for kind in READINGS:
        needed = size * np.dtype(kind).itemsize
        if len(blob) >= needed:
            with np.errstate(invalid="ignore"):
                raw = np.frombuffer(blob[-needed:], kind).astype(float)
            # Logarithms keep the order of magnitude of numbers that are none.
            tame = np.nan_to_num(raw, nan=0.0, posinf=0.0, neginf=0.0)
            tame = np.sign(tame) * np.log1p(np.abs(tame))
            found.append(Reading(tame / max(float(np.linalg.norm(tame)), 1e-300), False))
    return found


def keys_sent(transcript: Transcript, attacker: str) -> list[Any]:
    """Every encryption context that the attacker was sent."""
    import tenseal as ts

    held = [m.payload for m in transcript.view(attacker) if m.payload and m.label == "public key"]
    return [ts.context_from(payload) for payload in held]


def broadcasts(transcript: Transcript, attacker: str, label: str) -> list[np.ndarray]:
    """Flat weights of every model that the attacker was sent to pass on, in order."""
    held = (m for m in transcript.view(attacker) if m.label == label and m.payload)
    return [wire.unpack(m.payload)["weights"] for m in held if m.payload]


def decryptions(transcript: Transcript, attacker: str) -> tuple[int, int]:
    """Try every key that the attacker was sent on every ciphertext that it was sent.

    Returns
    -------
    How many attempts there were, and how many decrypted.
    """
    import tenseal as ts

    held = [m for m in transcript.view(attacker) if m.payload]
    keys = keys_sent(transcript, attacker)
    tried = opened = 0
    for message in held:
        content = _flower(message.payload or b"")
        for blob in _ciphertexts(content) if content is not None else []:
            for key in keys:
                tried += 1
                try:
                    ts.bfv_vector_from(key, blob).decrypt()
                    opened += 1
                except (ValueError, RuntimeError):
                    continue
    return tried, opened


def _ciphertexts(content: Any) -> list[bytes]:
    from petlab.techniques.he.keys import unframe

    return [one for blob in _blobs(content) for one in unframe(blob[:16], blob)]


def _flower(payload: bytes) -> Any:
    """Content of a Flower message, or None if it is none."""
    from flwr.common.serde import message_from_proto
    from flwr.proto.message_pb2 import Message as MessageProto

    try:
        return message_from_proto(MessageProto.FromString(payload)).content
    except Exception:  # whatever a decoder raises on bytes that are not its own
        return None


def _blobs(content: Any) -> list[bytes]:
    """Byte strings in the records of a Flower message."""
    return [
        value
        for record in content.config_records.values()
        for value in record.values()
        if isinstance(value, bytes)
    ]
