"""What an attacker rebuilds from the bytes it received, and what a model tells of its members."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from petlab.algorithms.membership import (
    advantage_bound,
    auc_interval,
    logistic_losses,
    membership,
    softmax_losses,
)
from petlab.algorithms.perceptron.network import GradientRows, initial_parameters
from petlab.attacks.gradients.inversion import invert
from petlab.attacks.gradients.naming import named
from petlab.attacks.gradients.score import scored
from petlab.attacks.gradients.sender import Sender
from petlab.attacks.gradients.study import Target, gradient_inversion, sum_inversion, targets
from petlab.attacks.gradients.view import decryptions, readings, update
from petlab.attacks.gradients.watched import Watched, watch
from petlab.errors import ProtocolError, UsageError
from petlab.metering import wire
from petlab.running.evaluator import evaluate
from petlab.running.result import Cell, Result

FL, CURATED, NOISY, ENCRYPTED, SHARED, ENCLAVE = targets(3.0, insecure_seed=4)
SIZES = (12, 9, 7, 3)


def people(count: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Random records and labels of a small network."""
    rng = np.random.default_rng(seed)
    return rng.uniform(-1, 1, (count, SIZES[0])), rng.integers(0, SIZES[-1], count)


def sender(activation: str = "tanh", clip_norm: float | None = None) -> Sender:
    """The small network at its start."""
    return Sender(initial_parameters(SIZES, seed=1), SIZES, activation, clip_norm)


# The attacker's model of what owners send


@pytest.mark.parametrize("activation", ["tanh", "relu", "square"])
@pytest.mark.parametrize("clip_norm", [None, 0.5])
def test_the_attacker_computes_what_an_owner_sends(activation: str, clip_norm: float | None):
    """Torch's gradients, clipped record by record, are the attacker's formula."""
    x, y = people(6)
    model = sender(activation, clip_norm)
    rows = GradientRows(model.weights, x, y, sizes=SIZES, activation=activation)
    scale = None if clip_norm is None else np.minimum(1, clip_norm / rows.norms())
    assert np.allclose(model.message(x, np.eye(SIZES[-1])[y]), rows.total(scale), atol=1e-12)


@pytest.mark.parametrize("batch", [1, 2, 4])
@pytest.mark.parametrize("clip_norm", [None, 0.5])
def test_records_of_a_deeper_network_come_back(batch: int, clip_norm: float | None):
    """Two hidden layers, clipped or not: exact up to order, and the residual says so."""
    x, y = people(batch)
    model = sender(clip_norm=clip_norm)
    message = model.message(x, np.eye(SIZES[-1])[y])
    population = people(60, seed=5)[0]
    rng = np.random.default_rng(0)
    guess = invert(message, model, batch=batch, population=population, rng=rng, starts=12)
    assert guess.residual < 1e-8
    assert scored(guess.records, x, population, rng).errors.max() < 1e-9
    assert sorted(guess.labels) == sorted(y)


def test_a_message_of_other_records_is_not_taken_for_solved():
    """A vector that is no gradient leaves a residual: the attacker is not fooled by itself."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=len(sender().weights))
    guess = invert(noise, sender(), batch=2, population=people(60)[0], rng=rng)
    assert guess.residual > 0.1


# What crosses


def attacked(target: Target, batch: int, victims: int = 4):
    """One technique at one batch size."""
    return gradient_inversion([target], batches=[batch], victims=victims).cells[0]


@pytest.mark.slow
@pytest.mark.parametrize("dataset", ["digits", "mnist5k"])
@pytest.mark.parametrize("batch", [1, 8])
def test_plain_federated_learning_gives_records_away(dataset: str, batch: int):
    """The recorded messages alone are enough."""
    found = gradient_inversion([FL], dataset=dataset, batches=[batch], victims=8).cells[0]
    assert found.rebuilt.recovered == 8
    assert found.rebuilt.psnr > 100 > found.rebuilt.psnr_mean


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 4])
def test_owners_noise_at_epsilon_three_stops_it_and_the_aggregators_does_not(batch: int):
    """What the aggregator reads decides, not what the model's readers see."""
    assert attacked(CURATED, batch).rebuilt.recovered == 4
    noisy = attacked(NOISY, batch)
    assert noisy.readable
    assert noisy.rebuilt.errors.min() > 1


@pytest.mark.slow
def test_the_attack_on_noisy_messages_works_as_soon_as_the_noise_is_small():
    """So that its failure at epsilon 3 is the noise's doing."""
    assert attacked(targets(1e5, insecure_seed=4)[2], 1).rebuilt.recovered == 4


@pytest.mark.slow
@pytest.mark.parametrize("target", [ENCRYPTED, SHARED, ENCLAVE], ids=lambda t: t.title)
def test_protected_updates_are_no_numbers_and_give_no_record(target: Target):
    """Even of three readings the one that hits best is worse than the mean record."""
    found = attacked(target, 1)
    assert not found.readable
    assert np.median(found.rebuilt.errors) > 1
    assert found.rebuilt.recovered == 0


def no_sharing(values: np.ndarray, parties: int) -> list[np.ndarray]:
    """The value itself to the first party, and nothing to the others."""
    return [np.array(values, np.int64), *(np.zeros_like(values) for _ in range(parties - 1))]


def no_sealing(payload: bytes, **rest: object) -> bytes:
    """What was to be sealed."""
    return payload


REMOVED = {
    "fl+mpc": [("petlab.techniques.mpc.sums.split", no_sharing)],
    "fl+tee": [("petlab.techniques.tee.aggregation.seal", no_sealing)],
}
"""What keeps the holder of a message from reading it, taken away."""


@pytest.mark.slow
@pytest.mark.parametrize("target", [SHARED, ENCLAVE], ids=lambda t: t.title)
def test_the_same_attack_reads_records_when_the_protection_is_taken_away(
    target: Target, monkeypatch: pytest.MonkeyPatch
):
    """So that its failure above is the protection's doing, and not the reader's."""
    for name, without in REMOVED[target.technique]:
        monkeypatch.setattr(name, without)
    if target is ENCLAVE:  # an enclave would refuse what is not sealed
        monkeypatch.setattr(
            "petlab.techniques.tee.aggregation.SealedSums.add", plain_sum, raising=True
        )
        monkeypatch.setattr("petlab.techniques.tee.aggregation.SealedSums.open", plain_open)
    assert attacked(target, 1).rebuilt.recovered == 4


def plain_sum(self: object, holder: str, blobs: list[bytes]) -> bytes:
    """Add what is not sealed."""
    return wire.pack({"total": sum(wire.unpack(blob)["total"] for blob in blobs)})


def plain_open(self: object, blobs: list[bytes], bound: object, *, owners: int) -> np.ndarray:
    """Read what is not sealed."""
    return wire.unpack(blobs[0])["total"]


@pytest.mark.slow
def test_the_same_attack_reads_records_when_the_aggregator_gets_the_key(
    monkeypatch: pytest.MonkeyPatch,
):
    """A context with its secret key, sent where the public one should go."""
    from petlab.techniques.he import keys

    made = keys.KeyPair.__init__

    def leaking(self: keys.KeyPair, scheme: keys.Scheme) -> None:
        made(self, scheme)
        self.public.blob = self.secret.serialize(save_secret_key=True)

    monkeypatch.setattr(keys.KeyPair, "__init__", leaking)
    assert attacked(ENCRYPTED, 1).rebuilt.recovered == 4


@pytest.fixture(scope="module")
def encrypted() -> Watched:
    """Two owners of one record each, under encryption, for two rounds."""
    return watch("fl+he", batch=1, owners=2, dataset="digits", rounds=2)


@pytest.mark.slow
def test_no_key_that_the_aggregator_was_sent_decrypts(encrypted: Watched):
    """It was sent a public key and ciphertexts; each was tried."""
    tried, opened = decryptions(encrypted.transcript, encrypted.attacker)
    assert tried == 4
    assert opened == 0


@pytest.mark.slow
def test_two_models_give_away_an_encrypted_sum_of_few_records():
    """Encryption hides who sent what, not the sum that moved the model."""
    assert sum_inversion("fl+he", owners=2, batch=2).recovered == 4
    assert sum_inversion("fl+he", owners=3, batch=32, assumed=4).recovered == 0


@pytest.mark.slow
def test_a_record_is_named_among_others_unless_noise_hides_it():
    """Always right on exact gradients; near guessing at a small epsilon."""
    assert named("fl", victims=20).share == 1.0
    hidden = named("fl+dp", victims=100, settings={"epsilon": 0.1, "insecure_seed": 3})
    assert hidden.interval[0] <= hidden.chance
    assert hidden.share < 0.1
    with pytest.raises(UsageError, match="reads no numbers"):
        named("fl+he", victims=1)


@pytest.mark.slow
def test_nothing_is_attacked_that_was_not_received(encrypted: Watched):
    """An owner's bytes are in the attacker's view only."""
    assert update(encrypted.transcript, "aggregator", "owner-1").sender == "owner-1"
    with pytest.raises(ProtocolError, match="holds nothing"):
        update(encrypted.transcript, "analyst", "owner-1")


def test_too_few_bytes_give_no_numbers():
    """An acknowledgement is no update."""
    assert readings(b"thanks", 100) == []
    assert all(not reading.decoded for reading in readings(bytes(range(256)) * 4, 100))


def test_training_that_the_attack_is_not_on_is_refused():
    """Averaged weights are no gradients."""
    with pytest.raises(UsageError, match="method=gradient"):
        watch("fl", batch=1, owners=2, dataset="digits", settings={"method": "fedavg"})


@pytest.mark.slow
def test_the_table_and_the_figure_show_every_cell():
    """One row each; one picture for every victim, technique and batch, and the originals."""
    from matplotlib import pyplot

    found = gradient_inversion([FL], batches=[1, 2], victims=2)
    assert list(found.table["recovered"]) == ["2 of 2", "2 of 2"]
    assert "Gradient inversion" in found._repr_html_()
    figure, axes = pyplot.subplots()
    found.draw(axes, shown=2)
    pictures = np.asarray(axes.images[0].get_array().filled(np.nan))
    assert np.isfinite(pictures).sum() == 2 * 3 * 64
    pyplot.close(figure)


# Membership


def test_auc_is_the_mann_whitney_statistic_and_counts_ties_half():
    """SciPy's statistic on losses with ties."""
    rng = np.random.default_rng(0)
    members, others = rng.integers(0, 8, 90) * 1.0, rng.integers(2, 9, 70) * 1.0
    expected = mannwhitneyu(others, members).statistic / (90 * 70)
    assert membership(members, others).auc == pytest.approx(expected)


def test_intervals_hold_the_truth_as_often_as_they_say():
    """Normal losses one apart: the area is known; 95 % of 400 intervals, give or take three."""
    from scipy.stats import norm

    truth, rng = norm.cdf(1 / np.sqrt(2)), np.random.default_rng(1)
    found = [membership(rng.normal(-1, 1, 60), rng.normal(0, 1, 40)) for _ in range(400)]
    held = np.mean([one.auc_low <= truth <= one.auc_high for one in found])
    assert 0.92 <= held <= 0.99


def test_a_certain_attack_still_has_an_interval():
    """At 1 the lower limit is below 1, and narrows with more records."""
    assert 0.5 < auc_interval(1.0, 10, 10)[0] < auc_interval(1.0, 1000, 1000)[0] < 1


def test_a_model_that_tells_nothing_has_no_advantage_on_average():
    """The threshold is judged on other records than it was chosen on."""
    rng = np.random.default_rng(2)
    found = [membership(rng.normal(size=50), rng.normal(size=50)) for _ in range(200)]
    assert abs(np.mean([one.advantage for one in found])) < 0.03
    assert np.mean([one.advantage_low <= 0 <= one.advantage_high for one in found]) > 0.9


def test_true_positives_are_counted_at_the_rate_that_can_be_told():
    """1 % of 200 others are two; of 20 others the lowest rate is one."""
    members, others = np.arange(100) - 50.0, np.arange(200.0)
    found = membership(members, others)
    assert (found.tpr, found.fpr) == (np.mean(members < 2), 0.01)
    assert membership(members, np.arange(20.0)).fpr == 1 / 20
    assert membership(members, np.zeros(20)).fpr == 0


def test_undefined_losses_do_not_pass_for_small_ones():
    """A model that diverged tells nothing."""
    assert membership(np.full(30, np.nan), np.full(30, np.nan)).auc == 0.5


def test_losses_are_those_of_the_textbook():
    """Cross-entropy by scikit-learn, and finite where a probability rounds to zero."""
    from sklearn.metrics import log_loss

    scores, classes = np.random.default_rng(0).normal(size=(40, 3)), np.arange(40) % 3
    powers = np.exp(scores)
    assert softmax_losses(scores, classes).mean() == pytest.approx(
        log_loss(classes, powers / powers.sum(1, keepdims=True))
    )
    binary = np.arange(40) % 2
    assert logistic_losses(scores[:, :1], binary[:, None]).mean() == pytest.approx(
        log_loss(binary, 1 / (1 + np.exp(-scores[:, 0])))
    )
    assert logistic_losses(np.array([[-900.0]]), np.array([[1.0]])) == pytest.approx(900)


def test_the_bound_on_advantage_is_the_formula():
    """(e^eps - 1 + 2 delta) / (e^eps + 1)."""
    assert advantage_bound(1.0, 1e-2) == pytest.approx((np.e - 1 + 0.02) / (np.e + 1))
    assert advantage_bound(1e4, 1e-5) == 1.0
    assert advantage_bound(0.0, 0.0) == 0.0


def exposed(task: str, technique: str, dataset: str = "heart", **settings) -> dict:
    """Membership figures of a cell."""
    result = evaluate(Cell(task, "sums", technique, dataset, settings=settings))
    assert result.reason is None
    assert Result.from_json(result.to_json()) == result
    return {name.removeprefix("membership_"): m for name, m in result.exposure.items()}


MEMORISING = {"hidden": 400, "C": 1e6}
"""More than half as many random units as heart has records to train on: they learn them."""


def test_a_model_that_memorises_shows_its_members():
    """Its interval lies above guessing, and the reference's attack finds the same."""
    found = exposed("elm", "cleartext", **MEMORISING)
    assert found["auc_low"].value > 0.6
    assert found["advantage_low"].value > 0.2
    assert found["auc"].reference == pytest.approx(found["auc"].value, abs=0.02)
    assert "advantage_bound" not in found


def test_noise_hides_the_members_of_a_model_that_would_memorise():
    """The interval holds guessing, while the same attack finds them in the reference."""
    found = exposed("elm", "dp", epsilon=0.1, insecure_seed=4, **MEMORISING)
    assert found["auc_low"].value <= 0.5 <= found["auc_high"].value
    assert found["auc"].reference > 0.65
    assert "advantage_bound" not in found, "noise under a known seed bounds nothing"
    unseeded = exposed("elm", "dp", epsilon=0.1, **MEMORISING)
    assert unseeded["advantage_bound"].value == pytest.approx(np.tanh(0.05), abs=1e-4)


@pytest.mark.parametrize("task", ["logreg", "elm"])
def test_every_released_model_has_its_membership_figures(task: str):
    """Beside the reference's, and near guessing for models this small."""
    found = exposed(task, "cleartext", "wdbc")
    assert found["auc_low"].value < 0.55
    assert {"auc", "tpr", "fpr", "advantage"} <= set(found)


def test_outsourced_and_deep_models_are_attacked_too():
    """Whatever program released the coefficients or weights."""
    for task, program, chosen in (("logreg", "outsourced", {}), ("deep", "sums", {"epochs": 2})):
        result = evaluate(Cell(task, program, "cleartext", "heart", settings=chosen))
        found, reference = (
            getattr(result.exposure["membership_auc"], side) for side in ("value", "reference")
        )
        assert abs(found - reference) < 0.05
        assert result.exposure["membership_auc_low"].value < found


def test_attacks_that_would_flatter_the_attacker_are_refused():
    """Batches that leave victims out, more guesses than records, lengths that are overwritten."""
    for wrong in ({"batches": [3]}, {"victims": 2, "batches": [4]}):
        with pytest.raises(UsageError, match="multiple"):
            gradient_inversion([FL], **wrong)
    with pytest.raises(UsageError, match="between 1 and 4"):
        sum_inversion("fl+he", owners=2, batch=2, assumed=5)
    with pytest.raises(UsageError, match="Leave it out"):
        gradient_inversion([FL], batches=[1], victims=1, settings={"epochs": 3})
    with pytest.raises(UsageError, match="candidates"):
        named("fl", victims=2, candidates=10**6)


def test_nothing_is_exposed_where_no_model_is_released():
    """Counts and scores have no members' losses."""
    assert exposed("chi2", "cleartext") == {}
    assert evaluate(Cell("logreg", "score", "he", "heart")).exposure == {}


def test_results_from_before_are_still_read():
    """A stored result without the field has an empty one."""
    result = evaluate(Cell("chi2", "sums", "cleartext", "heart"))
    older = result.to_dict()
    del older["exposure"]
    assert Result.from_json(json.dumps(older)) == result
