"""What an enclave is launched with: public, agreed by all parties, and part of its measurement."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

from petlab.core.contribution import resolve
from petlab.core.party import ENCLAVE
from petlab.core.plan import Plan, Public
from petlab.core.release import Exposure, Release
from petlab.core.task import Program
from petlab.techniques.tee.attestation import ENCLAVE_VERSION

EXPOSURE = Exposure(places=(ENCLAVE,), contributions=True)
START, ENTRY = "petlab.techniques.tee.entry", "petlab.techniques.tee.enclave"
"""File that an enclave process starts with, and module that it then runs."""


@dataclass(frozen=True)
class Configuration:
    """Everything that decides what the enclave does and who reads the answer.

    Attributes
    ----------
    program
        Import path of the program; empty for an enclave that only adds contributions.
    settings
        Import path of the settings' class, and its fields.
    public
        Fields of the plan's public facts.
    release
        Import path and settings of what guards the output, or None.
    analyst
        X25519 public key, hexadecimal: the only reader.
    owners
        Ed25519 public key of each owner, hexadecimal: the only senders, and each of them sends.
    """

    program: str
    settings: tuple[str, Mapping[str, Any]]
    public: Mapping[str, Any]
    seed: int
    release: tuple[str, Mapping[str, Any]] | None
    analyst: str
    owners: Mapping[str, str]
    version: int = ENCLAVE_VERSION
    debug: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Configuration:
        """Read what `to_json` wrote."""
        release = values["release"]
        return cls(
            **{
                **values,
                "settings": tuple(values["settings"]),
                "release": tuple(release) if release else None,
            }
        )

    @property
    def modules(self) -> list[str]:
        """Modules from which the source closure starts."""
        named = [self.program, self.settings[0], self.release[0] if self.release else ""]
        return [START, ENTRY, *(name.partition(":")[0] for name in named if name)]

    def resolved(self) -> Program:
        """Import the program."""
        found: Any = resolve(self.program)
        assert isinstance(found, Program)
        return found

    def plan(self) -> Plan:
        """Make the plan again from what is public."""
        module, _, name = self.settings[0].partition(":")
        kind = getattr(importlib.import_module(module), name)
        public = Public(**{**self.public, **_public(self.public)})
        return self.resolved().plan(kind(**self.settings[1]), public)

    def guard(self, plan: Plan) -> Release | None:
        """Make what guards the output, calibrated for the plan, inside the enclave."""
        if self.release is None:
            return None
        module, _, name = self.release[0].partition(":")
        kind = getattr(importlib.import_module(module), name)
        return kind(kind.settings(**self.release[1])).release(plan, EXPOSURE)


def _public(values: Mapping[str, Any]) -> dict[str, Any]:
    image = values["image"]
    return {
        "features": tuple(values["features"]),
        "observed": tuple(values["observed"]),
        "levels": MappingProxyType(dict(values["levels"])),
        "image": tuple(image) if image else None,
    }


def public_json(public: Public) -> dict[str, Any]:
    """Public facts as plain JSON values."""
    return {
        "features": list(public.features),
        "feature_norm": public.feature_norm,
        "classes": public.classes,
        "levels": dict(public.levels),
        "sites": public.sites,
        "image": list(public.image) if public.image else None,
        "owners": public.owners,
        "records_max": public.records_max,
        "records": public.records,
        "observed": list(public.observed),
    }
