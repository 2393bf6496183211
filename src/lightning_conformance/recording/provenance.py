"""What a tensor was made by, told from its autograd graph."""

from __future__ import annotations

from typing import Any

import torch

# Operations that move values, or keep them away from a border, and let them be what they are.
_PASSING = (
    "View",
    "UnsafeView",
    "Reshape",
    "Permute",
    "Transpose",
    "TBackward",
    "Squeeze",
    "Unsqueeze",
    "Slice",
    "Select",
    "Index",
    "Clone",
    "ToCopy",
    "Alias",
    "Expand",
    "Narrow",
    "Split",
    "Unbind",
    "MaskedSelect",
    "Clamp",
    "Contiguous",
    "Cat",
    "Stack",
)
_MAKERS = {
    "SoftmaxBackward": "softmax",
    "LogSoftmaxBackward": "log_softmax",
    "SigmoidBackward": "sigmoid",
    "LogSigmoidBackward": "logsigmoid",
    "LogBackward": "log",
    "Log1PBackward": "log",
    "LogsumexpBackward": "logsumexp",
}
_FAR = 12


def node_name(node: Any) -> str:
    """For example ``SoftmaxBackward``."""
    return str(node.name()).lstrip("_").rstrip("0123456789")


def maker(tensor: torch.Tensor) -> tuple[str, Any, bool]:
    """What made the values of a tensor: ``softmax``, ``log_softmax``, ``sigmoid``, ``log``, or empty.

    Returns:
        The name, the node, and whether the tensor is that operation's result itself, and no view of it.
    """
    node, is_direct = tensor.grad_fn, True
    for _ in range(_FAR):
        if node is None:
            break
        name = node_name(node)
        if name in _MAKERS:
            return _MAKERS[name], node, is_direct
        edges = [function for function, _ in node.next_functions if function is not None]
        adds_constant = name == "AddBackward" and len(edges) == 1
        if not edges or not (name.startswith(_PASSING) or adds_constant):
            break
        is_direct = is_direct and adds_constant
        node = edges[0]
    return "", node, False


def normalised_dim(node: Any, rank: int) -> int | None:
    """The dimension over which a softmax was taken, from 0."""
    dim = getattr(node, "_saved_dim", None)
    if not isinstance(dim, int):
        return None
    return (dim - 2**64 if dim >= 2**63 else dim) % rank if rank else None
