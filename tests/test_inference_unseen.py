"""A batch is found for modules that were written when the search was finished."""

from __future__ import annotations

import pytest
import torch
from inference_unseen import UNSEEN

from benchmarks.agreement import pattern_disagreements
from benchmarks.reading import fit
from lightning_conformance.subjects.batch_spec import parse_batch_spec, spec_of
from lightning_conformance.subjects.inference import infer_batch

pytestmark = pytest.mark.filterwarnings("ignore")

# What the search did not find at the first try: the class's name, and what was proposed.
NOT_YET: dict[str, str] = {
    "FewShotMaml": "a tuple of pairs in place of each tensor: what is zipped becomes a tuple",
    "HumanPose": "the visibility is any float: what is unsqueezed and multiplied has no range",
    "KnowledgeGraph": "columns beyond those that are read: any rank of the triples runs",
    "NeuralOde": "the times get a second dimension: they are only subtracted",
    "PositionBasedClicks": "features without items: what is multiplied broadcasts",
}


def example_of(cls, generator=None):
    example = UNSEEN[cls].example
    return example() if callable(example) else parse_batch_spec(example).generate(generator=generator)


def classes():
    for cls in UNSEEN:
        reason = NOT_YET.get(cls.__name__)
        marks = [pytest.mark.xfail(strict=False, reason=reason)] if reason else []
        yield pytest.param(cls, id=cls.__name__, marks=marks)


@pytest.mark.parametrize("cls", UNSEEN, ids=lambda cls: cls.__name__)
def test_expectation_is_right(cls):
    """The example fits the expectation, and the module trains with it."""
    batch = example_of(cls)
    example = UNSEEN[cls].example
    spec = spec_of(batch).symbolic() if callable(example) else parse_batch_spec(example)
    assert pattern_disagreements(UNSEEN[cls].patterns, spec.root) == []
    torch.manual_seed(0)
    fit(cls(), [batch, example_of(cls), example_of(cls)])


@pytest.mark.parametrize("cls", list(classes()))
def test_batch_is_found(cls):
    torch.manual_seed(0)
    found = infer_batch(cls, budget_seconds=10.0 if cls.__name__ in NOT_YET else 60.0)
    assert pattern_disagreements(UNSEEN[cls].patterns, found.spec.root) == [], str(found.spec)
    generator = torch.Generator().manual_seed(1)
    fit(cls(), [found.spec.generate(generator=generator) for _ in range(3)])


def test_reasons_name_classes():
    assert set(NOT_YET) <= {cls.__name__ for cls in UNSEEN}
