"""What a malicious host tries with trusted execution: each attack meets its own refusal."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from tee_machines import (
    Attack,
    Reply,
    Study,
    needles,
    opening_of,
    requoted,
    signed_by,
)

from petlab.core.aggregation import Bound
from petlab.core.summing import Summing
from petlab.errors import OutOfRange, ProtocolError
from petlab.metering import wire
from petlab.metering.meter import Meter
from petlab.running.registry import find_task, tasks
from petlab.techniques.tee import errors, measurement
from petlab.techniques.tee.aggregation import AttestedSums, SealedSums
from petlab.techniques.tee.attestation import Manufacturer, Quote, digest
from petlab.techniques.tee.channel import reading, seal, signing, unseal
from petlab.techniques.tee.configuration import ENTRY, START
from petlab.techniques.tee.deployment import Machine, Parties
from petlab.techniques.tee.enclave import ANSWER, CONTRIBUTION, RECORDS
from petlab.techniques.tee.measurement import measure
from petlab.techniques.tee.sealing import open_state, seal_state, sealing_key

pytestmark = pytest.mark.slow

CHI2 = find_task("chi2").programs["sums"]


@pytest.fixture(scope="module")
def study() -> Iterator[Study]:
    """A study whose enclave was launched as agreed and holds nothing yet."""
    found = Study(opening_of("chi2", "sums"), CHI2)
    found.launch()
    yield found
    found.machine.close()


@pytest.fixture(scope="module")
def spare() -> Iterator[Study]:
    """A machine whose enclave only stores: it imports nothing, so that it restarts at once."""
    found = Study(opening_of("chi2", "sums"), CHI2)
    found.agreed = replace(found.agreed, program="", settings=("", {}))
    found.policy = found.parties.policy(found.agreed)
    yield found
    found.machine.close()


def assert_refused(study: Study, attack: Attack, expected: type[Exception]) -> None:
    """The owner says why, in one word, and the host has nothing of anybody's records."""
    hostile = study.attacked(attack)
    with pytest.raises(ProtocolError) as refused:
        study.delivery.run(study.program)
    assert refused.type is expected
    assert hostile.requests.count("quote") == 2  # the analyst's went through, the owner's not
    assert "provision" not in hostile.requests
    assert "run" not in hostile.requests
    for shard in study.shards:
        assert not any(needle in hostile.received for needle in needles(dict(shard.arrays)))


# Quotes.


def test_without_an_attack_records_are_sent(study: Study) -> None:
    """The tests below would pass, too, if nothing worked: the same way leads to provisioning."""
    hostile = study.attacked(lambda head, body, answer: answer)
    provisioned = []

    def ask(head: dict[str, Any], body: bytes = b"") -> Reply:
        if head["do"] == "provision":
            provisioned.append(head["owner"])
            raise ProtocolError("far enough")
        return hostile.ask(head, body)

    study.delivery._machine = type("Stopping", (), {"ask": staticmethod(ask)})()
    with pytest.raises(ProtocolError, match="far enough"):
        study.delivery.run(study.program)
    assert provisioned == ["owner-1"]


@pytest.mark.parametrize(
    "change",
    [
        lambda q: replace(q, measurement="0" * 64),
        lambda q: replace(q, version=q.version + 1),
        lambda q: replace(q, nonce="0" * 64),
        lambda q: replace(q, key="0" * 64),
        lambda q: replace(q, debug=not q.debug),
        lambda q: replace(q, signature="00" * 64),
        lambda q: replace(q, signature="no hexadecimal"),
        lambda q: replace(q, signature=""),
        lambda q: replace(q, certificate=replace(q.certificate, not_after=4e9)),
        lambda q: replace(q, certificate=replace(q.certificate, serial="device-9")),
        lambda q: replace(q, certificate=replace(q.certificate, device="00" * 32)),
    ],
    ids="measurement version nonce key debug signature text unsigned ends serial device".split(),
)
def test_altered_quote_is_refused(study: Study, change: Callable[[Quote], Quote]) -> None:
    """Whatever the host changes in it, or in the certificate that came with it."""
    assert_refused(study, requoted(change), errors.ForgedQuote)


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"certificate": {}}', "{"])
def test_what_is_no_quote_is_refused(study: Study, text: str) -> None:
    """Noise in its place is a forgery like any other."""

    def attack(head: dict[str, Any], body: bytes, answer: Reply) -> Reply:
        return ({"quote": text}, b"") if head["do"] == "quote" else answer

    assert_refused(study, attack, errors.ForgedQuote)


def test_quote_signed_by_the_host_is_refused(study: Study) -> None:
    """A genuine certificate beside a signature that its device did not make."""
    mine = Ed25519PrivateKey.generate()
    assert_refused(study, requoted(lambda q: signed_by(mine, q)), errors.ForgedQuote)


def test_device_of_another_manufacturer_is_refused(study: Study) -> None:
    """Everything fits, only the certificate leads to a root that nobody trusts."""
    mine = Ed25519PrivateKey.generate()
    made = Manufacturer().certify(mine.public_key())
    forged = requoted(lambda q: signed_by(mine, replace(q, certificate=made)))
    assert_refused(study, forged, errors.ForgedQuote)


def test_replayed_quote_is_refused(study: Study) -> None:
    """An honest quote that answered somebody else's challenge."""
    old, _ = study.machine.ask({"to": "device", "do": "quote"}, b"0" * 32)
    assert_refused(study, requoted(lambda q: Quote.unpack(old["quote"])), errors.StaleQuote)


@pytest.mark.parametrize("half", ["both", "reading", "signing"])
def test_key_of_the_man_in_the_middle_is_refused(study: Study, half: str) -> None:
    """The host hands out a key of its own: to read records with, or to sign answers with."""
    x = X25519PrivateKey.generate().public_key().public_bytes_raw()
    ed = Ed25519PrivateKey.generate().public_key().public_bytes_raw()

    def attack(head: dict[str, Any], body: bytes, answer: Reply) -> Reply:
        if head["do"] != "key":
            return answer
        theirs = answer[1]
        mine = {"both": x + ed, "reading": x + signing(theirs), "signing": reading(theirs) + ed}
        return {}, mine[half]

    assert_refused(study, attack, errors.UnboundKey)


def genuine(study: Study, valid_s: float = 3600.0, **fields: Any) -> Attack:
    """A certified device of the host's signs something that is true, and unacceptable."""
    device = Ed25519PrivateKey.generate()
    made = study.manufacturer.certify(device.public_key(), valid_s=valid_s)
    return requoted(lambda q: signed_by(device, replace(q, certificate=made, **fields)))


def test_certified_device_is_accepted(study: Study) -> None:
    """What the attacks below differ from by one field."""
    seen = []
    hostile = study.attacked(genuine(study))
    seen.append(study.parties.attested(study.policy, hostile.ask))
    seen.append(study.parties.attested(study.policy, hostile.ask))
    assert seen[0] == seen[1]


@pytest.mark.parametrize(
    ("expected", "fields"),
    [
        (errors.DowngradedEnclave, {"version": 0}),
        (errors.WrongMeasurement, {"measurement": "0" * 64}),
        (errors.DebugEnclave, {"debug": True}),
        (errors.ExpiredDevice, {"valid_s": -1.0}),
        (errors.StaleQuote, {"nonce": "0" * 64}),
        (errors.UnboundKey, {"key": digest(b"another")}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_true_quote_of_an_unacceptable_enclave_is_refused(
    study: Study, expected: type[Exception], fields: dict[str, Any]
) -> None:
    """A device with a good certificate says so itself."""
    assert_refused(study, genuine(study, **fields), expected)


def test_revoked_device_is_refused(study: Study) -> None:
    """The manufacturer withdrew its word after it had certified the device."""
    device = Ed25519PrivateKey.generate()
    made = study.manufacturer.certify(device.public_key())
    study.manufacturer.revoked.add(made.serial)
    attack = requoted(lambda q: signed_by(device, replace(q, certificate=made)))
    assert_refused(study, attack, errors.RevokedDevice)


# Measurements.


@pytest.mark.parametrize(
    "change",
    [
        {"program": "petlab.tasks.chi2:linked"},
        {"settings": ("petlab.tasks.chi2:Settings", {"factor": None, "bins": 5})},
        {"public": {}},
        {"seed": 4},
        {"release": ("petlab.techniques.dp.technique:DifferentialPrivacy", {"epsilon": 9.0})},
        {"analyst": "00" * 32},
        {"owners": {"owner-1": "00" * 32}},
        {"version": 2},
        {"debug": True},
    ],
    ids=lambda change: next(iter(change)),
)
def test_everything_in_a_configuration_is_measured(study: Study, change: dict[str, Any]) -> None:
    """Who changes it launches an enclave that nobody agreed to."""
    other = replace(study.agreed, **change)
    assert measure(other.to_json(), other.modules) not in study.policy.measurements
    assert measure(study.agreed.to_json(), study.agreed.modules) in study.policy.measurements


def test_source_of_the_closure_is_measured(
    study: Study, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One byte more in any file that the program or the enclave imports."""
    copy = tmp_path / "petlab"
    shutil.copytree(measurement.ROOT, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(measurement, "ROOT", copy)
    agreed = study.agreed.to_json(), study.agreed.modules
    assert measure(*agreed) in study.policy.measurements
    (copy / "cli_notes.py").write_text("unused = True\n")
    assert measure(*agreed) in study.policy.measurements  # nobody imports it
    inside = ("algorithms/independence.py", "metering/wire.py", "techniques/tee/enclave.py")
    for name in ("tasks/chi2.py", *inside):
        text = (copy / name).read_text()
        (copy / name).write_text(text + "\n")
        assert measure(*agreed) not in study.policy.measurements, name
        (copy / name).write_text(text)


@pytest.mark.parametrize("task", sorted(tasks()))
def test_the_closure_is_what_a_program_needs_and_nothing_else(task: str) -> None:
    """What makes reports, commands or decisions is no part of an enclave's identity."""
    program = f"petlab.tasks.{task}"
    guard = "petlab.techniques.dp.release"
    found = set(measurement.sources((START, ENTRY, program, guard)))
    inside = {".".join(name.split(".")[:3]) for name in found if "techniques." in name}
    assert inside == {"petlab.techniques.dp", "petlab.techniques.tee"}
    rooms = {name.split(".")[1] for name in found if "." in name}
    below = {"errors", "metering", "data", "core", "algorithms", "tasks", "techniques"}
    assert rooms == below
    assert {name for name in found if name.startswith("petlab.tasks.")} == {program}
    assert len(found) < 65


def test_program_that_cannot_be_measured_is_refused(study: Study) -> None:
    """From outside of petlab any code could come."""
    other = replace(study.agreed, program="toy_programs:encrypted_weights")
    with pytest.raises(ProtocolError, match="cannot be measured"):
        study.parties.policy(other)


@pytest.mark.parametrize(
    ("expected", "change"),
    [
        (errors.WrongMeasurement, {"analyst": "00" * 32}),
        (errors.DebugEnclave, {"debug": True}),
        (errors.DowngradedEnclave, {"version": 0}),
    ],
    ids=["analyst", "debug", "version"],
)
def test_other_configuration_on_a_genuine_device_is_refused(
    spare: Study, expected: type[Exception], change: dict[str, Any]
) -> None:
    """The device measures what the host really launched: it cannot be made to lie."""
    spare.restart(replace(spare.agreed, **change))
    with pytest.raises(expected):
        spare.attested()


def test_altered_program_on_a_genuine_device_is_refused(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host installs its own version of a file of petlab before it starts everything."""
    copy = tmp_path / "petlab"
    shutil.copytree(measurement.ROOT, copy, ignore=shutil.ignore_patterns("__pycache__"))
    enclave = copy / "techniques" / "tee" / "enclave.py"
    honest, own = "return {}, self.public_key", 'return {}, b"the key of the host"'
    assert honest in enclave.read_text()
    enclave.write_text(enclave.read_text().replace(honest, own))
    opening = opening_of("chi2", "sums")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))  # where its Python looks first
    study = Study(opening, CHI2)
    study.launch()
    # What was measured is what runs, and no other copy of it.
    assert study.machine.ask({"to": "enclave", "do": "key"})[1] == b"the key of the host"
    with pytest.raises(errors.WrongMeasurement):
        study.attested()
    study.machine.close()


# Records on their way, and the answer: in this order, in one enclave.


@pytest.fixture(scope="module")
def attested(study: Study) -> bytes:
    """Key of the launched enclave."""
    return study.attested()


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m[:-1],
        lambda m: m[:40],
        lambda m: b"",
        lambda m: m[:-1] + bytes([m[-1] ^ 1]),
        lambda m: m[:100] + bytes([m[100] ^ 1]) + m[101:],
        lambda m: bytes([m[0] ^ 1]) + m[1:],
        lambda m: m + b"\0",
    ],
    ids="short shorter empty tag body key longer".split(),
)
def test_altered_records_are_refused(
    study: Study, attested: bytes, change: Callable[[bytes], bytes]
) -> None:
    """The enclave notices what the host did to them."""
    with pytest.raises(errors.TamperedMessage):
        study.provision("owner-1", change(study.sealed(0, attested)))


def test_records_of_one_owner_as_those_of_another_are_refused(
    study: Study, attested: bytes
) -> None:
    """Messages open as what they were sealed for."""
    with pytest.raises(errors.TamperedMessage):
        study.provision("owner-2", study.sealed(0, attested))


def test_records_for_another_enclave_are_refused(study: Study) -> None:
    """Sealed for a key that is not this one's."""
    other = X25519PrivateKey.generate().public_key().public_bytes_raw() + bytes(32)
    with pytest.raises(errors.TamperedMessage):
        study.provision("owner-1", study.sealed(0, other))


@pytest.mark.parametrize("signer", [None, Ed25519PrivateKey.generate()], ids=["nobody", "host"])
def test_made_up_records_are_refused(
    study: Study, attested: bytes, signer: Ed25519PrivateKey | None
) -> None:
    """Everybody knows the enclave's key, but only an owner can sign as that owner."""
    shard = study.shards[0]
    payload = wire.pack({"rows": np.array(shard.rows), **shard.arrays})
    context = RECORDS.format("owner-1")
    message = seal(payload, reader=reading(attested), context=context, sender=signer)
    with pytest.raises(errors.UnknownSender):
        study.provision("owner-1", message)


def test_records_signed_by_another_owner_are_refused(study: Study, attested: bytes) -> None:
    """A colluding owner cannot speak for owner-1."""
    context, signer = RECORDS.format("owner-1"), study.parties.signer("owner-2")
    message = seal(b"records", reader=reading(attested), context=context, sender=signer)
    with pytest.raises(errors.UnknownSender):
        study.provision("owner-1", message)


def test_owner_that_is_not_in_the_configuration_is_refused(study: Study, attested: bytes) -> None:
    """The host cannot add a fourth owner of its own, whose records it would know."""
    with pytest.raises(errors.UnknownSender):
        study.provision("owner-4", study.sealed(0, attested))


def test_run_before_everybody_sent_is_refused(study: Study, attested: bytes) -> None:
    """An answer about one owner alone would be one about its records."""
    study.provision("owner-1", study.sealed(0, attested))
    with pytest.raises(ProtocolError, match="owner-2, owner-3 has sent no records"):
        study.answer()


def test_records_that_come_twice_are_refused(study: Study, attested: bytes) -> None:
    """They would count twice, or replace what was there."""
    with pytest.raises(errors.Replayed):
        study.provision("owner-1", study.sealed(0, attested))


@pytest.fixture(scope="module")
def message(study: Study, attested: bytes) -> bytes:
    """The sealed answer, after all the attacks above."""
    for k in (1, 2):
        study.provision(f"owner-{k + 1}", study.sealed(k, attested))
    return study.answer()


def test_answer_is_right_after_all_that(study: Study, attested: bytes, message: bytes) -> None:
    """No refused message left a trace."""
    answer, guarantee = study.parties.opened(message, attested)
    table = np.zeros(answer["table"].shape)
    for shard in study.shards:
        np.add.at(table, (shard["disease"], shard["factor"]), 1)
    np.testing.assert_array_equal(answer["table"], table)
    assert guarantee.kind == "hardware"


def test_altered_answer_is_refused(study: Study, attested: bytes, message: bytes) -> None:
    """The analyst opens nothing that the host touched."""
    for at in (0, 50, len(message) - 1):
        altered = message[:at] + bytes([message[at] ^ 1]) + message[at + 1 :]
        with pytest.raises(errors.TamperedMessage):
            study.parties.opened(altered, attested)


def test_answer_opens_for_the_analyst_alone(study: Study, attested: bytes, message: bytes) -> None:
    """Not with an owner's, the host's or another analyst's key."""
    other = Parties(["owner-1"], study.manufacturer)
    with pytest.raises(errors.TamperedMessage):
        other.opened(message, attested)


def test_answer_of_the_hosts_own_making_is_refused(study: Study, attested: bytes) -> None:
    """Everybody knows the analyst's key: only the enclave's signature makes it an answer."""
    reader = bytes.fromhex(study.parties.analyst)
    made_up = wire.pack({"answer/p_value": np.array(0.01)})
    for signer in (None, Ed25519PrivateKey.generate()):
        forged = seal(made_up, reader=reader, context=ANSWER, sender=signer)
        with pytest.raises(errors.UnknownSender):
            study.parties.opened(forged, attested)


# Storage.


@pytest.fixture(scope="module")
def stored(study: Study, message: bytes) -> bytes:
    """What the enclave left with its host when all owners had sent their records."""
    return study.stored()


def restore(study: Study, state: bytes) -> dict[str, Any]:
    """Hand the enclave what it stored, or something else."""
    return study.machine.ask({"to": "enclave", "do": "restore"}, state)[0]


def test_storage_survives_the_enclave_but_not_the_host(
    study: Study, attested: bytes, message: bytes, stored: bytes
) -> None:
    """Another life on the same device takes it back; altered or on another device it is refused."""
    study.restart()
    key = study.attested()
    assert key != attested
    for change in (stored[:-1], b"", stored[:40] + b"x" + stored[41:], b"\xff" * 8 + stored[8:]):
        with pytest.raises(errors.TamperedStorage):
            restore(study, change)
    with pytest.raises(ProtocolError, match="has sent no records"):
        study.answer()
    assert restore(study, stored) == {"owners": ["owner-1", "owner-2", "owner-3"]}
    with pytest.raises(errors.Replayed):
        study.provision("owner-1", study.sealed(0, key))
    again, _ = study.parties.opened(study.answer(), key)
    first, _ = study.parties.opened(message, attested)
    assert again.values.keys() == first.values.keys()
    assert all(np.array_equal(again[name], first[name]) for name in first.values)


def test_rolled_back_storage_is_refused(spare: Study, stored: bytes) -> None:
    """An older state, from before the last owner sent its records; and anybody else's."""
    spare.restart()
    key, states = spare.attested(), []
    with pytest.raises(errors.TamperedStorage):  # of another device and measurement
        restore(spare, stored)
    for k in (0, 1):
        spare.provision(f"owner-{k + 1}", spare.sealed(k, key))
        states.append(spare.stored())
    spare.restart(replace(spare.agreed, seed=8))
    with pytest.raises(errors.TamperedStorage):  # of another measurement
        restore(spare, states[1])
    spare.restart()
    with pytest.raises(errors.RolledBack):
        restore(spare, states[0])
    assert restore(spare, states[1]) == {"owners": ["owner-1", "owner-2"]}
    # What is provisioned after a restoration is stored with all that was there before.
    spare.provision("owner-3", spare.sealed(2, spare.attested()))
    complete = spare.stored()
    spare.restart()
    with pytest.raises(errors.RolledBack):
        restore(spare, states[1])
    assert len(restore(spare, complete)["owners"]) == 3


def test_storage_opens_on_its_device_and_for_its_measurement_alone() -> None:
    """Both are in the key."""
    state = seal_state(b"state", key=sealing_key(b"d" * 32, "m"), count=3)
    assert open_state(state, key=sealing_key(b"d" * 32, "m"), count=3) == b"state"
    for other in (sealing_key(b"e" * 32, "m"), sealing_key(b"d" * 32, "n")):
        with pytest.raises(errors.TamperedStorage):
            open_state(state, key=other, count=3)
    for count in (2, 4):
        with pytest.raises(errors.RolledBack):
            open_state(state, key=sealing_key(b"d" * 32, "m"), count=count)
    raised = (9).to_bytes(8, "big") + state[8:]
    with pytest.raises(errors.TamperedStorage):
        open_state(raised, key=sealing_key(b"d" * 32, "m"), count=9)


def test_noisy_answer_is_given_once() -> None:
    """Not twice in one life, and not again after a restart: the mean of many is no secret."""
    study = Study(opening_of("chi2", "sums", spec="tee+dp"), CHI2)
    study.launch()
    key = study.provision_all()
    states = study.stored()
    study.parties.opened(study.answer(), key)
    with pytest.raises(errors.Replayed):
        study.answer()
    study.restart()
    with pytest.raises(errors.RolledBack):
        restore(study, states)
    study.machine.close()


def test_device_launches_once_a_life_and_quotes_nothing_else(spare: Study) -> None:
    """The host cannot exchange a configuration under a key that was attested."""
    spare.restart()
    with pytest.raises(ProtocolError, match="launched once"):
        spare.launch(replace(spare.agreed, analyst="00" * 32))
    spare.attested()
    spare.machine.ask({"to": "host", "do": "restart"})
    with pytest.raises(ProtocolError, match="no enclave was launched"):
        spare.machine.ask({"to": "device", "do": "quote"}, b"0" * 32)
    spare.launch()


# Federations.


BOUND = Bound(100.0, False)


@pytest.fixture(scope="module")
def federation() -> Iterator[AttestedSums]:
    """Three owners' sums, added by an attested enclave."""
    manufacturer = Manufacturer()
    machine = Machine(manufacturer)
    lender = AttestedSums(Summing(opening_of("chi2", "sums")), machine, manufacturer)
    yield lender
    lender.close()


Round = tuple[SealedSums, list[bytes]]


def protected(sums: SealedSums, value: np.ndarray, k: int) -> bytes:
    """What the k-th of three owners sends."""
    return sums.protect(value, BOUND, sender=f"owner-{k + 1}")[0]


@pytest.fixture
def round_(federation: AttestedSums) -> Round:
    """A round that three owners have contributed to."""
    sums = federation.aggregation("analyst", terms=3)
    assert isinstance(sums, SealedSums)
    return sums, [protected(sums, np.full(4, float(k)), k) for k in range(3)]


def total(sums: SealedSums, blobs: list[bytes], owners: int = 3) -> Any:
    """Sum as the analyst reads it."""
    return sums.open([sums.add("server", blobs)], BOUND, owners=owners).tolist()


def test_round_adds_up(round_: Round) -> None:
    """What the attacks below differ from."""
    assert total(*round_) == [3.0] * 4


def test_replayed_round_is_refused(round_: Round) -> None:
    """A second sum over fewer owners would show, by its difference, what one contributed."""
    sums, blobs = round_
    assert total(sums, blobs) == [3.0] * 4
    for again in (blobs, blobs[:2], [protected(sums, np.ones(4), 0)]):
        with pytest.raises(errors.Replayed):
            sums.add("server", again)


def test_contribution_that_counts_twice_is_refused(round_: Round) -> None:
    """And its round goes on without the copy."""
    sums, blobs = round_
    with pytest.raises(errors.IncompleteSum):
        sums.add("server", [*blobs, blobs[0]])
    with pytest.raises(errors.TamperedMessage):
        sums.add("server", [blobs[0], blobs[1], blobs[1]])
    assert total(sums, blobs) == [3.0] * 4


@pytest.mark.parametrize("chosen", [[1], [0, 1], [1, 2], []])
def test_the_host_cannot_choose_whom_to_add(round_: Round, chosen: list[int]) -> None:
    """A sum of one owner, sealed for the analyst, would be that owner's contribution."""
    sums, blobs = round_
    with pytest.raises(errors.IncompleteSum, match="all 3 owners"):
        sums.add("server", [blobs[k] for k in chosen])
    assert total(sums, blobs) == [3.0] * 4


def test_the_host_cannot_put_zeros_in_the_others_place(round_: Round) -> None:
    """Nobody but an owner signs for it: not another owner, and not a stranger."""
    sums, blobs = round_
    names = ["owner-1", "owner-2", "owner-3"]
    for signer in (sums._parties.signer("owner-1"), Ed25519PrivateKey.generate()):
        zeros = [
            seal(
                wire.pack({"total": np.zeros(4)}),
                reader=reading(sums._key),
                context=f"contribution to round {sums._label} of {name}",
                sender=signer,
            )
            for name in names
        ]
        with pytest.raises(errors.UnknownSender):
            sums.add("server", [zeros[0], blobs[1], zeros[2]])
    assert total(sums, blobs) == [3.0] * 4


def test_the_number_of_owners_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """An enclave for one owner is another enclave: the three would not send it anything."""
    manufacturer = Manufacturer()
    machine = Machine(manufacturer)
    ask = machine.ask

    def launching_for_one(head: dict[str, Any], body: bytes = b"") -> Reply:
        if head["do"] == "launch":
            agreed = json.loads(body)
            agreed["owners"] = {"owner-2": agreed["owners"]["owner-2"]}
            body = json.dumps(agreed).encode()
        return ask(head, body)

    machine.ask = launching_for_one  # type: ignore[method-assign]
    with pytest.raises(errors.WrongMeasurement):
        AttestedSums(Summing(opening_of("chi2", "sums")), machine, manufacturer)
    machine.close()


def test_contribution_of_another_round_is_refused(federation: AttestedSums, round_: Round) -> None:
    """It opens in its own only."""
    sums, blobs = round_
    later = federation.aggregation("analyst", terms=3)
    with pytest.raises(errors.TamperedMessage):
        later.add("server", blobs)
    assert total(sums, blobs) == [3.0] * 4


def test_dropped_contribution_is_noticed(round_: Round) -> None:
    """The analyst opens a sum over three owners, not one over two that says it is."""
    sums, blobs = round_
    with pytest.raises(errors.IncompleteSum):
        total(sums, blobs[:2])
    with pytest.raises(errors.TamperedMessage):
        total(sums, blobs, owners=2)


@pytest.mark.parametrize("change", [lambda b: b[:-1], lambda b: b[:-1] + bytes([b[-1] ^ 1])])
def test_altered_contribution_is_refused(round_: Round, change: Callable[[bytes], bytes]) -> None:
    """Cut short or changed."""
    sums, blobs = round_
    with pytest.raises(errors.TamperedMessage):
        sums.add("server", [*blobs[:2], change(blobs[2])])


def test_forged_contribution_is_refused(federation: AttestedSums, round_: Round) -> None:
    """The host cannot take part itself: it has no owner's key."""
    sums, blobs = round_
    payload = wire.pack({"total": np.ones(4)})
    context = CONTRIBUTION.format(sums._label, "owner-3")
    mine = Ed25519PrivateKey.generate()
    forged = seal(payload, reader=reading(federation._key), context=context, sender=mine)
    with pytest.raises(errors.UnknownSender):
        sums.add("server", [*blobs[:2], forged])


def test_total_of_the_hosts_own_making_is_refused(federation: AttestedSums, round_: Round) -> None:
    """Only what the attested enclave signed is a total, and only in its own round."""
    sums, blobs = round_
    reader = bytes.fromhex(federation._parties.analyst)
    made_up = wire.pack({"total": np.ones(4)})
    context = f"total of round {sums._label} over 3"
    forged = seal(made_up, reader=reader, context=context, sender=Ed25519PrivateKey.generate())
    with pytest.raises(errors.UnknownSender):
        sums.open([forged], BOUND, owners=3)
    later = federation.aggregation("analyst", terms=3)
    with pytest.raises(errors.TamperedMessage):
        later.open([sums.add("server", blobs)], BOUND, owners=3)


@pytest.mark.parametrize("value", [101.0, np.nan, np.inf])
def test_contribution_out_of_bounds_is_not_sent(round_: Round, value: float) -> None:
    """The owner refuses itself."""
    with pytest.raises(OutOfRange, match="nothing was sent"):
        round_[0].protect(np.array([value]), BOUND, sender="owner-1")


def test_owners_refuse_an_aggregator_that_is_not_what_they_agreed_to() -> None:
    """The host launches another analyst's enclave: no contribution is sealed for it."""
    manufacturer = Manufacturer()
    machine = Machine(manufacturer)
    ask, mine = machine.ask, X25519PrivateKey.generate().public_key().public_bytes_raw().hex()

    def launching_another(head: dict[str, Any], body: bytes = b"") -> Reply:
        if head["do"] == "launch":
            body = json.dumps({**json.loads(body), "analyst": mine}).encode()
        return ask(head, body)

    machine.ask = launching_another  # type: ignore[method-assign]
    with pytest.raises(errors.WrongMeasurement):
        AttestedSums(Summing(opening_of("chi2", "sums")), machine, manufacturer)
    machine.close()


def test_federation_books_the_enclaves_time_and_not_its_imports(monkeypatch: Any) -> None:
    """As a whole program in an enclave does: the enclave's word is what is booked."""
    manufacturer = Manufacturer()
    machine = Machine(manufacturer)
    ask, discounted = machine.ask, []

    def claiming(head: dict[str, Any], body: bytes = b"") -> Reply:
        said, found = ask(head, body)
        claims = {"launch": {"imported_s": 3.0}, "add": {"cpu_s": 50.0}}
        return {**said, **claims.get(head["do"], {})}, found

    def noting(self: Meter, name: str, *, wall_s: float) -> None:
        discounted.append((name, wall_s))

    monkeypatch.setattr(Meter, "discount", noting)
    machine.ask = claiming  # type: ignore[method-assign]
    host = Summing(opening_of("chi2", "sums"))
    lender = AttestedSums(host, machine, manufacturer)
    assert discounted == [("setup", 3.0)]
    sums = lender.aggregation("analyst", terms=3)
    sums.add("server", [protected(sums, np.ones(4), k) for k in range(3)])
    assert 50.0 <= host.meter.phases["compute"].cpu_s < 60.0
    lender.close()


# Sealed messages.


def test_message_opens_for_one_reader_and_purpose_only() -> None:
    """And says whom it is from."""
    ours, theirs = X25519PrivateKey.generate(), X25519PrivateKey.generate()
    sender, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    public, known = ours.public_key().public_bytes_raw(), sender.public_key().public_bytes_raw()
    message = seal(b"payload", reader=public, context="this", sender=sender)
    assert b"payload" not in message
    assert unseal(message, key=ours, context="this", sender=known) == b"payload"
    for key, context in itertools.product((ours, theirs), ("this", "that")):
        if (key, context) != (ours, "this"):
            with pytest.raises(errors.TamperedMessage):
                unseal(message, key=key, context=context, sender=known)
    with pytest.raises(errors.UnknownSender):
        unseal(message, key=ours, context="this", sender=other.public_key().public_bytes_raw())


def test_signature_cannot_be_moved_to_another_reader() -> None:
    """Who may read a message cannot send it on as if it were for somebody else."""
    ours, theirs = X25519PrivateKey.generate(), X25519PrivateKey.generate()
    sender = Ed25519PrivateKey.generate()
    known = sender.public_key().public_bytes_raw()
    message = seal(
        b"payload", reader=ours.public_key().public_bytes_raw(), context="this", sender=sender
    )
    signed = unseal(message, key=ours, context="this")
    moved = seal(signed, reader=theirs.public_key().public_bytes_raw(), context="this")
    with pytest.raises(errors.UnknownSender):
        unseal(moved, key=theirs, context="this", sender=known)


def test_error_classes_are_distinct() -> None:
    """Who catches one of them catches no other attack with it."""
    found = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    kinds = [kind for kind in found if kind.__module__ == errors.__name__]
    for left, right in itertools.permutations(kinds, 2):
        assert not issubclass(left, right) or right is errors.AttestationError
