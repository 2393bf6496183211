"""The package's own tests; the kit's fixtures give each module, a batch, and what a short training showed."""

import torch
from flowers import FlowerClassifier


def test_a_forecast_for_each_flower():
    model = FlowerClassifier(features=4, classes=3)
    assert model(torch.zeros(5, 4)).shape == (5, 3)


def test_the_loss_is_a_number(lightning_module, lightning_batch):
    assert torch.isfinite(lightning_module.training_step(lightning_batch, 0))


def test_the_learning_rate_is_the_configured_one(lightning_recording):
    steps = [event for event in lightning_recording.tape if type(event).__name__ == "OptimizerStepped"]
    assert {rate for step in steps for rate in step.learning_rates} == {1e-2}
