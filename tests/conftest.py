"""Settings of the test run."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

# Repeatable, and not flaky on a machine that does something else at the same time.
settings.register_profile(
    "petlab",
    max_examples=50,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("petlab")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Cells that start processes of their own are slow: `make check` leaves them out."""
    for item in items:
        values = getattr(getattr(item, "callspec", None), "params", {}).values()
        if any({"mpc", "tee"} & set(str(value).split("+")) for value in values):
            item.add_marker(pytest.mark.slow)
