"""A batch is found for modules in the styles of many authors, and it is the right one."""

from __future__ import annotations

import pytest
import torch
from inference_suite import SUITE

from benchmarks.agreement import pattern_disagreements
from benchmarks.reading import fit
from lightning_conformance.lightning_api import package_of
from lightning_conformance.subjects.batch_spec import parse_batch_spec, spec_of
from lightning_conformance.subjects.inference import infer_batch

SINCE_2 = {"WassersteinGan": "before Lightning 2.0 toggle_optimizer takes the optimizer's index, too"}
pytestmark = pytest.mark.filterwarnings("ignore")

# What the search cannot do yet: the class's name, and why.
NOT_YET = {
    "ColumnByColumn": "numbers that are stacked, beside an embedding of one index or of several",
    "ConditionalGan": "an image is flattened and concatenated with an embedding",
    "CouplingFlow": "chunks that broadcast against each other run with a wrong width",
    "PrototypicalNetwork": "labels that are compared with each class become floats",
    "StandardizedForecast": "a series that is concatenated with covariates, and flattened",
    "TruncatedBackpropagation": "a split along time",
    "VideoFramesThenRecurrence": "frames are folded into the batch",
}


def example_of(cls, generator=None):
    example = SUITE[cls].example
    return example() if callable(example) else parse_batch_spec(example).generate(generator=generator)


def not_here(cls):
    reason = SINCE_2.get(cls.__name__) if package_of(cls).release < (2, 0) else None
    return [pytest.mark.skip(reason=reason)] if reason else []


def classes():
    for cls in SUITE:
        reason = NOT_YET.get(cls.__name__)
        # Not strict: on a fast machine some of them are found before the time is up.
        marks = [pytest.mark.xfail(strict=False, reason=reason)] if reason else not_here(cls)
        yield pytest.param(cls, id=cls.__name__, marks=marks)


@pytest.mark.parametrize("cls", [pytest.param(cls, id=cls.__name__, marks=not_here(cls)) for cls in SUITE])
def test_expectation_is_right(cls):
    """The example fits the expectation, and the module trains with it."""
    batch = example_of(cls)
    example = SUITE[cls].example
    spec = spec_of(batch).symbolic() if callable(example) else parse_batch_spec(example)
    assert pattern_disagreements(SUITE[cls].patterns, spec.root) == []
    torch.manual_seed(0)
    fit(cls(), [batch, example_of(cls), example_of(cls)])


@pytest.mark.parametrize("cls", list(classes()))
def test_batch_is_found(cls):
    torch.manual_seed(0)
    found = infer_batch(cls, budget_seconds=10.0 if cls.__name__ in NOT_YET else 60.0)
    assert pattern_disagreements(SUITE[cls].patterns, found.spec.root) == [], str(found.spec)
    generator = torch.Generator().manual_seed(1)
    fit(cls(), [found.spec.generate(generator=generator) for _ in range(3)])


def test_reasons_name_classes():
    assert set(NOT_YET) <= {cls.__name__ for cls in SUITE}
