"""Train with a small ``gradient_clip_val``, where the module clips gradients itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from lightning_conformance.recording.events_gradients import GradientsClipped
from lightning_conformance.recording.instruments.optimizers import optimizer_parameters
from lightning_conformance.recording.model import Moment, Recording, Seen
from lightning_conformance.recording.regimes.base import DoesNotApply, folder, plain_fit
from lightning_conformance.recording.setup import Setup

_LIMIT = 1e-4


def record(setup: Setup, blank: Recording) -> Recording:
    """The norm of the gradients before and after each call of ``configure_gradient_clipping``."""
    if "configure_gradient_clipping" not in blank.methods or not blank.automatic:
        raise DoesNotApply("the module leaves gradient clipping to Lightning")
    events: list[Seen] = []
    module = setup.build()
    clip = module.configure_gradient_clipping

    def configure_gradient_clipping(optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        before = _norm(optimizer)
        result = clip(optimizer, *args, **kwargs)
        at = Moment("train", 0, len(events), "configure_gradient_clipping")
        events.append(GradientsClipped(at, _LIMIT, before, _norm(optimizer)))
        return result

    module.configure_gradient_clipping = configure_gradient_clipping
    with folder() as where:
        try:
            plan = replace(setup.plan, epochs=1)
            plain_fit(replace(setup, plan=plan), where, module=module, gradient_clip_val=_LIMIT)
        except Exception as error:
            if type(error).__name__ == "MisconfigurationException" and "clip_gradients" in str(error):
                raise DoesNotApply("the module clips by a limit of its own, and Lightning allows no other") from error
            raise
    return replace(blank, tape=tuple(events))


def _norm(optimizer: Any) -> float:
    gradients = [p.grad.detach() for p in optimizer_parameters(optimizer) if p.grad is not None]
    norms = [float((g.coalesce().values() if g.is_sparse else g).abs().double().norm()) for g in gradients]
    return float(torch.tensor(norms, dtype=torch.float64).norm()) if norms else 0.0
