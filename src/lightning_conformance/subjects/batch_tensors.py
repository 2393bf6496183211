"""Reads one tensor of the notation of batches: dtype, shape, range and form."""

from __future__ import annotations

import difflib
from dataclasses import replace

from lightning_conformance.subjects.batch_nodes import DTYPES, FORMS, Dim, Form, TensorSpec
from lightning_conformance.subjects.batch_tokens import Reader, Token

ALIASES = {
    "float32": "float",
    "float64": "double",
    "float16": "half",
    "int64": "int",
    "long": "int",
    "complex64": "complex",
}
ANY_DTYPE = "a dtype (" + ", ".join(DTYPES) + ")"
_FORMS: dict[str, Form] = {form: form for form in FORMS}


class TensorReader(Reader):
    """Reads tensors."""

    def tensor(self) -> TensorSpec:
        """A tensor, whose dtype is next."""
        token = self.advance()
        dtype = ALIASES.get(token.text, token.text)
        if dtype not in DTYPES:
            near = difflib.get_close_matches(token.text, [*DTYPES, *ALIASES], 1)
            raise self.error(ANY_DTYPE + (f"; did you mean {near[0]}?" if near else ""), token)
        self.need("[", f"'[' and the shape after {token.text}")
        spec = TensorSpec(self._shape(), dtype)
        before = self._form()
        spec = self._ranged(spec)
        form = before or self._form()
        if form is None:
            return spec
        wrong = _misplaced(_FORMS[form.text], spec)
        if wrong:
            raise self.error(wrong, form)
        return replace(spec, form=_FORMS[form.text])

    def _form(self) -> Token | None:
        is_form = self.token.kind == "name" and self.token.text in _FORMS
        return self.advance() if is_form else None

    def _shape(self) -> tuple[Dim, ...]:
        dims: list[Dim] = []
        while not self.take("]"):
            dims.append(self._dimension())
            if not self.take(","):
                self.need("]", "',' or ']'")
                break
        return tuple(dims)

    def _dimension(self) -> Dim:
        if self.is_batch_symbol():
            return self.batch_symbol()
        token = self.advance()
        if token.kind == "number" and token.text.isdigit():
            return int(token.text)
        raise self.error("a dimension: a whole number, or B for the batch dimension", token)

    def _ranged(self, spec: TensorSpec) -> TensorSpec:
        token = self.token
        if token.kind == "opaque":
            raise self.error("the number of values after '<'", token)
        if self.take("<"):
            self._needs_range(spec, token)
            return self._counted(replace(spec, whole=spec.torch_dtype.is_floating_point))
        if token.kind == "name" and token.text == "in":
            self.advance()
            self._needs_range(spec, token)
            return self._interval(spec)
        return spec

    def _needs_range(self, spec: TensorSpec, token: Token) -> None:
        if spec.torch_dtype.is_complex or spec.dtype == "bool":
            raise self.error(f"no range after {spec.dtype}", token)

    def _counted(self, spec: TensorSpec) -> TensorSpec:
        if self.is_batch_symbol():
            self.batch_symbol()
            return replace(spec, below_batch=True)
        count = self.whole("how many values there are (<10 means 0 to 9)", minimum=1)
        return replace(spec, low=0, high=count)

    def _interval(self, spec: TensorSpec) -> TensorSpec:
        token = self.token
        low = self._bound(spec)
        self.need("..", "'..' between the smallest and the largest value")
        high = self._bound(spec)
        if high < low:
            raise self.error("the smaller value first", token)
        return replace(spec, low=low, high=high + 1 if spec.is_whole else high)

    def _bound(self, spec: TensorSpec) -> float:
        if spec.is_whole:
            return self.whole("a whole number")
        if self.token.kind != "number":
            raise self.error("a number, as in `in 0..1`")
        return float(self.advance().text)


def _misplaced(form: Form, spec: TensorSpec) -> str:
    """What would be right where ``form`` cannot be; empty where it can."""
    if spec.torch_dtype.is_complex:
        return f"no {form} with {spec.dtype}"
    if not spec.shape:
        return f"a dimension for {form}"
    if form == "boxes" and (spec.shape[-1] != 4 or spec.dtype == "bool" or _span(spec) <= 0):
        return "a last dimension of 4 for boxes (x1, y1, x2, y2), and a range with room for them"
    if form == "simplex" and (spec.is_whole or spec.low is not None or spec.below_batch):
        return "floats without a range for simplex"
    is_mask = spec.is_whole and spec.low in (None, 0) and spec.high in (None, 2) and not spec.below_batch
    if form in ("prefix", "suffix") and not is_mask:
        return f"a mask for {form}: bool, or <2"
    return ""


def _span(spec: TensorSpec) -> float:
    """Between the smallest and the largest value."""
    if spec.low is None or spec.high is None:
        return 0 if spec.below_batch else 1
    return spec.high - spec.low - spec.is_whole
