"""Why an owner, the analyst or the enclave refuses: one error for each kind of attack."""

from __future__ import annotations

from petlab.errors import ProtocolError


class AttestationError(ProtocolError):
    """A quote does not show the enclave that the owner agreed to."""


class ForgedQuote(AttestationError):
    """Its signature, or its device's certificate, was not made by who it claims."""


class WrongMeasurement(AttestationError):
    """Another program, library or configuration runs in the enclave."""


class DowngradedEnclave(AttestationError):
    """An older version of the enclave than the owner accepts."""


class StaleQuote(AttestationError):
    """It answers another challenge: a replay."""


class UnboundKey(AttestationError):
    """The enclave's key is not the one that was attested."""


class ExpiredDevice(AttestationError):
    """The device's certificate is out of date."""


class RevokedDevice(AttestationError):
    """The manufacturer no longer vouches for the device."""


class DebugEnclave(AttestationError):
    """The enclave was launched so that its host may look inside."""


class TamperedMessage(ProtocolError):
    """A sealed message was altered, cut short, or meant for somebody else."""


class UnknownSender(ProtocolError):
    """A message is not signed by the party it claims to be from."""


class Replayed(ProtocolError):
    """A message that was taken already: it would count, or be answered, twice."""


class RefusedRequest(ProtocolError):
    """A host asked for what an enclave does not do, or does not do yet."""


class IncompleteSum(ProtocolError):
    """A sum was asked for that leaves an owner out, or counts one twice."""


class TamperedStorage(ProtocolError):
    """Sealed storage was altered, or sealed by another enclave or on another device."""


class RolledBack(ProtocolError):
    """Sealed storage is older than what the enclave stored last."""
