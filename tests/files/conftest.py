"""What the tests of the document editors share: a deterministic hypothesis, and a long run on request.

HYPOTHESIS_PROFILE=thorough tries some thousands of files instead of some hundreds; benchmarks/edit.py many more.
"""

import os

from hypothesis import settings

settings.register_profile("exact", derandomize=True, database=None, deadline=None, max_examples=100)
settings.register_profile("thorough", parent=settings.get_profile("exact"), max_examples=3000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "exact"))
