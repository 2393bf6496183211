"""The global random number generators are seeded once, before the run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lightning_conformance.checks.registry import check
from lightning_conformance.checks.verdict import Finding
from lightning_conformance.checks.wording import count
from lightning_conformance.recording.events_logging import Reseeded
from lightning_conformance.recording.model import Recording

# Hooks that run once, before or after training.
_ONCE = ("setup", "teardown", "configure_", "on_fit_", "on_train_start", "on_train_end", "prepare_data", "on_sanity_")


@check(family="reproducibility", severity="error", since="0.2.0")
def global_rng_is_left_alone(recording: Recording) -> Iterator[Finding]:
    """No hook that runs again and again seeds a global random number generator.

    ## How it judges
    Counts the calls of `torch.manual_seed`, `numpy.random.seed`, `random.seed` and `seed_everything` in hooks.

    ## Why it matters
    Each step draws the same dropout masks and the same noise, and the order of the samples repeats itself: the seed of
    training is overwritten.

    ## Example
    ```python
    def training_step(self, batch, batch_idx):
        x, y = batch
        torch.manual_seed(0)
        noise = torch.randn_like(x)
        return F.cross_entropy(self(x + 0.1 * noise), y)
    ```

    ## Use instead
    ```python
    def training_step(self, batch, batch_idx):
        x, y = batch
        noise = torch.randn_like(x)  # pl.seed_everything(0) stands before the Trainer
        return F.cross_entropy(self(x + 0.1 * noise), y)
    ```

    ## Legitimate exceptions
    A state that is put back in the same hook, as `fork_rng` does, is fine. So is a `torch.Generator` of one's own.
    Seeding in validation alone is a warning, with other seeds each time advice.
    """
    seen = [r for r in recording.all(Reseeded) if not r.restored and _repeats(r.at.hook)]
    for place in dict.fromkeys(r.place for r in seen):
        here = [r for r in seen if r.place == place]
        if len(here) > 1:
            yield _reseeds(here)


def _repeats(hook: str) -> bool:
    return bool(hook) and not hook.startswith(_ONCE) and "dataloader" not in hook


def _reseeds(calls: Sequence[Reseeded]) -> Finding:
    first, seeds = calls[0], {c.seed for c in calls}
    same = len(seeds) == 1
    hooks = sorted({c.at.hook for c in calls})
    trains = any(c.at.stage == "train" and c.at.batch >= 0 for c in calls)
    severity = ("error" if trains else "warning") if same else "advice"
    with_ = f"always with {first.seed}" if same else f"with {len(seeds)} seeds"
    return Finding(
        f"`{first.function}` was called {count(len(calls), 'time')} in `{hooks[0]}`, {with_}.",
        "The global generator starts anew each time: what is drawn after it repeats itself, in training, too."
        if same
        else "The global generator is seeded while training uses it.",
        "with torch.random.fork_rng(): ...  # around seed and draw; or generator=torch.Generator().manual_seed(0)",
        first.place,
        severity,  # type: ignore[arg-type]
    )
