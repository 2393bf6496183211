"""The suites of ``tests/``, for the benchmarks: what they hold, and how an outcome is judged."""

from __future__ import annotations

import sys

from benchmarks.cases import TESTS

if str(TESTS) not in sys.path:
    sys.path.insert(0, str(TESTS))

from suite_cases import Case, Fault, cases, catalogue
from suite_outcomes import Outcome, fault_outcome, legitimate_outcome, settings

__all__ = ["Case", "Fault", "Outcome", "cases", "catalogue", "fault_outcome", "legitimate_outcome", "settings"]
