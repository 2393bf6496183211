"""Several processes that train together: forked from this one, watched from here, and seen as one recording."""

from lightning_conformance.recording.ranks.training import record_on_ranks

__all__ = ["record_on_ranks"]
