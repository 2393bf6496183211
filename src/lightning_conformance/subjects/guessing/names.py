"""What an argument's name says about its value."""

from __future__ import annotations

import re
from typing import Any

from lightning_conformance.subjects.guessing.slots import SIZES

_F, _H, _L, _C = SIZES["features"], SIZES["hidden"], SIZES["latent"], SIZES["classes"]

# The first pattern that matches the whole name decides; `_` at a border of words is optional.
INTEGERS: list[tuple[str, tuple[int, ...]]] = [
    (r"(nb|num|n)?_?(class|classes|labels?|categor(y|ies)|cls|targets?|outputs?|actions?)(_num|_count)?", (_C, 1, 2)),
    (r"(out|output|target|label|action|act|y)_?(dims?|size|features|num|shape|n)|.*_out|out", (_C, 1, _F)),
    (r"(in|input|img|image|num|n|nb|x)?_?(channels?|chans|ch|nc)(_in)?|c_in|in_c|.*_in_channels", (3, 1, _F)),
    (r"out(put)?_(channels?|ch|chans)|c_out|.*_out_channels", (_C, 3, 1)),
    (r"(in|input|x|obs|observation|state|num|n|nb|data|raw)_?(dims?|size|features?|feats?|num|shape|n|d)", (_F, 3)),
    (r"(n|num)_(inputs?|vars?|variables|columns)|feature_?(size|dims?)|.*_in|dim_in|features|feats|.*input_dim", (_F,)),
    (r"nz|(latent|z|code|bottleneck|noise|zdim|style)_?(dims?|size|features|channels)?", (_L,)),
    (
        r"(hidden|hid|h|model|d|emb|embed|embedding|ff|ffn|mlp|feedforward|inner|proj|projection)_?"
        r"(dims?|size|units|features|channels|width|nodes|model|ff|h|hid|n)?|.*(hidden|embed|embedding)_?(dims?|size)"
        r"|(n|num)_?(hidden|units|hid)|width|units|base_?(channels|filters|width)?|n_?filters|num_filters|nf|ngf|ndf|dim|.*_channels",
        (_H,),
    ),
    (r"(n|num|nb)?_?(attn_|attention_)?n?heads?", (2,)),
    (r"(n|num|nb)?_?(\w+_)?(layers?|blocks?|depth|stages|levels|stacks|hidden_layers)|depth", (2,)),
    (
        r"(\w+_)?(vocab|vocabulary)(_size)?|(n|num)_(embeddings?|tokens?|items?|users?|words?|symbols|entities|nodes)"
        r"|n_?tokens?|vocab_?size|codebook_size",
        (SIZES["vocabulary"],),
    ),
    (
        r"(max_?)?(seq|sequence|context|block|src|tgt|input|window|horizon|prediction|pred|lookback|history|text|time)?_?"
        r"(len|length|size|steps|horizon|window)|seq_?len|t_in|horizon|lookback|max_len(gth)?",
        (SIZES["length"],),
    ),
    (r"(pad|padding|ignore)_?(idx|index|token|id|token_id)?", (0,)),
    (r"(sos|bos|cls|start)_?(idx|index|token|id|token_id)", (1,)),
    (r"(eos|sep|end|mask|unk)_?(idx|index|token|id|token_id)", (2,)),
    (r"(img|image|input|crop|spatial)_?(size|dim|res|resolution|width|height)|resolution|height|h|w|size", (32,)),
    (r"patch_?size", (4,)),
    (r"kernel(_?size)?|ks", (3,)),
    (
        r"strides?|dilation|groups|expansion|reduction|factor|scale_factor|interval|.*_(interval|freq|every|every_n)",
        (1,),
    ),
    (r"(\w+_)?batch_?size|bs", (5,)),
    (r"(max_?|num_?|n_?|total_?|warm_?up_?|training_?)*(epochs?)", (2,)),
    (r"warm_?up(_?(steps?|iters?))?|patience|step_size|(lr|sched|scheduler)_step(_size)?|t_0", (2,)),
    (r"(max_?|num_?|n_?|total_?|training_?|train_?)*(steps?|iters?|iterations|updates|samples)|t_max|tmax", (10,)),
    (r"(random_?)?seed|rank|device_id|gpus?|num_workers|n_workers|workers|verbose|log_level|fold", (0,)),
    (r"dim_?feedforward|dim_?ff", (_H,)),
    (r"top_?k|k|n_critic|critic_iter(ation)?s?|accumulate.*|num_?(gpus|devices|nodes)|ndim|n_dims|order|lag", (1,)),
    (r".*_(size|dims?|units|features|channels|width|neurons)|features_\w+", (_H,)),
    (r"(n|num|nb)_\w+", (_C,)),
]
FLOATS: list[tuple[str, tuple[float, ...]]] = [
    (r"(\w+_)?(lr|learning_?rate|eta|step_?size)(_\w+)?|init_lr|max_lr|lr\w*", (1e-3,)),
    (r"(\w+_)?(weight_?decay|wd|l1|l2|l2_reg|l1_reg|decay)(_\w+)?", (1e-4,)),
    (r"(\w+_)?(dropout|drop|drop_?out)(_\w+)?|.*_(prob|drop|dropout|dropout_rate)|p|drop_?path(_rate)?", (0.1,)),
    (r"momentum|beta_?1|betas?_?1?|ema(_decay)?|decay_rate|(\w+_)?gamma|discount|polyak", (0.9,)),
    (r"beta_?2|rho", (0.999,)),
    (r"(\w+_)?eps(ilon)?", (1e-8,)),
    (r"label_?smoothing|smoothing|mask_ratio|noise(_\w+)?|(\w+_)?(ratio|fraction|pct|rate)|sigma|std", (0.1,)),
    (r"(\w+_)?(temperature|temp|tau|threshold|thresh|alpha|beta|thr)(_\w+)?", (0.5,)),
    (r"(\w+_)?(weight|lambda\w*|coef\w*|coeff|scale|margin|w|lam|factor|penalty|delta|clip\w*)(_\w+)?", (1.0,)),
]
BOOLEANS = re.compile(
    r"(use|is|with|has|do|apply|enable|add|return|log|save|freeze|fine_?tune|share|normali[sz]e|learn|train)_\w+"
    r"|pretrained|bias|verbose|debug|bidirectional|shuffle|freeze\w*|frozen|amsgrad|nesterov|residual|causal|inplace|bilinear|debug_mode|fp16"
)
STRINGS: list[tuple[str, tuple[str, ...]]] = [
    (r"(\w+_)?(optimi[sz]er|optim|opt)(_?(name|type|class|str))?", ("adam", "Adam", "sgd", "AdamW")),
    (r"(\w+_)?(loss|criterion)(_?(fn|func|function|name|type|str))?", ("mse", "ce", "cross_entropy", "bce", "l1")),
    (r"(\w+_)?(lr_?)?(scheduler|sched|schedule)(_?(name|type))?", ("none", "step", "cosine", "constant")),
    (r"(\w+_)?(activation|act|nonlinearity|act_?fn)(_?(name|type|fn))?", ("relu", "ReLU")),
    (r"monitor|(\w+_)?monitor(_metric)?|metric_to_monitor", ("train_loss",)),
    (r"mode|monitor_mode", ("min", "train")),
    (r"reduction|pool(ing)?(_\w+)?|aggregation|aggr", ("mean",)),
    (r"norm(_?(type|layer|name))?|normalization", ("batch", "layer", "batch_norm")),
    (r"task(_?(type|name))?|problem_type", ("multiclass", "classification", "regression")),
    (r"device", ("cpu",)),
    (r"padding_mode", ("zeros",)),
    (r"(\w+_)?(prefix|suffix|tag|version|run_?name|experiment(_name)?|project|name)", ("guess",)),
    (r"(\w+_)?(input|data|feature|x)_?(key|name|col|column)", ("x",)),
    (r"(\w+_)?(target|label|y)_?(key|name|col|column)", ("y",)),
]
LISTS: list[tuple[str, Any]] = [
    (r"betas", (0.9, 0.999)),
    (r"(\w+_)?(class|label)_?(names|map)|classes|labels", ["a", "b", "c", "d"]),
    (r"(\w+_)?class_?weights?|loss_?weights|weights", [1.0] * _C),
    (r"(input|img|image|in|data)_?(shape|dims?)|image_?size_?chw", (3, 32, 32)),
    (r"(img|image|crop|patch|spatial|input)_?(size|res\w*)|resolution", (32, 32)),
    (r"kernel_?sizes?|kernels", [3, 3]),
    (r"(lr_?)?milestones|steps", [1, 2]),
]


def by_name(table: list[tuple[str, tuple[Any, ...]]], name: str) -> tuple[Any, ...]:
    """The values of the first row that fits; empty where none does."""
    lowered = name.lower().strip("_")
    return next((values for pattern, values in table if re.fullmatch(pattern, lowered)), ())


def strings_by_name(path: tuple[str, ...]) -> tuple[str, ...]:
    """Words that a name may be; ``cfg.optimizer.name`` is the name of an optimizer."""
    if len(path) > 1 and path[-1].lower() in ("name", "type", "kind", "cls", "class_name"):
        outer = re.sub(r"_?(cfg|config|conf|args|params|kwargs|opts?)$", "", path[-2].lower())
        return by_name(STRINGS, outer) or by_name(STRINGS, path[-1])
    return by_name(STRINGS, path[-1])


def list_by_name(name: str) -> Any:
    """A whole list; None where the name says nothing."""
    lowered = name.lower().strip("_")
    return next((value for pattern, value in LISTS if re.fullmatch(pattern, lowered)), None)
