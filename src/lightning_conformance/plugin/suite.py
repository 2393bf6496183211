"""The shipped suite, and the two ways to ask for it in one's own tests: decorate a function, inherit a class."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import pytest

from lightning_conformance.plugin.state import state_of

if TYPE_CHECKING:
    from lightning_conformance.plugin.bound import BoundCheck
    from lightning_conformance.subjects.subject import Subject

Test = TypeVar("Test", bound=Callable[..., Any])


def conforms(lightning_check: BoundCheck) -> None:
    """The test behind every conformance item."""
    __tracebackhide__ = True
    lightning_check()


class LightningConformance:
    """Inherit this class in a test module to check one LightningModule there.

    Attributes:
        module: The class, a function that returns a module, or a target (``"path:Class"``).
        init: Constructor arguments by name.
        batch: A batch spec, a target, a batch, or a function that returns one; None to infer it.
        train_loss: Name under which the training loss is logged; None for the configured one.
        val_batch: What ``validation_step`` takes, where it is no batch of ``training_step``.
    """

    module: ClassVar[Any] = None
    init: ClassVar[Mapping[str, Any]] = {}
    batch: ClassVar[Any] = None
    train_loss: ClassVar[str | None] = None
    val_batch: ClassVar[Any] = None

    def test_conforms(self, lightning_check: BoundCheck) -> None:
        """One check; parametrized over environments and checks."""
        __tracebackhide__ = True
        lightning_check()


def parametrize_with_checks(modules: Sequence[Any]) -> Callable[[Test], Test]:
    """Parametrize a test function over modules, environments and checks.

    The function takes the fixture ``lightning_check`` and calls it:

    >>> @parametrize_with_checks([Classifier, lambda: Regressor(features=3)])
    ... def test_conforms(lightning_check):
    ...     lightning_check()

    Args:
        modules: LightningModule classes, functions that return a module, instances, targets
            (``"path:Class"``), or :class:`~lightning_conformance.subjects.subject.Subject` objects.
    """

    def decorate(function: Test) -> Test:
        function._lightning_modules = tuple(modules)  # type: ignore[attr-defined]
        return function

    return decorate


def suite_subjects(metafunc: pytest.Metafunc) -> list[Subject]:
    """The subjects that a decorated function or an inheriting class names; empty for any other test."""
    default = state_of(metafunc.config).settings.train_loss
    cls = metafunc.cls
    if cls is not None and issubclass(cls, LightningConformance) and cls.module is not None:
        loss = cls.train_loss or default
        target = cls.__dict__.get("module", cls.module)
        target = target.__func__ if isinstance(target, staticmethod) else target
        batch, val_batch = (_plain(cls.__dict__.get(name, getattr(cls, name))) for name in ("batch", "val_batch"))
        return [as_subject(target, metafunc.config, loss, dict(cls.init), batch, val_batch)]
    modules = getattr(metafunc.function, "_lightning_modules", ())
    return [as_subject(module, metafunc.config, default) for module in modules]


def _plain(value: Any) -> Any:
    return value.__func__ if isinstance(value, staticmethod) else value


def as_subject(
    module: Any,
    config: pytest.Config,
    train_loss: str,
    init: Mapping[str, Any] | None = None,
    batch: Any = None,
    val_batch: Any = None,
) -> Subject:
    """A subject for whatever names a module."""
    from lightning_conformance.subjects.subject import Subject, SubjectOptions
    from lightning_conformance.subjects.target import parse_target

    if isinstance(module, Subject):
        return module
    target = parse_target(module, config.rootpath) if isinstance(module, str) else module
    guess = state_of(config).settings.guess
    options = SubjectOptions(init or {}, "", batch, train_loss, guess=guess, val_batch=val_batch)
    return Subject(target, options, config.rootpath)
