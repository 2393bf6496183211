"""What an error says about the guess that led to it."""

from __future__ import annotations

import linecache
import re
import traceback
from collections.abc import Iterator

_MISSING_KEYS = (
    r"has no attribute '(\w+)'",
    r"Missing attribute \"(\w+)\"",
    r"Missing key (\w+)",
)
_CONTAINERS = re.compile(r"'(?:\w+\.)*(Simple)?(Namespace|[Dd]ict|AttributeDict|AttrDict|DictConfig|EasyDict|Munch)'")
_MISSING_ARGUMENTS = re.compile(r"missing \d+ required (?:keyword-only |positional )*arguments?: (.*)")
_OWN = (NameError, ImportError, SyntaxError, NotImplementedError, OSError, MemoryError)
_MISMATCHES = (
    r"mat1 and mat2 shapes cannot be multiplied \(\d+x(?P<got>\d+) and (?P<wanted>\d+)x\d+\)",
    r"Expected (?P<wanted>\d+), got (?P<got>\d+)",
    r"to have (?P<wanted>\d+) channels, but got (?P<got>\d+) channels",
    r"normalized_shape=\[(?P<wanted>\d+)\], expected input with shape .*, but got input of size\[.*?(?P<got>\d+)\]",
    r"running_mean should contain (?P<got>\d+) elements not (?P<wanted>\d+)",
    r"The size of tensor a \((?P<got>\d+)\) must match the size of tensor b \((?P<wanted>\d+)\)",
    r"using a target size .*?(?P<wanted>\d+)\]\).* different to the input size .*?(?P<got>\d+)\]\)",
)
_ONE_OF = re.compile(
    r"(?:one of|either|choose (?:from|between)|supported\w*|available|valid\w*|must be|expected|in)\b(.*)",
    re.IGNORECASE,
)


def is_own(error: BaseException) -> bool:
    """Whether no other guess would help: a name that is not there, a file that is missing."""
    return isinstance(error, _OWN)


def missing_keys(error: BaseException) -> list[str]:
    """Keys that a configuration was asked for and did not have."""
    text = str(error)
    if isinstance(error, KeyError) and error.args and isinstance(error.args[0], str):
        key = error.args[0]
        return [key] if key.isidentifier() else []
    if isinstance(error, AttributeError):
        if "has no attribute" in text and not _CONTAINERS.search(text):
            return []
        return [match[1] for match in (re.search(pattern, text) for pattern in _MISSING_KEYS) if match][:1]
    if isinstance(error, TypeError) and (match := _MISSING_ARGUMENTS.search(text)):
        return re.findall(r"'(\w+)'", match[1])
    return []


def size_mismatch(error: BaseException) -> tuple[int, int] | None:
    """``(got, wanted)`` of two sizes that should be one."""
    for pattern in _MISMATCHES:
        if match := re.search(pattern, " ".join(str(error).split()), re.IGNORECASE):
            return int(match["got"]), int(match["wanted"])
    return None


def offered(error: BaseException) -> list[str]:
    """Words that the message offers: ``mode must be one of ['a', 'b']``."""
    match = _ONE_OF.search(str(error))
    return re.findall(r"[\"'`]([\w.\-]+)[\"'`]", match[1]) if match else []


def lines(error: BaseException) -> Iterator[str]:
    """The source lines of the error's frames that are not torch's own, innermost first."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if "/torch/" in frame.filename.replace("\\", "/") or "lightning_conformance" in frame.filename:
            continue
        last = getattr(frame, "end_lineno", None) or frame.lineno or 0
        yield " ".join(linecache.getline(frame.filename, at) for at in range(frame.lineno or 0, last + 1))


def blamed(error: BaseException, names: list[str]) -> list[str]:
    """Names that the error speaks of: in its message, else on the innermost line that holds one."""
    quoted = set(re.findall(r"[\w]+", str(error)))
    if isinstance(error, TypeError | ValueError | AssertionError) and (said := [n for n in names if n in quoted]):
        return said
    for line in lines(error):
        words = set(re.findall(r"\w+", line))
        if found := [name for name in names if name in words or f"_{name}" in words]:
            return found
    return []
