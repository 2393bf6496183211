"""The parameters of a constructor or factory: names, annotations, and which are required."""

from __future__ import annotations

import inspect
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from ..lightning_api import IMPORT_NAMES, package_of


@dataclass(frozen=True)
class Parameter:
    """One named parameter of a constructor or factory.

    Args:
        name: The keyword.
        annotation: The annotation as it stands; ``inspect.Parameter.empty`` where there is none.
        required: Whether it has no default.

    """

    name: str
    annotation: Any
    required: bool

    @property
    def is_typed(self) -> bool:
        """Whether the annotation says anything about a value."""
        return self.annotation not in (inspect.Parameter.empty, Any)

    @property
    def type_text(self) -> str:
        """The annotation as one would write it, or ``no annotation``."""
        if self.annotation is inspect.Parameter.empty:
            return "no annotation"
        return type_text(self.annotation)


def parameters(obj: Any) -> list[Parameter]:
    """The named parameters of a class or callable, with those that its ``**kwargs`` hand on."""
    if is_lightning_module(obj):
        return []
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    found = [p for p in _signature(obj) if p.kind not in variadic]
    return [Parameter(p.name, p.annotation, p.default is inspect.Parameter.empty) for p in found]


def takes_any_keyword(obj: Any) -> bool:
    """Whether ``obj`` takes keywords by ``**kwargs`` of the user's own that could not be followed."""
    if isinstance(obj, type):
        owner = next((cls for cls in obj.__mro__ if "__init__" in vars(cls)), object)
        if owner.__module__.partition(".")[0] in {"builtins", "torch", *IMPORT_NAMES}:
            return False
    with suppress(ValueError, TypeError):
        own = inspect.signature(obj).parameters.values()
        followed = {parameter.name for parameter in parameters(obj)} - {p.name for p in own}
        return not followed and any(p.kind is inspect.Parameter.VAR_KEYWORD for p in own)
    return False


_signatures: WeakKeyDictionary[type, list[Any]] = WeakKeyDictionary()


def _signature(obj: Any) -> list[Any]:
    """The parameters of a callable; those of a class are resolved once, since each instance asks for them."""
    if not isinstance(obj, type):
        return _resolved(obj)
    if obj not in _signatures:
        _signatures[obj] = _resolved(obj)
    return _signatures[obj]


def _resolved(obj: Any) -> list[Any]:
    """Parameters as jsonargparse resolves them, else as Python does."""
    with suppress(Exception):
        from jsonargparse._parameter_resolvers import get_signature_parameters

        if isinstance(obj, type) or inspect.isfunction(obj):
            return list(get_signature_parameters(obj))
        if inspect.ismethod(obj) and isinstance(obj.__self__, type):
            return list(get_signature_parameters(obj.__self__, obj.__name__))
    with suppress(ValueError, TypeError):
        return list(inspect.signature(obj).parameters.values())
    return []


def is_lightning_module(obj: Any) -> bool:
    """Whether an object is an instance of a LightningModule."""
    return not isinstance(obj, type) and package_of(obj) is not None


def type_text(annotation: Any) -> str:
    """An annotation as one would write it."""
    if isinstance(annotation, str):
        return annotation
    if isinstance(annotation, type) and not hasattr(annotation, "__args__"):
        module = re.sub(r"^torch\.nn\.modules\.\w+$", "torch.nn", annotation.__module__)
        return annotation.__qualname__ if module == "builtins" else f"{module}.{annotation.__qualname__}"
    return re.sub(r"\btyping\.", "", str(annotation)).replace("torch.nn.modules.module.", "torch.nn.")
