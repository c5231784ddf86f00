"""For all tests: how Hypothesis runs them."""

from hypothesis import HealthCheck, settings

# A shared machine may stall for longer than any deadline; what is asserted here are counts, not times.
settings.register_profile("corral", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("corral")
