"""Makes CrypTen 0.4.1 run on current torch, with randomness and transport that fit the purpose.

CrypTen's last release is of 2022. What is changed here, and nowhere else:

- `torch.onnx._internal.registration` moved; CrypTen imports it for ONNX conversion, which
  petlab does not use: an empty module stands in.
- Its decoder is off by one for some negative numbers: with floor division by `scale - 1` the
  error appears with probability about |v| / 65535.
- Its random numbers come from `torch.Generator`, a Mersenne Twister; here from AES.
- Its communicator is torch.distributed's: plain TCP with pickle. Here petlab's links.
- Its division of shares by a public scale errs catastrophically with probability about
  |x| 2^32 / 2^64; petlab truncates with the dealer's help (`tuples.Tuples.truncated`).
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

from petlab.techniques.mpc.streams import Stream


def load() -> ModuleType:
    """Import CrypTen with its import and its decoder repaired."""
    if "crypten" in sys.modules:
        return sys.modules["crypten"]
    _stand_in_for_onnx_registration()
    crypten = importlib.import_module("crypten")
    encoder = importlib.import_module("crypten.encoder")
    encoder.FixedPointEncoder.decode = _decode
    return crypten


def connect(communicator: Any, provider: Any, *, previous: Stream, following: Stream) -> None:
    """Let CrypTen's protocols talk through a communicator and draw from AES.

    Parameters
    ----------
    communicator, provider
        Stand for CrypTen's own `Communicator` and `TupleProvider`.
    previous, following
        Streams shared with the neighbouring parties, for sharings of zero.
    """
    import torch

    crypten = load()
    mpc: Any = importlib.import_module("crypten.mpc")
    comm: Any = importlib.import_module("crypten.communicator")
    comm.get = lambda: communicator
    comm.is_initialized = lambda: True
    mpc.get_default_provider = lambda: provider
    for name in ("arithmetic", "binary"):
        module = importlib.import_module(f"crypten.mpc.primitives.{name}")
        for drawn in ("generate_random_ring_element", "generate_kbit_random_tensor"):
            if hasattr(module, drawn):
                setattr(module, drawn, _elements)
    cpu = torch.device("cpu")
    crypten.generators["prev"][cpu] = previous
    crypten.generators["next"][cpu] = following
    crypten.generators["local"][cpu] = Stream()


def _elements(size: Any, *args: Any, generator: Any = None, **kwargs: Any) -> Any:
    import torch

    if generator is None:
        generator = load().generators["local"][torch.device("cpu")]
    return torch.from_numpy(generator.words(tuple(size)).copy())


def _decode(self: Any, tensor: Any) -> Any:
    """Fixed-point integers as floats, exactly rounded."""
    return None if tensor is None else (tensor.double() / self._scale).float()


def _stand_in_for_onnx_registration() -> None:
    name = "torch.onnx._internal.registration"
    stand_in = ModuleType(name)
    stand_in.registry = None  # type: ignore[attr-defined]
    sys.modules.setdefault(name, stand_in)
