# ruff: noqa: UP006, UP007, UP035, UP045  (annotations as users of every age write them)
from __future__ import annotations

import argparse
import dataclasses
import enum
import functools
import json
import shlex
import sys
import textwrap
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple, Union

import pytest
import torch
from torch import nn

from lightning_conformance.errors import SubjectError, UsageError
from lightning_conformance.lightning_api import installed_packages
from lightning_conformance.subjects.arguments import parse_init
from lightning_conformance.subjects.config import configured_class, load_config
from lightning_conformance.subjects.construct import Constructor
from lightning_conformance.subjects.importing import preserved_sys_path
from lightning_conformance.subjects.parameters import parameters
from lightning_conformance.subjects.target import parse_target
from lightning_conformance.subjects.tracebacks import user_traceback

PACKAGES = installed_packages()


class Color(enum.Enum):
    RED = 1


@dataclasses.dataclass
class Sizes:
    hidden: int
    dropout: float = 0.5
    name: str = "plain"


class Encoder(nn.Module):
    def __init__(self, width: int, depth: int = 1):
        super().__init__()
        self.width, self.depth = width, depth
        self.weight = nn.Parameter(torch.rand(3))


class Exploding(nn.Module):
    def __init__(self):
        raise RuntimeError("no encoder today")


OptimizerCallable = Callable[[Any], torch.optim.Optimizer]


@functools.cache
def make_class(package):
    """A LightningModule of one of the packages with every kind of parameter."""

    class Parent(package.LightningModule):
        def __init__(self, parent_size: int = 1):
            super().__init__()
            self.parent_size = parent_size

    class Model(Parent):
        def __init__(
            self,
            n: int = 1,
            rate: float = 0.1,
            flag: bool = False,
            text: str = "a",
            untyped=None,
            anything: Any = None,
            either: Union[int, str] = 1,
            shape: Tuple[int, ...] = (1,),
            color: Color = Color.RED,
            path: Path = Path(),
            dtype: torch.dtype = torch.float32,
            table: Optional[Dict[str, Any]] = None,
            hparams_like: argparse.Namespace = None,
            sizes: Optional[Sizes] = None,
            encoder: Optional[nn.Module] = None,
            encoders: List[nn.Module] = (),
            activation: Callable[[torch.Tensor], torch.Tensor] = torch.relu,
            optimizer: OptimizerCallable = torch.optim.Adam,
            nonsense: NoSuchType = None,  # noqa: F821
            tensor: Optional[torch.Tensor] = None,
            **kwargs,
        ):
            given = dict(locals())
            super().__init__(**kwargs)
            self.given = {key: value for key, value in given.items() if key not in ("self", "__class__")}

    return Model


@pytest.fixture(params=PACKAGES, ids=str)
def package(request):
    return request.param


@pytest.fixture
def Model(package):
    return make_class(package)


def user_module(tmp_path, package, source: str, name: str = "Model"):
    """A target in a user's file; ``pl`` is the package under test."""
    path = tmp_path / "user_code.py"
    path.write_text(f"import {package.name} as pl\n" + textwrap.dedent(source), "utf-8")
    with preserved_sys_path():
        obj = parse_target(f"user_code.py:{name}", tmp_path).resolve()
    sys.modules.pop("user_code", None)
    return obj


def failure(constructor) -> SubjectError:
    with pytest.raises(SubjectError) as caught:
        constructor()
    assert caught.value.stage == "construct"
    return caught.value


def refused(texts, obj) -> str:
    with pytest.raises(UsageError) as caught:
        parse_init(texts, obj)
    return str(caught.value)


TYPED = [
    (["n=3"], {"n": 3}),
    (["n=3", "n=4"], {"n": 4}),
    (["rate=1e-3"], {"rate": 0.001}),
    (["rate=-1"], {"rate": -1.0}),
    (["flag=true"], {"flag": True}),
    (["text=123"], {"text": "123"}),
    (["text=a=b"], {"text": "a=b"}),
    (["text=true"], {"text": "true"}),
    (["untyped=1e-3"], {"untyped": 0.001}),
    (["untyped=abc"], {"untyped": "abc"}),
    (["untyped=[1, 2]"], {"untyped": [1, 2]}),
    (["untyped.lr=0.1", "untyped.net.width=3"], {"untyped": {"lr": 0.1, "net": {"width": 3}}}),
    (["anything=2"], {"anything": 2}),
    (["either=3"], {"either": 3}),
    (["either=x"], {"either": "x"}),
    (["shape=[3, 4]"], {"shape": (3, 4)}),
    (["table.lr=0.1", "table.deep.x=3"], {"table": {"lr": 0.1, "deep": {"x": 3}}}),
    (['{"n": 3, "untyped": "123"}'], {"n": 3, "untyped": "123"}),
    (['{"table": {"a": 1}}', "table.b=2"], {"table": {"a": 1, "b": 2}}),
    (["sizes.hidden=3", "sizes.name=12"], {"sizes": {"hidden": 3, "dropout": 0.5, "name": "12"}}),
    (["parent_size=7"], {"parent_size": 7}),
    (["nonsense=3"], {"nonsense": 3}),
]


@pytest.mark.parametrize(("texts", "expected"), TYPED, ids=[" ".join(texts) for texts, _ in TYPED])
def test_plain_values_are_typed_by_the_annotations(Model, texts, expected):
    assert parse_init(texts, Model) == expected
    assert Constructor(Model, init=parse_init(texts)).init == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("color=RED", Color.RED),
        ("path=/some/where", Path("/some/where")),
        ("dtype=torch.float16", torch.float16),
        ("shape=[3, 4]", (3, 4)),
        ("activation=torch.tanh", torch.tanh),
        ("hparams_like.lr=0.1", argparse.Namespace(lr=0.1)),
        ("sizes.hidden=3", Sizes(3)),
        ("nonsense=abc", "abc"),
    ],
)
def test_values_that_are_no_plain_data_reach_the_constructor_as_objects(Model, text, expected):
    module = Constructor(Model, init=parse_init([text], Model))()
    assert module.given[text.partition("=")[0].partition(".")[0]] == expected


@pytest.mark.parametrize(
    "texts",
    [
        [f"encoder={__name__}.Encoder", "encoder.width=3", "encoder.depth=2"],
        [f"encoder.class_path={__name__}.Encoder", "encoder.init_args.width=3", "encoder.init_args.depth=2"],
        [json.dumps({"encoder": {"class_path": f"{__name__}.Encoder", "init_args": {"width": 3, "depth": 2}}})],
    ],
    ids=["dotted", "class_path", "json"],
)
def test_an_object_is_written_as_a_class_path_and_made_anew_each_time(Model, texts):
    constructor = Constructor(Model, init=parse_init(texts, Model))
    first, second = constructor().given["encoder"], constructor().given["encoder"]
    assert (type(first), first.width, first.depth) == (Encoder, 3, 2)
    assert not torch.equal(first.weight, second.weight)


def test_an_optimizer_callable_makes_the_optimizer(Model):
    make = Constructor(Model, init=parse_init(["optimizer=torch.optim.SGD"], Model))().given["optimizer"]
    assert type(make([nn.Parameter(torch.zeros(1))])) is torch.optim.SGD


def test_an_object_from_python_is_copied_for_each_instance(Model):
    encoder = Encoder(3)
    constructor = Constructor(Model, init={"encoder": encoder, "n": 2})
    first, second = constructor().given, constructor().given
    assert first["n"] == 2
    assert first["encoder"].width == 3
    assert len({id(encoder), id(first["encoder"]), id(second["encoder"])}) == 3


def test_a_python_value_that_contradicts_its_annotation_is_passed_on(Model):
    assert Constructor(Model, init={"n": "two"})().given["n"] == "two"


def test_constructing_does_not_change_the_arguments(Model):
    init = parse_init([json.dumps({"encoders": [{"class_path": "torch.nn.Identity"}]})], Model)
    constructor = Constructor(Model, init=init)
    constructor()
    assert type(constructor().given["encoders"][0]) is nn.Identity
    assert constructor.init == {"encoders": [{"class_path": "torch.nn.Identity"}]}


@pytest.mark.parametrize(
    "texts",
    [
        ["n=3", "rate=0.5"],
        ["text=123", "either=x y"],
        ["table.lr=0.1", "shape=[3]"],
        ["color=RED", "activation=torch.tanh"],
        ["text=it's"],
        ["untyped=null", "flag=true"],
    ],
)
def test_the_description_can_be_pasted_back(Model, texts):
    init = parse_init(texts, Model)
    words = shlex.split(Constructor(Model, init=init).describe())
    assert words[::2] == ["--lightning-init"] * len(init)
    assert parse_init(words[1::2], Model) == init


def test_what_cannot_be_pasted_is_described_by_its_type(Model):
    assert Constructor(Model, init={"encoder": Encoder(3)}).describe() == "--lightning-init 'encoder=<Encoder>'"


def test_the_description_of_no_arguments_is_empty(Model):
    assert Constructor(Model).describe() == ""
    assert Constructor(Model, init={"rate": 0.1}).describe() == "--lightning-init rate=0.1"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("n=x", "The argument n takes int; 'x' is not one."),
        ("rate=fast", "The argument rate takes float; 'fast' is not one."),
        ("color=BLUE", "takes test_construct.Color; 'BLUE' is not one."),
        ("encoder=no.such.Class", "takes Optional[torch.nn.Module]; 'no.such.Class' is not one."),
        ("sizes.hiden=3", "hiden"),
        ('{"n": "x"}', "takes int"),
        ("parent_size=x", "The argument parent_size takes int"),
        ("pasent_size=1", "Did you mean `parent_size`? It takes n, rate,"),
        ("n", "is not a constructor argument"),
        ("=3", "is not a constructor argument"),
        ("{n: 3", "is not a JSON object"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(Model, text, says):
    assert says in refused([text], Model)


def test_written_scalars_are_refused_by_the_constructor_too(Model):
    with pytest.raises(UsageError, match="The argument n takes int"):
        Constructor(Model, init=parse_init(["n=x"]))
    with pytest.raises(UsageError, match="takes no argument `m`"):
        Constructor(Model, init={"m": 1})


def test_keywords_that_cannot_be_followed_are_passed_on(tmp_path, package):
    source = """
        class Model(pl.LightningModule):
            def __init__(self, **kwargs):
                super().__init__()
                self.given = kwargs
    """
    cls = user_module(tmp_path, package, source)
    assert Constructor(cls, init=parse_init(["lr=0.1"], cls))().given == {"lr": 0.1}


def test_a_class_without_a_constructor_takes_no_arguments(tmp_path, package):
    cls = user_module(tmp_path, package, "class Model(pl.LightningModule): ...")
    assert "It takes no arguments." in refused(["lr=0.1"], cls)
    assert isinstance(Constructor(cls)(), cls)


def test_missing_arguments_are_listed_with_the_options_to_type(tmp_path, package):
    source = """
        from torch import nn
        class Parent(pl.LightningModule):
            def __init__(self, depth: int, width=3):
                super().__init__()
        class Model(Parent):
            def __init__(self, num_classes: int, encoder: nn.Module, labels: "list[str]", other, lr=1, **kw):
                super().__init__(**kw)
    """
    cls = user_module(tmp_path, package, source)
    error = failure(Constructor(cls, label="user_code.py:Model", init={"other": 1}))
    listed = [line.split(maxsplit=1) for line in error.message.splitlines()[1:]]
    types = [
        ["num_classes", "int"],
        ["encoder", "torch.nn.Module"],
        ["labels", "list[str]"],
        ["depth", "int"],
    ]
    assert listed == types
    assert "--lightning-init num_classes=<int> --lightning-init encoder=<torch.nn.Module>" in error.advice
    assert "def make_module(): return Model(num_classes=..., encoder=..., labels=..., depth=...)" in error.advice
    assert "--lightning-module=user_code.py:make_module" in error.advice
    assert "path/to/file.py:make_module" in failure(Constructor(cls, label="installed.package:Model")).advice
    assert "other        no annotation" in failure(Constructor(cls)).message


def test_a_constructor_that_raises_names_the_users_line(tmp_path, package):
    source = """
        class Model(pl.LightningModule):
            def __init__(self, n: int = 0):
                super().__init__()
                1 / n
    """
    cls = user_module(tmp_path, package, source)
    error = failure(Constructor(cls, label="user_code.py:Model"))
    assert "user_code.py:Model cannot be constructed: ZeroDivisionError: division by zero" in error.message
    assert "user_code.py:6)" in error.message
    text = user_traceback(error.cause)
    assert text.count("  File ") == 1
    assert "1 / n" in text
    assert "lightning_conformance" not in text


def test_a_wrong_call_shows_no_frame_of_the_kit(tmp_path, package):
    source = """
        class Model(pl.LightningModule):
            def __init__(self, **kwargs):
                super().__init__(**kwargs)
    """
    cls = user_module(tmp_path, package, source)
    error = failure(Constructor(cls, init={"nosuch": 1}))
    assert "unexpected keyword argument" in error.message
    assert "lightning_conformance" not in user_traceback(error.cause)


def test_an_argument_that_cannot_be_made_is_a_failure_to_construct(Model):
    error = failure(Constructor(Model, init=parse_init([f"encoder={__name__}.Exploding"])))
    assert "no encoder today" in error.message
    assert "lightning_conformance" not in user_traceback(error.cause)


def test_a_factory_and_other_callables_make_modules(Model):
    def make(n: int, **kwargs):
        return Model(n, **kwargs)

    assert Constructor(make, init=parse_init(["n=3", "text=5"], make))().given["n"] == 3
    assert Constructor(functools.partial(Model, n=5))().given["n"] == 5
    assert Constructor(lambda: Model(7))().given["n"] == 7
    assert "n  int" in failure(Constructor(make)).message


@pytest.mark.parametrize("made", [None, nn.Linear(2, 2), "class"], ids=["None", "network", "class"])
def test_a_factory_of_something_else_is_told_what_it_returned(Model, made):
    made = Model if made == "class" else made
    words = {type(None): "returned None", nn.Linear: "returned a torch.nn.Module (Linear)"}
    message = failure(Constructor(lambda: made, label="user.py:make")).message
    assert words.get(type(made), "returned ") in message
    assert message.endswith("not a LightningModule.")


def test_an_instance_is_copied_as_it_was_given(Model):
    instance = Model()
    instance.weight = nn.Parameter(torch.zeros(2))
    constructor = Constructor(instance)
    with torch.no_grad():
        instance.weight += 1
        constructor().weight.add_(5)
    copied = constructor()
    assert copied is not instance
    assert copied.weight.tolist() == [0, 0]
    assert parameters(instance) == []


def test_an_instance_that_cannot_be_copied_asks_for_a_factory(Model):
    instance = Model()
    instance.cached = torch.zeros(2, requires_grad=True) * 2
    error = failure(lambda: Constructor(instance, label="user.py:instance"))
    assert "factory function" in error.advice
    assert "def make_module(): return Model(...)" in error.advice


def test_an_instance_takes_no_arguments(Model):
    with pytest.raises(UsageError, match="is an instance: it takes no constructor arguments"):
        Constructor(Model(), init={"n": 1})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("class_path: a.B\ninit_args: {lr: 1e-3}", ("a.B", {"lr": 0.001})),
        ("class_path: a.B", ("a.B", {})),
        ("init_args: {n: 1}", (None, {"n": 1})),
        ("seed_everything: 1\nmodel: {class_path: a.B, init_args: {n: 1}}\ntrainer: {}", ("a.B", {"n": 1})),
        ("model: {n: 1}", (None, {"n": 1})),
        ("model: a.B", ("a.B", {})),
    ],
)
def test_a_configuration_in_the_form_of_lightning_cli(tmp_path, text, expected):
    path = tmp_path / "config.yaml"
    path.write_text(text, "utf-8")
    assert load_config(path) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "cannot be read: No such file"),
        ("a: [", "is not YAML"),
        ("- a", "has no `class_path`"),
        ("", "has no `class_path`"),
        ("trainer: {}", "has no `class_path`"),
        ("class_path: a.B\ninit_args: [1]", "has no `class_path`"),
    ],
)
def test_a_configuration_that_says_nothing_is_refused(tmp_path, text, says):
    path = tmp_path / "config.yaml"
    if text is not None:
        path.write_text(text, "utf-8")
    with pytest.raises(UsageError, match=says):
        load_config(path)


def test_a_configured_class_is_the_targets_own_or_a_subclass(tmp_path, package, monkeypatch):
    source = """
        class Model(pl.LightningModule): ...
        class Special(Model): ...
        class Other(pl.LightningModule): ...
    """
    cls = user_module(tmp_path, package, source)
    monkeypatch.setitem(sys.modules, "user_code", module := sys.modules.get("user_code") or _again(tmp_path))
    cls = module.Model
    for same in (None, "Model", "user_code.Model"):
        assert configured_class(cls, same) is cls
    assert configured_class(cls, "user_code.Special") is module.Special
    for other in ("user_code.Other", "user_code.Gone", "nowhere.at.all.Model"):
        with pytest.raises(UsageError, match="class_path"):
            configured_class(cls, other)


def _again(tmp_path):
    with preserved_sys_path():
        return sys.modules[parse_target("user_code.py:Model", tmp_path).resolve().__module__]


CLASS_METHODS = """
    class Model(pl.LightningModule):
        def __init__(self, width: int, rate: float = 0.1, name: str = "a"):
            super().__init__()
            self.given = (width, rate, name)

        @classmethod
        def small(cls, **kwargs):
            return cls(width=2, **kwargs)

        @classmethod
        def from_config(cls, config: dict, name: str):
            return cls(config["width"], config["rate"], name)

        @staticmethod
        def made(width: int):
            return Model(width)

    def make(rate: float, **kwargs):
        return Model(3, rate, **kwargs)
    """


@pytest.mark.parametrize(
    ("name", "texts", "expected"),
    [
        ("Model.small", [], (2, 0.1, "a")),
        ("Model.small", ["rate=1", "name=7"], (2, 1.0, "7")),
        ("Model.from_config", ["config.width=4", "config.rate=1e-2", "name=3"], (4, 0.01, "3")),
        ("Model.made", ["width=5"], (5, 0.1, "a")),
        ("make", ["rate=2", "name=1"], (3, 2.0, "1")),
    ],
)
def test_class_methods_and_factories_take_typed_arguments_through_their_keywords(
    tmp_path, package, monkeypatch, name, texts, expected
):
    user_module(tmp_path, package, CLASS_METHODS, name)
    # As in a run, where the user's file stays imported: keywords are followed through its names.
    monkeypatch.setitem(sys.modules, "user_code", module := _again(tmp_path))
    obj = functools.reduce(getattr, name.split("."), module)
    given = Constructor(obj, init=parse_init(texts, obj))().given
    assert given == expected
    assert list(map(type, given)) == [int, float, str]


def test_a_class_method_without_its_arguments_lists_them(tmp_path, package):
    obj = user_module(tmp_path, package, CLASS_METHODS, "Model.from_config")
    error = failure(Constructor(obj, label="user_code.py:Model.from_config"))
    assert "config  dict" in error.message
    assert "--lightning-init config=<dict> --lightning-init name=<str>" in error.advice
    assert "Model.from_config(config=..., name=...)" in error.advice


def test_a_configuration_that_is_given_can_be_read_by_attribute(tmp_path, package):
    source = """
        class Model(pl.LightningModule):
            def __init__(self, cfg, table=None):
                super().__init__()
                self.given = (cfg.model.width, cfg["model"]["width"], vars(cfg)["lr"], isinstance(cfg, dict), table)
    """
    cls = user_module(tmp_path, package, source)
    texts = ["cfg.model.width=4", "cfg.lr=0.1", "table.a=1"]
    given = Constructor(cls, init=parse_init(texts, cls))().given
    assert given == (4, 4, 0.1, True, {"a": 1})
    assert type(given[-1]) is dict
