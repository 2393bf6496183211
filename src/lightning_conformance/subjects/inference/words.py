"""What the name of a leaf means, told by its words."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

Meaning: TypeAlias = Literal[
    "mask",
    "attention mask",
    "padding mask",
    "lengths",
    "edges",
    "samples of rows",
    "boxes",
    "flag",
    "log probability",
    "probability",
    "fraction",
    "image",
    "audio",
    "timestep",
    "count",
    "positive",
    "action",
    "reward",
    "index",
]

_PIECE = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")

_WHOLE_NAMES: dict[str, Meaning] = {
    "edge index": "edges",
    "edge label index": "edges",
    "batch": "samples of rows",
    "batch index": "samples of rows",
    "batch idx": "samples of rows",
    "x batch": "samples of rows",
    "t": "timestep",
}

_WORDS: dict[Meaning, str] = {
    "mask": "mask masks masked valid",
    "lengths": "len lens length lengths seqlen seqlens ilens olens",
    "boxes": "box boxes bbox bboxes",
    "flag": "flag flags done dones terminated truncated terminal terminals event events censored",
    "probability": "prob probs probability probabilities",
    "fraction": "alpha alphas weight weights confidence temperature temperatures sigma std variance ratio lam",
    "image": "image images img imgs pixel pixels picture pictures photo photos rgb frame frames video videos",
    "audio": "audio audios wav wavs waveform waveforms speech",
    "timestep": "timestep timesteps",
    "count": "count counts quantity quantities",
    "positive": "age ages price prices amount amounts cost costs duration durations time times distance distances "
    "area areas volume volumes depth depths income population",
    "action": "action actions",
    "reward": "reward rewards advantage advantages returns",
    "index": "id ids idx idxs index indices token tokens label labels class classes category categories",
}
_MEANINGS: dict[str, Meaning] = {word: meaning for meaning, words in _WORDS.items() for word in words.split()}
# Words that may follow the one that counts: which of several it is, or that it is data.
_AFTERWORDS = (
    "a b c d x y i j in out left right first second one two next prev old new low high lr hr src tgt source target gt "
    "true real fake pos neg anchor positive negative query key support student teacher context aug value values data "
    "tensor batch input inputs"
)
_MODIFIERS = frozenset(_AFTERWORDS.split())
_ATTENTION, _PADDING = {"attention", "attn"}, {"padding", "pad", "padded"}


def words_of(name: str | None) -> tuple[str, ...]:
    """The words of a name in ``snake_case`` or ``camelCase``, without digits."""
    return tuple(piece.lower() for piece in _PIECE.findall(name or ""))


def is_picture(name: str | None) -> bool:
    """Whether a leaf of that name holds pictures; frames may be of sound."""
    return meaning_of(name) == "image" and not {"frame", "frames", "video", "videos"} & set(words_of(name))


def meaning_of(name: str | None) -> Meaning | None:
    """What a leaf of that name holds, where the name says it.

    The last word decides: an ``image_mask`` is a mask, a ``mask_image`` an image, ``image_features`` are
    neither. Only words such as ``values`` and ``left`` may come after it.
    """
    words = words_of(name)
    if not words:
        return None
    whole = _WHOLE_NAMES.get(" ".join(words))
    if whole is not None:
        return whole
    if words[0] in ("is", "has") and len(words) > 1:
        return "flag"
    if words[0] in ("num", "n") and len(words) > 1:
        return "count"
    head = next((word for word in reversed(words) if word in _MEANINGS or word not in _MODIFIERS), "")
    return _qualified(_MEANINGS.get(head), set(words))


def _qualified(meaning: Meaning | None, words: set[str]) -> Meaning | None:
    if meaning == "mask" and words & _PADDING:
        return "padding mask"
    if meaning == "mask" and words & _ATTENTION:
        return "attention mask"
    if meaning == "probability" and "log" in words:
        return "log probability"
    return meaning
