"""Several parties that talk to one host at the same time.

Here they are one process and take turns. What they say does not depend on each other, so that
real ones would not wait for each other: their messages are posted step by step, all parties'
first questions, all answers, all second questions, and so on.
"""

from __future__ import annotations

import json
from typing import Any

from petlab.metering.transcript import Transcript
from petlab.techniques.tee.deployment import Exchange

ASKED, ANSWERED = "challenge", "quote"


class SideBySide:
    """Exchanges with a host, written down while they happen and posted afterwards.

    Parameters
    ----------
    host
        Name of the party that all of them talk to.
    ask
        Carries one request to the host, and its answer back.
    """

    def __init__(self, transcript: Transcript, host: str, ask: Exchange) -> None:
        self._transcript, self._host, self._ask = transcript, host, ask
        self._sizes: dict[str, list[tuple[int, int]]] = {}

    def of(self, party: str) -> Exchange:
        """Return the way in which one party exchanges messages with the host."""
        sizes = self._sizes.setdefault(party, [])

        def exchange(head: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
            answer, found = self._ask(head, body)
            asked = len(json.dumps(head)) + len(body)
            sizes.append((asked, len(json.dumps(answer)) + len(found)))
            return answer, found

        return exchange

    def post(self) -> int:
        """Post everything that was exchanged; return how many messages the host got."""
        post, host = self._transcript.post, self._host
        steps = max(map(len, self._sizes.values()), default=0)
        for step in range(steps):
            sizes = {p: found[step] for p, found in self._sizes.items() if len(found) > step}
            for way in (0, 1):
                label = (ASKED, ANSWERED)[way]
                posted = [
                    post(host, party, label, pair[1]) if way else post(party, host, label, pair[0])
                    for party, pair in sizes.items()
                ]
                for message in posted:
                    self._transcript.take(message)
        return sum(map(len, self._sizes.values()))
