"""Settings of the test run."""

from __future__ import annotations

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
