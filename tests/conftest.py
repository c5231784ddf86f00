"""For all tests: how Hypothesis runs them."""

from typing import Any

from hypothesis import HealthCheck, settings

# A shared machine may stall for longer than any deadline; what is asserted here are counts, not times.
ALWAYS: dict[str, Any] = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
# The same examples in every run: `make test` judges a change, and not what its chance has found.
settings.register_profile("corral", derandomize=True, **ALWAYS)
# `make check`: a few examples of each, others each time; `make fuzz` goes on looking.
settings.register_profile("quick", max_examples=15, **ALWAYS)
settings.load_profile("corral")
