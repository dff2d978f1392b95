"""What can be set about a perceptron and its training."""

from __future__ import annotations

from dataclasses import dataclass

from petlab.algorithms.perceptron.network import ACTIVATIONS
from petlab.algorithms.perceptron.sums import OPTIMIZERS
from petlab.core.batches import steps_per_epoch
from petlab.core.settings import positive, setting
from petlab.errors import UsageError

METHODS = ("gradient", "fedavg")
MODELS = ("mlp", "cnn")


@dataclass(frozen=True)
class Settings:
    """Settings of the perceptron and its training."""

    method: str = setting("gradient", "gradient (one sum a step) or fedavg (local epochs)")
    model: str = setting("mlp", "mlp, or cnn for data whose card says image")
    hidden: str = setting("64", "hidden layer sizes, such as 64,32")
    activation: str = setting("tanh", "tanh, relu, or square (which encrypted scoring can compute)")
    epochs: int = setting(80, "passes over the records; rounds of federated averaging")
    batch_share: float = setting(0.3, "at most this share of the records in one step")
    optimizer: str = setting("sgd", "sgd (momentum 0.9) or adam")
    learning_rate: float = setting(0.05, "step size")
    clip_norm: float = setting(1.0, "per-example clipping bound under differential privacy")

    @property
    def batch(self) -> float:
        """Share of the records in one step: an epoch is cut into equal batches.

        Every program, the reference and differential privacy's sampling use this share, and
        divide by as many records as it says.
        """
        return 1 / steps_per_epoch(self.batch_share)

    def check(self) -> None:
        """Refuse values that make no sense.

        Raises
        ------
        UsageError
            With what is known instead.
        """
        for name, value, known in (
            ("model", self.model, MODELS),
            ("method", self.method, METHODS),
            ("activation", self.activation, ACTIVATIONS),
            ("optimizer", self.optimizer, OPTIMIZERS),
        ):
            if value not in known:
                raise UsageError(f"unknown {name} {value!r}. Known: {', '.join(known)}.")
        positive(epochs=self.epochs, learning_rate=self.learning_rate, clip_norm=self.clip_norm)
        if not 0 < self.batch_share <= 1:
            raise UsageError("batch_share lies between 0 and 1.")
        if not all(n.strip().isdigit() and int(n) for n in str(self.hidden).split(",")):
            raise UsageError("hidden takes layer sizes, such as 64,32.")
