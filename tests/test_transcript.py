"""Messages: what may travel, who can change it, and how traffic turns into modelled time."""

from __future__ import annotations

import time

import pytest

from petlab.errors import ProtocolError
from petlab.metering.meter import Meter
from petlab.metering.network import LAN, WAN, Link, Timeline
from petlab.metering.transcript import SecureLink, Transcript

SECRET = b"s" * 32
SLOW = Link("slow", bits_per_s=8000.0, latency_s=0.5)
"""A link over which 1000 bytes take one second, and 0.5 s to begin arriving."""


def both_ends(sender: str = "owner-1", receiver: str = "server") -> tuple[SecureLink, SecureLink]:
    """The sender's and the receiver's end of one link."""
    return SecureLink(sender, receiver, SECRET), SecureLink(sender, receiver, SECRET)


def test_what_is_sent_arrives() -> None:
    """The receiver reads the sender's bytes, and the transcript counts those on the wire."""
    transcript = Transcript()
    assert transcript.send("owner-1", "server", "total", b"abc") == b"abc"
    # AES-256-GCM adds a tag of 16 bytes; the counter nonce does not travel.
    assert transcript.bytes == transcript.bytes_sent("owner-1") == 3 + 16
    assert transcript.bytes_sent("server") == 0


@pytest.mark.parametrize("payload", ["text", 3, [1, 2], {"a": 1}, None])
def test_only_bytes_travel(payload: object) -> None:
    """An object that was not serialised is refused: its size could not be counted."""
    with pytest.raises(ProtocolError, match="only bytes travel"):
        Transcript().send("owner-1", "server", "total", payload)  # type: ignore[arg-type]


def test_nobody_sends_to_itself() -> None:
    """A message to oneself would inflate the traffic."""
    with pytest.raises(ProtocolError, match="sends to itself"):
        Transcript().send("server", "server", "total", b"abc")


@pytest.mark.parametrize("position", [0, 5, -1])
def test_altered_message_is_refused(position: int) -> None:
    """One flipped bit anywhere, in ciphertext or tag, fails authentication."""
    sender, receiver = both_ends()
    sealed = bytearray(sender.seal("total", b"a payload of some length"))
    sealed[position] ^= 1
    with pytest.raises(ProtocolError, match="failed authentication"):
        receiver.open("total", bytes(sealed))


@pytest.mark.parametrize("keep", [0, 10, -1])
def test_shortened_message_is_refused(keep: int) -> None:
    """A message cut short fails authentication."""
    sender, receiver = both_ends()
    sealed = sender.seal("total", b"a payload of some length")
    with pytest.raises((ProtocolError, ValueError)):
        receiver.open("total", sealed[:keep])


def test_replayed_message_is_refused() -> None:
    """The same sealed message is accepted once."""
    sender, receiver = both_ends()
    sealed = sender.seal("total", b"one")
    assert receiver.open("total", sealed) == b"one"
    with pytest.raises(ProtocolError):
        receiver.open("total", sealed)


def test_reordered_message_is_refused() -> None:
    """The second message does not open before the first, and then both open in order."""
    sender, receiver = both_ends()
    first, second = sender.seal("total", b"one"), sender.seal("total", b"two")
    with pytest.raises(ProtocolError):
        receiver.open("total", second)
    assert [receiver.open("total", m) for m in (first, second)] == [b"one", b"two"]


@pytest.mark.parametrize("link", [("owner-2", "server"), ("server", "owner-1")])
def test_message_of_another_link_is_refused(link: tuple[str, str]) -> None:
    """Neither another sender's message nor one's own, sent back, is accepted."""
    sealed = both_ends()[0].seal("total", b"one")
    with pytest.raises(ProtocolError):
        both_ends(*link)[1].open("total", sealed)


def test_message_under_another_label_is_refused() -> None:
    """A message means what it was sealed for."""
    sender, receiver = both_ends()
    with pytest.raises(ProtocolError):
        receiver.open("state", sender.seal("total", b"one"))


def test_payload_is_not_on_the_wire() -> None:
    """What travels is ciphertext."""
    assert b"secret diagnosis" not in both_ends()[0].seal("total", b"secret diagnosis")


def test_payloads_are_kept_only_when_recording() -> None:
    """A run does not hold all its traffic in memory unless it is asked to."""
    for record, kept in ((False, None), (True, b"abc")):
        transcript = Transcript(record=record)
        transcript.send("owner-1", "server", "total", b"abc")
        assert transcript.view("server")[0].payload == kept


def test_rounds_are_the_longest_causal_chain() -> None:
    """Messages side by side are one round; an answer to one of them is the next."""
    transcript = Transcript()
    assert transcript.rounds == 0
    for owner in ("owner-1", "owner-2", "owner-3"):
        transcript.send(owner, "server", "upload", b"x")
    assert transcript.rounds == 1
    transcript.send("server", "analyst", "total", b"x")
    assert transcript.rounds == 2
    transcript.send("owner-3", "owner-4", "elsewhere", b"x")  # waits for nothing
    assert transcript.rounds == 2
    transcript.send("analyst", "owner-1", "state", b"x")
    transcript.send("owner-1", "server", "upload", b"x")
    assert transcript.rounds == 4


def test_view_is_what_a_party_received_in_order() -> None:
    """Nothing else belongs to it, and the summary counts the same messages and bytes."""
    transcript = Transcript(record=True)
    transcript.send("owner-1", "server", "upload", b"a")
    transcript.send("server", "analyst", "total", b"bb")
    transcript.send("owner-2", "server", "upload", b"ccc")
    transcript.send("owner-1", "server", "upload", b"dddd")
    assert [m.payload for m in transcript.view("server")] == [b"a", b"ccc", b"dddd"]
    assert transcript.summary() == {
        "server": [
            {"sender": "owner-1", "what": "upload", "messages": 2, "bytes": 1 + 4 + 32},
            {"sender": "owner-2", "what": "upload", "messages": 1, "bytes": 3 + 16},
        ],
        "analyst": [{"sender": "server", "what": "total", "messages": 1, "bytes": 2 + 16}],
        "owner-1": [],
        "owner-2": [],
    }


def test_links_are_what_the_method_says() -> None:
    """LAN is 1 Gb/s and 0.2 ms, WAN 100 Mb/s and 50 ms."""
    assert (LAN.bits_per_s, LAN.latency_s) == (1e9, 2e-4)
    assert (WAN.bits_per_s, WAN.latency_s) == (1e8, 5e-2)


def test_one_message_takes_latency_and_its_length() -> None:
    """1000 bytes: half a second until they begin to arrive, one second to come in."""
    timeline = Timeline(SLOW)
    timeline.deliver("a", "b", 1000)
    assert timeline.elapsed == pytest.approx(1.5)
    assert timeline.clock["a"] == 0  # who sends does not wait


def test_sender_computes_first_and_receiver_waits() -> None:
    """2 s of computing, then 1.5 s under way, then 3 s of computing at the receiver."""
    timeline = Timeline(SLOW)
    timeline.compute("a", 2)
    timeline.deliver("a", "b", 1000)
    timeline.compute("b", 3)
    assert timeline.elapsed == pytest.approx(6.5)


def test_parties_compute_side_by_side() -> None:
    """Two owners' 2 s and 3 s are 3 s, not 5 s."""
    timeline = Timeline(SLOW)
    timeline.compute("a", 2)
    timeline.compute("b", 3)
    assert timeline.elapsed == pytest.approx(3)


def test_uploads_queue_at_the_receiver() -> None:
    """Two senders of 1000 bytes each: the second comes in after the first, at 2.5 s."""
    timeline = Timeline(SLOW)
    timeline.deliver("a", "server", 1000)
    timeline.deliver("b", "server", 1000)
    assert timeline.elapsed == pytest.approx(2.5)


def test_broadcast_queues_at_the_sender() -> None:
    """Two receivers of 1000 bytes each: the second message leaves a second later."""
    timeline = Timeline(SLOW)
    timeline.deliver("server", "a", 1000)
    timeline.deliver("server", "b", 1000)
    assert timeline.clock["a"] == pytest.approx(1.5)
    assert timeline.clock["b"] == pytest.approx(2.5)


def test_rounds_add_up_their_latencies() -> None:
    """There and back of empty messages is two latencies."""
    timeline = Timeline(SLOW)
    timeline.deliver("a", "b", 0)
    timeline.deliver("b", "a", 0)
    assert timeline.clock["a"] == pytest.approx(1.0)


def test_each_moment_is_booked_on_the_innermost_phase() -> None:
    """A phase inside another pauses it, and both modelled and real clocks see the same."""
    transcript = Transcript()
    before = time.perf_counter()
    meter = Meter(transcript, party="analyst")
    started = time.perf_counter()
    with meter.phase("compute", party="owner-1"):
        time.sleep(0.03)
        with meter.phase("protect", party="owner-1"):
            time.sleep(0.06)
        time.sleep(0.03)
    closing = time.perf_counter()
    meter.mark()
    end = time.perf_counter()
    assert meter.phases["protect"].wall_s >= 0.06
    assert meter.phases["compute"].wall_s >= 0.06
    both = meter.phases["protect"].wall_s + meter.phases["compute"].wall_s
    assert both <= end - before, "no moment counts twice"
    assert closing - started <= meter.wall_s + 1e-9
    assert meter.wall_s <= end - before + 1e-9
    clock = transcript.timelines[0].clock
    assert 0.12 <= clock["owner-1"] <= closing - started
    assert clock["owner-1"] + clock["analyst"] == pytest.approx(meter.wall_s, abs=1e-9)


def test_phase_that_fails_is_left() -> None:
    """After an error inside a phase, time goes to the phase around it."""
    meter = Meter(Transcript(), party="analyst")
    with pytest.raises(ValueError, match="broken"), meter.phase("protect", party="owner-1"):
        raise ValueError("broken")
    spent = meter.phases["protect"].wall_s
    time.sleep(0.02)
    meter.mark()
    assert meter.phases["protect"].wall_s == spent
    assert meter.phases["compute"].wall_s >= 0.02
