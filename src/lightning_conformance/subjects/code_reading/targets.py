"""What a value is unpacked into."""

from __future__ import annotations

import ast
from dataclasses import dataclass


@dataclass(frozen=True)
class Unpacking:
    """The targets of an unpacking assignment.

    Args:
        names: One for each target: a variable's or an attribute's name; None where it is neither.
        starred: The position of the target with the star, where there is one.
        nested: One for each target: its own targets, where it is unpacked in turn.
    """

    names: tuple[str | None, ...]
    starred: int | None = None
    nested: tuple[Unpacking | None, ...] = ()

    @property
    def least(self) -> int:
        """How many elements there must be."""
        return len(self.names) - (self.starred is not None)


@dataclass(frozen=True)
class Items:
    """What each item of a value is assigned to, in a loop for instance.

    Args:
        name: The variable or attribute, where it is one.
        unpacking: The targets, where the item is unpacked at once.
    """

    name: str | None = None
    unpacking: Unpacking | None = None


@dataclass(frozen=True)
class StarredCall:
    """A value that is spread over the arguments of a call.

    Args:
        callee: What is called, as it is written: ``self.net``.
        before: How many positional arguments precede it; None where another star does.
        keywords: The arguments that are given by name beside it.
    """

    callee: str
    before: int | None = 0
    keywords: tuple[str, ...] = ()


def unpacking_of(target: ast.expr) -> Unpacking | None:
    """The targets that an assignment's target consists of; None where it is a single one."""
    if not isinstance(target, ast.Tuple | ast.List):
        return None
    starred = next((i for i, e in enumerate(target.elts) if isinstance(e, ast.Starred)), None)
    elements = [e.value if isinstance(e, ast.Starred) else e for e in target.elts]
    return unpacking(list(map(name_of, elements)), list(map(unpacking_of, elements)), starred)


def unpacking(names: list[str | None], nested: list[Unpacking | None], starred: int | None) -> Unpacking:
    """Both readers build their results here, so that they agree."""
    return Unpacking(tuple(names), starred, tuple(nested) if any(nested) else ())


def name_of(target: ast.expr) -> str | None:
    """What the code calls a target."""
    return getattr(target, "id", None) or getattr(target, "attr", None)
