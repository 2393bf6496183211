"""A batch is found as well where the code can only be read from its source."""

from __future__ import annotations

import inference_modules as modules
import pytest

from lightning_conformance.subjects.code_reading import bytecode
from lightning_conformance.subjects.code_reading.unpacking import READ_SOURCE
from lightning_conformance.subjects.inference import infer_batch

SAMPLE = [
    modules.LinearClassifier,
    modules.FlattenedMnist,
    modules.LenetWithViewMinusOne,
    modules.LanguageModel,
    modules.BinaryTabular,
    modules.TimeFirstRecurrence,
    modules.SuperResolution,
    modules.VaeOnImages,
    modules.ManualGan,
    modules.KeywordBatch,
    modules.VitLike,
    modules.SwallowsEverything,
    modules.PointNet,
]


@pytest.mark.parametrize("cls", SAMPLE, ids=lambda cls: cls.__name__)
def test_the_source_alone_leads_to_the_same_batch(cls, monkeypatch):
    expected = infer_batch(cls)
    with monkeypatch.context() as forced:
        forced.setenv(READ_SOURCE, "1")
        for name in ("unpacking_now", "unpacking_next", "items_now"):
            forced.delattr(bytecode, name)
        found = infer_batch(cls)
    assert (found.spec, found.doubts) == (expected.spec, expected.doubts)
