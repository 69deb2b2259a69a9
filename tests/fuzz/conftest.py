"""How many inputs: a few with the other tests, thousands by `make fuzz`."""

from hypothesis import HealthCheck, settings

slow = {"deadline": None, "suppress_health_check": list(HealthCheck)}
settings.register_profile("few", max_examples=20, derandomize=True, **slow)
settings.register_profile("fuzz", max_examples=1250, **slow)
settings.load_profile("few")
