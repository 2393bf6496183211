"""Modules in the styles of many authors, by theme, each with what its batch looks like."""

from inference_suite import (  # noqa: F401
    containers,
    dense,
    generative,
    graphs_and_sets,
    images,
    reinforcement,
    representation,
    sequences,
    signals,
    tabular,
)
from inference_suite.expectations import SUITE, Expectation

__all__ = ["SUITE", "Expectation"]
