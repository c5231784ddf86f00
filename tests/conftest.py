"""For all tests: how Hypothesis runs them."""

from hypothesis import HealthCheck, settings

# A shared machine may stall for longer than any deadline; what is asserted here are counts, not times.
settings.register_profile("corral", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# `make check`: a few examples of each; `make test` has them all.
settings.register_profile("quick", parent=settings.get_profile("corral"), max_examples=15)
settings.load_profile("corral")
