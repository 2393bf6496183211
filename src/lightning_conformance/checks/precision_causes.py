"""Where a tensor of an odd dtype comes from, in words, and what to write instead."""

from __future__ import annotations

import re

from lightning_conformance.recording.events_precision import DtypesMet
from lightning_conformance.recording.model import Place


def at_line(met: DtypesMet, place: Place | None) -> str:
    """The line of the operation, where the finding points to another one."""
    is_elsewhere = met.place and place and (place.file, place.line) != (met.place.file, met.place.line)
    return f", on line {met.place.line}" if is_elsewhere and met.place else ""


def cause_of(met: DtypesMet) -> tuple[str, str, Place | None]:
    """Cause, fix and place of a tensor whose dtype does not belong there."""
    like, name = "dtype=x.dtype  # of the tensor that it meets", met.name
    if met.kind == "made":
        line = met.made.source if met.made else ""
        why = "as is written there" if re.search(r"dtype=|Tensor\(", line) else "by default"
        return f"It is made as {met.odd}, {why}.", like, met.made or met.place
    if met.kind == "cast":
        return f"It is cast to {met.odd} there.", ".to(self.dtype), or cast the result back: .type_as(x)", met.made
    if met.kind == "autocast":
        cause = f"Autocast computed it in {met.odd}; where autocast is off, layers and constants are {met.other}."
        return cause, "x.float()  # before what is computed without autocast", met.place
    causes = {
        "attribute": f"`{name}` is a plain attribute: Lightning converts parameters and buffers.",
        "layer": f"`{name}` belongs to a module that is not registered: Lightning does not convert it.",
        "buffer": f"`{name}` is {met.odd}, whatever is computed from the layers.",
        "global": f"`{name}` is made outside of the class, and stays {met.odd}.",
        "batch": f"`{name}` is {met.odd}: Lightning converts what is in tuples, lists, dicts and dataclasses.",
        "unknown": f"A tensor of {met.odd} is not converted.",
    }
    fixes = {
        "attribute": f'self.register_buffer("{re.split("[.[]", name)[-1]}", ...)',
        "layer": "nn.ModuleList([...]) or nn.ModuleDict({...}); or .to(self.dtype) in on_fit_start",
        "buffer": f"x.to({name}.dtype)  # what is written to it, or computed with it",
    }
    return causes[met.kind], fixes.get(met.kind, f"{name or 'x'}.to(self.dtype)"), met.place
