"""SPU's links between the compute parties: TLS on both ends, and what crossed them."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import re
import socket
import tempfile
from pathlib import Path
from typing import Any

from petlab.errors import ProtocolError
from petlab.techniques.mpc.traffic.hub import Hub

RECEIVE_S = 30
"""A peer that does not answer an operation for so long is taken for dead."""
_TCP_INFO_BYTES = 256
_ACKED, _RECEIVED = slice(120, 128), slice(128, 136)
"""Where Linux' tcp_info counts the bytes of a connection."""
_LINK = re.compile(r"Link details: .*send actions (\d+)")


class Mesh:
    """Links to the other parties, set up over petlab's own.

    Every party makes a key for this session. The certificates travel over links that only
    those who know the study secret can open, and each party trusts these three alone.

    Parameters
    ----------
    hub
        Links to the other compute parties.
    parties
        Names of the compute parties, by rank.
    hosts
        Where each can be reached, by rank.
    """

    def __init__(self, hub: Hub, parties: list[str], rank: int, hosts: list[str]) -> None:
        from spu import libspu

        folder = tempfile.TemporaryDirectory(prefix="petlab-spu-")
        self._log = _logged_to(Path(folder.name) / "log")
        key, certificate = _identity(parties[rank])
        mine = {"port": _free_port(hosts[rank]), "certificate": certificate}
        others = [name for name in parties if name != parties[rank]]
        payload = json.dumps(mine).encode()
        found = hub.exchange(dict.fromkeys(others, payload), others, "certificate")
        cards = {parties[rank]: mine} | {name: json.loads(p) for name, p in found.items()}
        trusted = Path(folder.name) / "trusted.pem"
        trusted.write_text("".join(cards[name]["certificate"] for name in parties))
        self._ports = {cards[name]["port"] for name in others}
        self._sockets: list[socket.socket] = []
        self._counted = 0
        description = libspu.link.Desc()
        for name, host in zip(parties, hosts, strict=True):
            description.add_party(name, f"{host}:{cards[name]['port']}")
        description.recv_timeout_ms = 1000 * RECEIVE_S
        description.connect_retry_interval_ms = 100
        description.connect_retry_times = 100
        description.enable_ssl = True
        for end in (description.client_ssl_opts, description.server_ssl_opts):
            end.cert.certificate_path, end.cert.private_key_path = certificate, key
            end.verify.ca_file_path, end.verify.verify_depth = str(trusted), 1
        try:
            self.context = libspu.link.create_brpc(description, rank)
        except RuntimeError as error:
            raise ProtocolError(f"SPU's links could not be set up: {error}") from None
        finally:
            folder.cleanup()  # parties end by a signal; the open log is read all the same

    def crossed(self) -> tuple[int, int]:
        """Return what this party did since the last time: send actions, and bytes on the wire.

        The bytes are those of the connections that this party opened, TLS and the peers'
        acknowledgements included; the peers count their own, so that nothing counts twice.
        """
        actions = sum(int(found) for found in _LINK.findall(self._log.read()))
        if len(self._sockets) < len(self._ports):
            self._sockets = _connections_to(self._ports)
        total = sum(_carried(connection) for connection in self._sockets)
        before, self._counted = self._counted, total
        return actions, total - before


def _logged_to(path: Path) -> Any:
    """Let SPU write its profile, which counts messages, to a file."""
    from spu import libspu

    options = libspu.logging.LogOptions()
    options.enable_console_logger = False
    options.system_log_path = str(path)
    libspu.logging.setup_logging(options)
    path.touch()
    return path.open()


def _identity(name: str) -> tuple[str, str]:
    """Return a fresh private key and a certificate for it, as PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + 30 * day)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    return private.decode(), certificate.public_bytes(pem).decode()


def _free_port(host: str) -> int:
    with socket.create_server((host, 0)) as free:
        return free.getsockname()[1]


def _connections_to(ports: set[int]) -> list[socket.socket]:
    """Find this process' own connections to the peers' ports."""
    found = []
    for entry in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/self/fd/{entry}").startswith("socket:"):
                connection = socket.socket(fileno=os.dup(int(entry)))
                if _reaches(connection, ports):
                    found.append(connection)
                else:
                    connection.close()
    return found


def _reaches(connection: socket.socket, ports: set[int]) -> bool:
    try:
        return connection.getpeername()[1] in ports
    except (OSError, IndexError):
        return False


def _carried(connection: socket.socket) -> int:
    """Bytes that crossed a connection, both ways."""
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    return int.from_bytes(info[_ACKED], "little") + int.from_bytes(info[_RECEIVED], "little")
