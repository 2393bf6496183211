"""Runs the tests of a file where there is no pytest."""

from __future__ import annotations

import traceback


def run_tests(names):
    """Call each test among the names of a file, and say how it went; how many failed."""
    failed = 0
    for name, test in sorted(names.items()):
        if name.startswith("test_"):
            try:
                test()
            except BaseException:
                failed += 1
                print(f"FAILED {name}\n{traceback.format_exc()}")
            else:
                print(f"passed {name}")
    return failed
