"""What callbacks and schedulers of the module watch, and which metrics there are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lightning_conformance.recording.events_logging import Monitored, OwnLoader
from lightning_conformance.recording.instruments.base import Instrument


class Monitors(Instrument):
    """Looks at the Trainer when the run is over."""

    def end(self, trainer: Any) -> None:
        """Write down monitors, and the length of the module's own loader."""
        if trainer is None:
            return
        known = tuple(map(str, getattr(trainer, "callback_metrics", {})))
        for owner, key in self._monitors(trainer):
            self.run.tape.add(Monitored(self.run.tape.now, owner, key, known))
        batches = self._own_batches(trainer)
        if batches is not None:
            self.run.tape.add(OwnLoader(self.run.tape.now, batches))

    def _monitors(self, trainer: Any) -> Iterator[tuple[str, str]]:
        for callback in trainer.callbacks:
            key = vars(callback).get("monitor")
            if isinstance(key, str):
                yield type(callback).__name__, key
        for config in trainer.lr_scheduler_configs:
            if getattr(config, "reduce_on_plateau", False) and isinstance(config.monitor, str):
                yield type(config.scheduler).__name__, config.monitor

    def _own_batches(self, trainer: Any) -> int | None:
        """Batches of the user's own training loader; None where the kit made it, or its length is not known."""
        source = self.run.setup.source
        if source.sizes(self.run.setup.plan, ragged=False) is not None or not hasattr(source, "loader"):
            return None
        try:
            return len(trainer.train_dataloader)
        except Exception:
            return None
