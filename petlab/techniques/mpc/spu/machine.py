"""One party's SPU: shares in and out as bytes, and compiled functions run on them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from petlab.errors import ProtocolError

FRACTION = 20
"""Fraction bits of a real value."""
_ARITHMETIC, _PUBLIC = "aby3.AShr<FM64>", "Pub2k<FM64>"
_COMPILED = Path(sys.prefix) / "petlab"
"""Compiled functions are kept beside the libraries that compiled them."""


def load() -> None:
    """Import the libraries, before a party is said to be there."""
    import jax
    import spu
    from spu.utils import frontend

    _ = spu, frontend
    jax.config.update("jax_enable_x64", True)


class Machine:
    """A runtime of ABY3 over the ring of 64-bit integers.

    Parameters
    ----------
    context
        SPU's links to the other parties.
    """

    def __init__(self, context: Any) -> None:
        from spu import Runtime, libspu

        config = libspu.RuntimeConfig(libspu.ProtocolKind.ABY3, libspu.FieldType.FM64, FRACTION)
        config.max_concurrency = 1
        config.enable_pphlo_profile = True  # which says what was sent
        self._runtime = Runtime(context, config)
        self._kinds: dict[str, tuple[tuple[int, ...], str]] = {}
        self._compiled: dict[str, tuple[bytes, list[Any]]] = {}

    def put(self, name: str, pair: np.ndarray, bits: int) -> None:
        """Store this party's two of three additive shares: int64, shape (..., 2)."""
        self._set(name, pair, pair.shape[:-1], "i8" if bits == 0 else "f8", _ARITHMETIC)

    def put_public(self, name: str, values: np.ndarray) -> None:
        """Store a public array: int64, or reals that are rounded to fixed point."""
        kind = values.dtype.str[1:]
        exact = values if kind == "i8" else np.rint(np.ldexp(values, FRACTION)).astype(np.int64)
        self._set(name, exact, values.shape, kind, _PUBLIC)

    def take_out(self, name: str) -> np.ndarray:
        """Return this party's additive share: the first of its two."""
        from spu import libspu

        share, meta = self._runtime.get_var(name), libspu.ValueMeta()
        meta.ParseFromString(share.meta)
        if meta.storage_type != _ARITHMETIC:
            return self._as_arithmetic(name)
        content = b""
        for part in share.share_chunks:
            chunk = libspu.ValueChunk()
            chunk.ParseFromString(part)
            content += chunk.content
        shape, _ = self._kinds[name]
        return np.frombuffer(content, np.int64).reshape(*shape, 2)[..., 0].copy()

    def drop(self, name: str) -> None:
        """Forget an array."""
        self._runtime.del_var(name)
        del self._kinds[name]

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a stored array."""
        return self._kinds[name][0]

    def whole(self, name: str) -> bool:
        """Whether a stored array holds integers."""
        return self._kinds[name][1] == "i8"

    def run(
        self, command: str, inputs: Sequence[str], outputs: Sequence[str], **options: Any
    ) -> list[str]:
        """Carry out a command on stored arrays; return under which names its results are."""
        from spu import libspu

        kinds = [self._kinds[name] for name in inputs]
        public = [name.startswith("public") for name in inputs]
        code, found = self._code(command, kinds, public, options)
        stored = list(outputs[: len(found)])
        executable = libspu.Executable(
            name=command, input_names=list(inputs), output_names=stored, code=code
        )
        try:
            self._runtime.run(executable)
        except RuntimeError as error:
            reason = str(error).partition("stacktrace")[0].split("\n")[1:2]
            raise ProtocolError(f"SPU failed in {command}: {' '.join(reason).strip()}") from None
        for name, (shape, kind) in zip(stored, found, strict=True):
            self._kinds[name] = tuple(shape), kind
        return stored

    def _as_arithmetic(self, name: str) -> np.ndarray:
        shape, kind = self._kinds[name]
        zero = np.zeros((*shape, 2), np.int64)
        self.put("zero", zero, 0 if kind == "i8" else FRACTION)
        self.run("opened", [name, "zero"], ["opened"])
        found = self.take_out("opened")
        self.drop("zero")
        self.drop("opened")
        return found

    def _set(
        self, name: str, content: np.ndarray, shape: tuple[int, ...], kind: str, storage: str
    ) -> None:
        from spu import libspu

        meta, chunk, share = libspu.ValueMeta(), libspu.ValueChunk(), libspu.Share()
        data, visibility = libspu.DataType, libspu.Visibility
        meta.data_type = data.DT_I64 if kind == "i8" else data.DT_F64
        secret = storage == _ARITHMETIC
        meta.visibility = visibility.VIS_SECRET if secret else visibility.VIS_PUBLIC
        meta.storage_type, meta.shape = storage, list(shape)
        chunk.content = np.ascontiguousarray(content).tobytes()
        chunk.total_bytes = len(chunk.content)
        share.meta, share.share_chunks = meta.SerializeToString(), [chunk.SerializeToString()]
        self._runtime.set_var(name, share)
        self._kinds[name] = tuple(shape), kind

    def _code(
        self, command: str, kinds: Sequence[Any], public: Sequence[bool], options: dict[str, Any]
    ) -> tuple[bytes, list[Any]]:
        """Return SPU's program for a command on such arrays, and what it results in."""
        key = json.dumps([command, list(kinds), list(public), options])
        if key not in self._compiled:
            from petlab.techniques.mpc.spu import functions

            source = Path(functions.__file__).read_bytes()
            digest = hashlib.sha256(key.encode() + b"\n" + source).hexdigest()
            path = _COMPILED / digest
            if path.exists():
                head, _, code = path.read_bytes().partition(b"\n")
                self._compiled[key] = code, json.loads(head)
            else:
                function = functions.command(command, **options)
                self._compiled[key] = _compile(function, kinds, public)
                _keep(path, *self._compiled[key])
        return self._compiled[key]


def _compile(
    function: Callable[..., Any], kinds: Sequence[Any], public: Sequence[bool]
) -> tuple[bytes, list[Any]]:
    import jax
    from spu import libspu
    from spu.utils import frontend

    examples = [jax.ShapeDtypeStruct(shape, kind) for shape, kind in kinds]
    visibility = libspu.Visibility
    executable, found = frontend.compile(
        frontend.Kind.JAX,
        function,
        examples,
        {},
        [f"input-{k}" for k in range(len(kinds))],
        [visibility.VIS_PUBLIC if p else visibility.VIS_SECRET for p in public],
        lambda results: [f"output-{k}" for k in range(len(results))],
    )
    return executable.code, [[list(r.shape), np.dtype(r.dtype).str[1:]] for r in found]


def _keep(path: Path, code: bytes, found: list[Any]) -> None:
    """Write a compiled function for the next session; several parties may do so at once."""
    draft = path.with_suffix(f".{os.getpid()}")
    with contextlib.suppress(OSError):  # where it may not be written, it is compiled each time
        path.parent.mkdir(exist_ok=True)
        draft.write_bytes(json.dumps(found).encode() + b"\n" + code)
        draft.replace(path)
