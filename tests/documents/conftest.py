"""What the tests of the document editors share: small wanted panels, and a deterministic hypothesis."""

from hypothesis import settings

settings.register_profile("exact", derandomize=True, database=None, deadline=None, max_examples=100)
settings.load_profile("exact")
