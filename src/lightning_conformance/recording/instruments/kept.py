"""Lists and dicts of a module that its steps add to: whether an epoch finds them empty."""

from __future__ import annotations

from typing import Any

from lightning_conformance.recording.events_logging import Edge, KeptSize
from lightning_conformance.recording.instruments.base import EpochEdges


class KeptContainers(EpochEdges):
    """Watches the sizes of a module's plain containers."""

    def edge(self, which: Edge) -> None:
        """Write the sizes down."""
        for attribute, value in vars(self.run.module).items():
            if type(value) in (list, dict) and not attribute.startswith("_forward_") and attribute not in _TORCHS:
                self.run.tape.add(KeptSize(self.run.tape.now, attribute, which, _size(value)))


_TORCHS = frozenset(
    {"_parameters", "_buffers", "_modules", "_metric_attributes", "_optimizers", "_hparams", "_hparams_initial"}
)


def _size(value: Any) -> int:
    """Things in a container; of a dict of lists, those in the lists."""
    if isinstance(value, dict) and any(type(item) is list for item in value.values()):
        return sum(len(item) for item in value.values() if type(item) is list)
    return len(value)
