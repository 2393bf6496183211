"""Which operands of an operation may, or must, be on the CPU while the others are on an accelerator."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

# Positions of operands that CUDA takes from the CPU, too. A tensor without dimensions it takes everywhere.
_MAY_BE_ON_HOST: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(("index", "_unsafe_index", "index_put", "index_put_", "_unsafe_index_put"), (1,)),
    "_index_put_impl_": (1,),
    "_pack_padded_sequence": (1,),
    "_pack_padded_sequence_backward": (2,),
    "_ctc_loss": (1, 2, 3),
    "_ctc_loss_backward": (2, 3, 4),
    "bernoulli": (1,),
    "bernoulli_": (1,),
}
# Elsewhere CUDA takes a tensor without dimensions from the CPU.
_NO_SCALARS = {
    *("stack", "cat", "embedding", "nll_loss_forward", "nll_loss2d_forward", "gather", "index_select", "take"),
    *("scatter", "scatter_", "scatter_add", "scatter_add_", "index_add", "index_add_", "index_copy", "index_copy_"),
    *("bucketize", "searchsorted"),
}
_MUST_BE_ON_HOST = {"_pack_padded_sequence": {1: "lengths"}}
# They carry values from one side to the other, or look at no values.
_CROSS = {"copy_", "_to_copy", "copy", "set_", "is_same_size", "resize_as_", "_resize_output_", "lift_fresh"}
# They take lists, of which each element is on a device of its own.
_ELEMENTWISE_LISTS = ("_foreach_", "_fused_", "_amp_foreach_")
# CUDA waits for the device in them, as the host needs to know a value or a size.
_WAITING = {"_local_scalar_dense", "equal", "nonzero", "masked_select", "_unique2", "unique_dim", "unique_consecutive"}
# Libraries whose operations want all their operands on one device; of others nothing is known.
_KNOWN_LIBRARIES = ("aten", "torchvision", "quantized", "prims")


@dataclass(frozen=True)
class Rule:
    """What is known of one operation.

    Args:
        name: For example ``add``.
        checked: Whether its operands must be on one device.
        lists: Whether it takes lists whose elements belong together.
        may_be_on_host: Positions of operands that may be on the CPU.
        must_be_on_host: Positions of operands that must be on the CPU, with their names.
        written: Positions, or names, of operands that it writes to.
        waits: Whether the host waits for the device in it.
        takes_scalars: Whether a tensor without dimensions may be on the CPU.
        skips_empty: Whether operands without elements do not matter.
    """

    name: str
    checked: bool
    lists: bool
    may_be_on_host: tuple[int, ...]
    must_be_on_host: dict[int, str]
    written: frozenset[int | str]
    waits: bool
    takes_scalars: bool
    skips_empty: bool


@cache
def rule_of(func: Any) -> Rule:
    """The rule of an operator overload."""
    library, _, name = func._schema.name.partition("::")
    written = frozenset(
        argument.name if argument.kwarg_only else position
        for position, argument in enumerate(func._schema.arguments)
        if argument.alias_info is not None and argument.alias_info.is_write
    )
    return Rule(
        name,
        library in _KNOWN_LIBRARIES and name not in _CROSS,
        name.startswith(_ELEMENTWISE_LISTS),
        _MAY_BE_ON_HOST.get(name, ()),
        _MUST_BE_ON_HOST.get(name, {}),
        written,
        name in _WAITING,
        name not in _NO_SCALARS,
        name == "cat",
    )
