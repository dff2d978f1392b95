"""What an ordinary machine offers to keep an enclave process apart, and which of it holds.

None of this keeps the kernel or its administrator out: they read the process' memory. That is
what the hardware of a real enclave is for, and what this simulation cannot show.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

PARENT = Path(__file__).resolve().parents[3]
_NEWUSER, _NEWNET = 0x10000000, 0x40000000
_SET_DEATH_SIGNAL, _SET_DUMPABLE, _SET_NO_NEW_PRIVS, _SET_SECCOMP = 1, 4, 38, 22
_FILTER = 2
_LOCK_ALL = 1 | 2 | 4
"""What is mapped, what will be, and each page when it is first touched, not before."""
_KILL, _ALLOW, _REFUSE = 0x80000000, 0x7FFF0000, 0x00050000 | 1
# Network, other processes' memory, other programs, and io_uring, which would do all that unseen:
# nothing of it is any business of an enclave.
_DENIED = {
    "x86_64": (41, 42, 49, 50, 43, 288, 101, 310, 311, 59, 322, 165, 166, 272, 308, 425),
    "aarch64": (198, 203, 200, 201, 202, 242, 117, 270, 271, 221, 281, 40, 39, 97, 268, 425),
}
TRIAL_S = 5.0
NAMESPACES = "own namespaces (bubblewrap)"
_APART = (
    *("--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"),
    *("--cap-drop", "ALL", "--cap-add", "CAP_IPC_LOCK"),
)
"""Without a user namespace, which only an administrator can do. In one, memory cannot be locked,
and the user who made it may trace what is started inside, dumpable or not."""
_SECOND_ABI = 0x40000000
"""From here on x86-64 has the same calls again (x32)."""
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


def wrapped(command: Sequence[str], readable: Sequence[Path]) -> list[str]:
    """Put a command into bubblewrap's namespaces: for an administrator, where it is installed.

    For an ordinary user it would take down a wall: `_APART` says which.

    Parameters
    ----------
    readable
        Folders that it may read; it may write nowhere but in memory.
    """
    program = shutil.which("bwrap")
    if program is None or os.geteuid() != 0:
        return list(command)
    walls = ["--die-with-parent", "--new-session", "--tmpfs", "/tmp", "--proc", "/proc"]
    walls += ["--dev", "/dev"]
    for folder in ("/usr", "/lib", "/lib64", "/bin", "/etc", *map(str, readable)):
        if Path(folder).exists():
            walls += ["--ro-bind", folder, folder]
    walls += ["--chdir", "/"]  # else it tells where the host was started
    inside = (program, *_APART, *walls)
    return [*inside, *command] if _runs((*inside, "true")) else list(command)


@cache
def _runs(command: tuple[str, ...]) -> bool:
    """Whether a command ends well: containers often have bubblewrap, but no right to use it."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=TRIAL_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def confine() -> dict[str, bool]:
    """Close this process off as far as the machine allows; say what holds.

    Returns
    -------
    Whether it has no network, cannot be dumped, has its memory locked, writes nothing to any
    file, may make no system call that reaches outside, and runs inside bubblewrap.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    for limit in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE):
        resource.setrlimit(limit, (0, 0))
    held = {
        "no network": _no_network()
        or libc.unshare(_NEWUSER | _NEWNET) == 0
        or libc.unshare(_NEWNET) == 0,
        "not dumpable": libc.prctl(_SET_DUMPABLE, 0, 0, 0, 0) == 0,
        "memory locked": libc.mlockall(_LOCK_ALL) == 0,
        "nothing written to files": resource.getrlimit(resource.RLIMIT_FSIZE) == (0, 0),
    }
    libc.prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)  # without its device there is no enclave
    libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    held["system calls filtered"] = _filter(libc)
    held[NAMESPACES] = _first_process() == "bwrap"
    return held


def _no_network() -> bool:
    """Whether there is no network but the one that this process shares with nobody."""
    return {name for _, name in socket.if_nameindex()} <= {"lo"} and _first_process() == "bwrap"


def _first_process() -> str:
    """Name of what runs as process 1 where this one can look."""
    try:
        return Path("/proc/1/comm").read_text().strip()
    except OSError:
        return ""


def probe() -> dict[str, bool]:
    """Try in a process of its own what `confine` would reach here."""
    script = (
        f"import sys; sys.path.insert(0, {str(PARENT)!r}); "
        f"import json; from {__name__} import confine; print(json.dumps(confine()))"
    )
    readable = [Path(sys.prefix), Path(sys.base_prefix), PARENT]
    command = wrapped([sys.executable, "-I", "-c", script], readable)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return json.loads(done.stdout) if done.returncode == 0 else {}


def environment() -> dict[str, str]:
    """What an enclave process gets to see of the environment: no secrets of anybody's."""
    kept = {"PATH": os.defpath, "LANG": "C.UTF-8", "OMP_NUM_THREADS": "1"}
    for name in ("VIRTUAL_ENV", "LD_LIBRARY_PATH"):
        if name in os.environ:
            kept[name] = os.environ[name]
    return kept


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def _filter(libc: ctypes.CDLL) -> bool:
    """Refuse the denied system calls (seccomp, a list in Berkeley packet filter code)."""
    machine = platform.machine()
    if machine not in _DENIED:
        return False
    denied = _DENIED[machine]

    def step(code: int, yes: int, no: int, value: int) -> bytes:
        return struct.pack("HBBI", code, yes, no, value)

    load, equal, from_, give = 0x20, 0x15, 0x35, 0x06
    steps = [step(load, 0, 0, 4), step(equal, 1, 0, _ARCHITECTURES[machine])]
    steps += [step(give, 0, 0, _KILL), step(load, 0, 0, 0)]
    steps.append(step(from_, len(denied) + 1, 0, _SECOND_ABI))
    for k, number in enumerate(denied):
        steps.append(step(equal, len(denied) - k, 0, number))
    steps += [step(give, 0, 0, _ALLOW), step(give, 0, 0, _REFUSE)]
    code = b"".join(steps)
    made = _Program(len(steps), code)
    return libc.prctl(_SET_SECCOMP, _FILTER, ctypes.byref(made), 0, 0) == 0
