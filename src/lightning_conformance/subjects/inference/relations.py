"""What the parts of a batch say of each other: lengths, and the sequences that they are the lengths of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from lightning_conformance.subjects.inference.drafts import Draft, Key
from lightning_conformance.subjects.inference.expectations import TIME
from lightning_conformance.subjects.inference.words import meaning_of, words_of

Words = tuple[str, ...]


def related(draft: Draft) -> Draft:
    """A copy in which every part knows the steps of the sequences that it is one of, or holds the lengths of.

    ``src_lengths`` belong to ``src`` and ``src_tokens``, which are sequences then. ``lengths`` alone belong to
    whatever sequence there is, and make none.
    """
    children = tuple((key, related(child)) for key, child in draft.children)
    children = _of_samples(children) if draft.kind not in ("samples", "unknown") and not draft.free else children
    return draft if children == draft.children else replace(draft, children=children)


def _of_samples(children: tuple[tuple[Key, Draft], ...]) -> tuple[tuple[Key, Draft], ...]:
    stems = {_stem(child): child for _, child in children if is_lengths(child)}
    for stem in stems:
        sequences = [child for _, child in children if _is_of(child, stem)]
        steps = next(_steps(sequences), TIME)
        children = tuple((key, _with_steps(child, stem, steps)) for key, child in children)
    return children


def is_lengths(node: Draft) -> bool:
    """Whether a leaf is called lengths."""
    return node.kind == "tensor" and meaning_of(node.name) == "lengths"


def _stem(node: Draft) -> Words:
    return tuple(word.rstrip("s") for word in words_of(node.name)[:-1])


def _is_of(node: Draft, stem: Words) -> bool:
    """Whether a leaf is called like the sequences of lengths."""
    words = tuple(word.rstrip("s") for word in words_of(node.name))
    return node.kind == "tensor" and not is_lengths(node) and words[: len(stem)] == stem


def _steps(sequences: list[Draft]) -> Iterator[int]:
    """The time dimensions that are known."""
    for node in sequences:
        if node.spec is not None and len(node.spec.shape) in (2, 3):
            yield int(node.spec.shape[1])


def _with_steps(node: Draft, stem: Words, steps: int) -> Draft:
    if is_lengths(node):
        return replace(node, steps=steps) if _stem(node) == stem else node
    if not stem or not _is_of(node, stem):
        return node
    return replace(node, steps=steps, rank=max(2, node.rank))
