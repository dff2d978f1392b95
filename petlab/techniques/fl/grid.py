"""Flower's Message API inside this process, one serialised message at a time.

Flower ships two runtimes: Ray, which needs close to a minute to begin, and separate
processes. Both hide their traffic. This grid runs the same strategies and the same client
app, and passes every message through Flower's own codec and the transcript.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

os.environ["FLWR_TELEMETRY_ENABLED"] = "0"  # read when flwr is imported

from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto.message_pb2 import Message as MessageProto
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

logging.getLogger("flwr").setLevel(logging.ERROR)

RUN_ID, SERVER_NODE = 1, 1

Send = Callable[[str, str, str, bytes], bytes]


class InProcessGrid(Grid):
    """Delivers messages to client apps and collects their replies.

    Parameters
    ----------
    app
        The client app that every owner runs.
    owners
        Their names; owner k is node k + 2.
    server
        Name of the aggregator.
    send
        Carries bytes from one party to another.
    """

    def __init__(self, app: ClientApp, owners: Sequence[str], *, server: str, send: Send) -> None:
        # Messages read their origin from these private fields, which is why flwr is pinned.
        TaskIdentity.task_id = TaskIdentity.run_id = RUN_ID
        TaskIdentity.node_id = SERVER_NODE
        self._app, self._server, self._send = app, server, send
        self._run = Run.create_empty(RUN_ID)
        self._names = {SERVER_NODE + 1 + k: name for k, name in enumerate(owners)}
        self._contexts = {
            node: Context(
                run_id=RUN_ID,
                node_id=node,
                node_config={"partition-id": k, "num-partitions": len(owners)},
                state=RecordDict(),
                run_config={},
            )
            for k, node in enumerate(self._names)
        }
        self._replies: dict[str, Message] = {}
        self._pushed = 0

    def set_run(self, run: Run) -> None:
        """Replace the run's description."""
        self._run = run

    @property
    def run(self) -> Run:
        """Description of the run."""
        return self._run

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """Make a message to one node."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> Iterable[int]:
        """Nodes that are connected: all owners."""
        return list(self._contexts)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Deliver messages; each owner's reply waits to be pulled."""
        delivered = []
        for message in messages:
            self._pushed += 1
            node = message.metadata.dst_node_id
            fields = message.metadata.__dict__
            fields["_message_id"], fields["_run_id"] = f"message-{self._pushed}", RUN_ID
            fields["_src_node_id"] = SERVER_NODE
            received = self._carry(self._server, self._names[node], "model", message)
            delivered.append((f"message-{self._pushed}", node, received))
        for name, node, received in delivered:
            reply = self._app(received, self._contexts[node])
            self._replies[name] = self._carry(self._names[node], self._server, "update", reply)
        return [name for name, _, _ in delivered]

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Take the replies to the given messages."""
        return [self._replies.pop(name) for name in message_ids if name in self._replies]

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Deliver messages and return the replies, in the nodes' order."""
        ordered = sorted(messages, key=lambda message: message.metadata.dst_node_id)
        return self.pull_messages(self.push_messages(ordered))

    def _carry(self, sender: str, receiver: str, label: str, message: Any) -> Message:
        sent = message_to_proto(message).SerializeToString()
        return message_from_proto(
            MessageProto.FromString(self._send(sender, receiver, label, sent))
        )
