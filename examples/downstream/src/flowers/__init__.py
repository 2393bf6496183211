"""Classify flowers, and measure their petals."""

from flowers.classifier import FlowerClassifier
from flowers.petals import PetalRegressor

__all__ = ["FlowerClassifier", "PetalRegressor"]
