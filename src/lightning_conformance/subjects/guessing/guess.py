"""One guess at a constructor's arguments, made better by what the constructor says of it."""

from __future__ import annotations

import random
import re
import time
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import torch

from lightning_conformance.subjects.arguments import option
from lightning_conformance.subjects.guessing import hints
from lightning_conformance.subjects.guessing.candidates import NOWHERE, Makers, candidates, read_candidates
from lightning_conformance.subjects.guessing.configs import guessed_config
from lightning_conformance.subjects.guessing.networks import KIND_TEXTS, KINDS, means_network, network, role_of
from lightning_conformance.subjects.guessing.outputs import marked
from lightning_conformance.subjects.guessing.slots import SIZES, Candidate, Path, Slot, WrongGuess, plain
from lightning_conformance.subjects.parameters import Parameter, parameters

MAX_ATTEMPTS = 80
MAX_SECONDS = 20.0
_DEPTH = 3
_EMBEDDING = re.compile(
    r"(\w+_)?(emb|embed|embedding|latent|feature|feat|features|hidden|encoder|backbone|z|repr|representation|encoded)_?"
    r"(dims?|size|features|out\w*|channels)?"
)
_State = tuple[dict[Path, tuple[list[Candidate], int]], dict[Path, int], dict[str, int], int]


class NotGuessed(Exception):
    """No guess: of an argument nothing is known, or the constructor refused what was tried.

    Args:
        unknown: The arguments of which nothing is known.
        tried: What was tried last, as text.
        cause: What the constructor raised.
    """

    def __init__(self, unknown: Sequence[str], tried: Sequence[str] = (), cause: BaseException | None = None) -> None:
        super().__init__(", ".join(unknown))
        self.unknown, self.tried, self.cause = tuple(unknown), tuple(tried), cause


class Guess:
    """Guessed arguments.

    Args:
        obj: The class or callable whose arguments they are.
        wanted: The parameters to guess.
        any_keyword: Whether it takes other keywords, too, which only its code knows.
        seconds: How long the whole search may take.

    Raises:
        NotGuessed: Nothing is known of an argument.
    """

    def __init__(
        self, obj: Any, wanted: Sequence[Parameter], *, any_keyword: bool = False, seconds: float = MAX_SECONDS
    ) -> None:
        self.obj, self.any_keyword = obj, any_keyword
        self.slots: dict[Path, Slot] = {}
        self.outs: dict[Path, int] = {}
        self.values: dict[Path, Any] = {}
        self.sizes = dict(SIZES)
        self.kind = 0
        self._first: _State | None = None
        self.attempts, self.ends = 0, time.monotonic() + seconds
        self._makers = Makers(obj, self._network, self._config, self._record)
        hints_of_types = _resolved(obj)
        for parameter in wanted:
            annotation = hints_of_types.get(parameter.name, parameter.annotation)
            self._add((parameter.name,), candidates((parameter.name,), annotation, self._makers))
        unknown = [parameter.name for parameter in wanted if (parameter.name,) not in self.slots]
        if unknown:
            raise NotGuessed(unknown)

    @property
    def has_network(self) -> bool:
        """Whether some argument is a network."""
        return any(slot.candidate.kind == "network" for slot in self.slots.values())

    def arguments(self) -> dict[str, Any]:
        """Fresh values by name."""
        return {path[0]: slot.candidate.make() for path, slot in list(self.slots.items()) if len(path) == 1}

    def construct(self, call: Callable[[Mapping[str, Any]], Any]) -> Any:
        """Call with guessed arguments, going on to other ones until the call succeeds.

        Raises:
            NotGuessed: It never does.
        """
        numbers, tensors = random.getstate(), torch.get_rng_state()
        while True:
            random.setstate(numbers)
            torch.set_rng_state(tensors)
            try:
                made = call(self.arguments())
            except (Exception, SystemExit, WrongGuess) as error:
                tried = self.texts()
                if not self.advance(error):
                    raise NotGuessed((), tried, error) from error
            else:
                self._first = self._first or self._state()
                return made

    def _state(self) -> _State:
        places = {path: (list(slot.candidates), slot.index) for path, slot in self.slots.items()}
        return places, dict(self.outs), dict(self.sizes), self.kind

    def restore(self) -> None:
        """Go back to the first guess with which the constructor ran."""
        if self._first is None:
            return
        places, self.outs, self.sizes, self.kind = self._first
        # Keys that were read later stay known.
        self.slots.update({path: Slot(path, found, index) for path, (found, index) in places.items()})

    def advance(self, error: BaseException | None) -> bool:
        """Change the guess in answer to an error; False where nothing is left to try."""
        self.attempts += 1
        if self.attempts > MAX_ATTEMPTS or time.monotonic() > self.ends:
            return False
        if error is None:
            return self._next_kind() or self._next_of(self._uncertain_slots())
        if isinstance(error, WrongGuess):
            return self._correct(error)
        if self._adopt_keys(error) or self._adopt_size(error):
            return True
        if hints.is_own(error) and not isinstance(error, NotImplementedError):
            return False
        return self._advance_blamed(error) or self._next_kind() or self._next_of(self._uncertain_slots())

    def texts(self) -> tuple[str, ...]:
        """What is guessed, an argument each: an option to paste where it is plain data."""
        return tuple(self._texts())

    def _texts(self) -> Iterator[str]:
        for path, slot in self.slots.items():
            if not self._is_live(path):
                continue
            candidate, name = slot.candidate, ".".join(path)
            if candidate.kind in ("mapping", "record"):
                if not any(other[: len(path)] == path and other != path for other in self.slots):
                    yield f"--lightning-init {name}={{}}"
            elif candidate.is_plain:
                yield option(name, _named_member(candidate.make()))
            else:
                yield f"{name}=<{self._described(path, candidate)}>"

    def _described(self, path: Path, candidate: Candidate) -> str:
        if candidate.kind != "network":
            return candidate.text
        kind = "vector" if role_of(path[-1]) in ("head", "decoder") and self.kind == 0 else KINDS[self.kind]
        out = f", {self.outs[path]} values out" if path in self.outs else ""
        return f"a small network: {KIND_TEXTS[kind]}{out}"

    def _is_live(self, path: Path) -> bool:
        """Whether all that a slot is part of is still a configuration or a record."""
        outer = [self.slots.get(path[:end]) for end in range(1, len(path))]
        return all(slot is None or slot.candidate.kind in ("mapping", "record") for slot in outer)

    # What candidates are made of.

    def _network(self, path: Path) -> Any:
        role = role_of(path[-1])
        made = network(role, KINDS[self.kind], self.sizes, self.outs.get(path) or self._told_out(role))
        return marked(made, path)

    def _told_out(self, role: str) -> int | None:
        """What another argument says of the values that an encoder gives."""
        for path, slot in self.slots.items():
            if role == "encoder" and slot.candidate.is_plain and _EMBEDDING.fullmatch(path[-1]):
                value = slot.candidate.make()
                return value if type(value) is int else None
        return None

    def _config(self, path: Path, values: Any) -> Any:
        self.values[path] = values
        inner = [slot for other, slot in list(self.slots.items()) if other[:-1] == path]
        return guessed_config(self._read, path, {slot.name: slot.candidate.make() for slot in inner})

    def _read(self, path: Path) -> Any:
        if path not in self.slots:
            self._add_key(path)
        return self.slots[path].candidate.make()

    def _record(self, path: Path, cls: type) -> Any:
        if len(path) > _DEPTH:
            raise NotGuessed([".".join(path)])
        types = _resolved(cls)
        values = {}
        for parameter in parameters(cls):
            inner = (*path, parameter.name)
            if not parameter.required:
                continue
            if inner not in self.slots:
                annotation = types.get(parameter.name, parameter.annotation)
                self._add(inner, candidates(inner, annotation, self._makers) or read_candidates(inner, self._makers))
            values[parameter.name] = self.slots[inner].candidate.make()
        return cls(**values)

    def _add(self, path: Path, found: list[Candidate]) -> None:
        if found:
            self.slots[path] = Slot(path, found)

    def _add_key(self, path: Path) -> None:
        values = self.values.get(path[:-1], NOWHERE)
        told = candidates(path, values, self._makers) if values is not NOWHERE else []
        self._add(path, told or read_candidates(path, self._makers))

    # Answers to an error.

    def _correct(self, wrong: WrongGuess) -> bool:
        if wrong.path is None or wrong.path not in self.slots:
            return self._next_kind()
        if wrong.wanted is None:
            return self._next_of([self.slots[wrong.path]])
        if wrong.path in self.outs:
            return self._next_kind()
        self.outs[wrong.path] = wrong.wanted
        return True

    def _adopt_keys(self, error: BaseException) -> bool:
        """Keys that were read where the configuration could not answer itself."""
        configs = [
            path for path, slot in self.slots.items() if slot.candidate.kind == "mapping" and self._is_live(path)
        ]
        outer = configs[0] if configs else () if self.any_keyword else None
        new = [(*outer, key) for key in hints.missing_keys(error)] if outer is not None else []
        new = [path for path in new if path not in self.slots]
        for path in new:
            self._add_key(path)
        return bool(new)

    def _adopt_size(self, error: BaseException) -> bool:
        """Sizes that must be one: what a network gives, or a size that was guessed."""
        found = hints.size_mismatch(error) or self._said_mismatch(error)
        if found is None:
            return False
        got, wanted = found
        for path, slot in self.slots.items():
            if slot.candidate.kind == "network" and path not in self.outs and self._out(path) == got:
                self.outs[path] = wanted
                return True
        if self.has_network:
            for name in ("features", "channels"):
                if self.sizes[name] == wanted == SIZES[name]:
                    self.sizes[name] = got
                    return True
        for slot in self._open_slots():
            if slot.candidate.is_plain and slot.candidate.make() == wanted and str((got, wanted)) not in slot.tried:
                slot.tried.append(str((got, wanted)))
                slot.replace(got)
                return True
        return False

    def _said_mismatch(self, error: BaseException) -> tuple[int, int] | None:
        """``The encoder returned 8 outputs; n_components is 4``: a network's size and an argument's, in one message."""
        numbers, words = set(re.findall(r"\d+", str(error))), set(re.findall(r"\w+", str(error)))
        outs = [self._out(path) for path, slot in self.slots.items() if slot.candidate.kind == "network"]
        plain_slots = [slot for slot in self._open_slots() if slot.candidate.is_plain and slot.name in words]
        values = [slot.candidate.make() for slot in plain_slots]
        pairs = [(out, value) for out in outs for value in values if type(value) is int and out is not None]
        return next((pair for pair in pairs if {str(pair[0]), str(pair[1])} <= numbers and pair[0] != pair[1]), None)

    def _out(self, path: Path) -> int | None:
        out = getattr(self._network(path), "out_features", None)
        return out if isinstance(out, int) else None

    def _advance_blamed(self, error: BaseException) -> bool:
        slots = self._named_by_value(error)
        names = [] if slots else hints.blamed(error, [slot.name for slot in self._open_slots()])
        slots = slots or [slot for slot in self._open_slots() if slot.name in names]
        words = hints.offered(error)
        for slot in slots:
            new = [word for word in words if word not in slot.tried]
            if new and slot.candidate.is_plain and isinstance(slot.candidate.make(), str):
                slot.tried.extend(words)
                slot.candidates[slot.index + 1 :] = [*plain(*new), *slot.candidates[slot.index + 1 :]]
        if not slots and "GuessedConfig" in str(error):
            slots = [slot for slot in self._open_slots() if slot.candidate.kind == "mapping" and len(slot.path) > 1]
        if any(slot.candidate.kind == "network" for slot in slots[:1]) and self._next_kind():
            return True
        return self._next_of(slots)

    def _named_by_value(self, error: BaseException) -> list[Slot]:
        """Slots whose word the message repeats: ``no such mode: 'guess'``."""
        words = set(re.findall(r"\w+", str(error)))
        plain_slots = [slot for slot in self._open_slots() if slot.candidate.is_plain]
        texts = [(slot, slot.candidate.make()) for slot in plain_slots if slot.index + 1 < len(slot.candidates)]
        return [slot for slot, value in texts if isinstance(value, str) and value in words]

    def _open_slots(self) -> list[Slot]:
        """Slots in use, those read last first."""
        return [slot for path, slot in self.slots.items() if self._is_live(path)][::-1]

    def _uncertain_slots(self) -> list[Slot]:
        """Slots that may be wrong though no error speaks of them: once the constructor has run, objects only."""
        certain = {"mapping", "plain"} if self._first else {"mapping"}
        return [slot for slot in self._open_slots() if slot.candidate.kind not in certain]

    def _next_of(self, slots: Sequence[Slot]) -> bool:
        return any(slot.advance() for slot in sorted(slots, key=lambda slot: slot.index))

    def _next_kind(self) -> bool:
        if not self.has_network or self.kind + 1 >= len(KINDS):
            return False
        self.kind += 1
        self.outs.clear()
        return True


def _named_member(value: Any) -> Any:
    """The name of an enumeration's member; anything else as it is."""
    name = getattr(value, "name", None)
    return name if name is not None and hasattr(type(value), "__members__") else value


def _resolved(obj: Any) -> dict[str, Any]:
    """Annotations with their strings resolved, as far as that is possible."""
    found: dict[str, Any] = {}
    for each in obj.__mro__[::-1] if isinstance(obj, type) else [obj]:
        function = vars(each).get("__init__") if isinstance(obj, type) else each
        with suppress(Exception):
            found.update(typing.get_type_hints(function))
    return found


__all__ = ["Guess", "NotGuessed", "means_network"]
