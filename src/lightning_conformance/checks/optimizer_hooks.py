"""What configure_optimizers returns is read, key by key, and what overrides its hooks does their work."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from lightning_conformance.checks.registry import check
from lightning_conformance.checks.source import method_tree, return_place
from lightning_conformance.checks.verdict import Finding, NotApplicable
from lightning_conformance.recording.events_schedulers import SchedulerSeen
from lightning_conformance.recording.model import Recording, WarningSeen

_IDLE = frozenset(
    {"print", "log", "log_dict", "info", "debug", "len", "norm", "item", "append", "detach", "parameters"}
)


@check(family="optimization", since="0.2.0")
def optimizer_settings_are_read(recording: Recording) -> Iterator[Finding]:
    """Every key that `configure_optimizers` returns is one that Lightning reads.

    ## What it does
    Listens for Lightning's warning that it leaves out keys of the returned dictionary.

    ## Why is this bad
    A scheduler under a key that Lightning does not know is never stepped; `interval` beside `optimizer` has no effect.

    ## Example
    ```python
    return {"optimizer": optimizer, "scheduler": scheduler}
    ```

    ## Use instead
    ```python
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
    ```

    ## Known problems
    None.
    """
    for heard in recording.all(WarningSeen):
        match = re.search(r"unsupported keys in the [\w ]+: (.*)", heard.message)
        if match:
            keys = match[1].strip()
            made = list(recording.all(SchedulerSeen))
            yield Finding(
                f"configure_optimizers returned keys that Lightning leaves out: {keys}",
                "Only `optimizer` and `lr_scheduler` are read; `interval`, `frequency` and `monitor` belong into the "
                "dictionary under `lr_scheduler`.",
                "return {'optimizer': optimizer, 'lr_scheduler': {'scheduler': scheduler, 'interval': 'step'}}",
                return_place(recording, "configure_optimizers") or (made[0].place if made else None),
            )
            return


@check(family="optimization", severity="warning", since="0.2.0")
def gradient_clipping_clips(recording: Recording) -> Iterator[Finding]:
    """An overridden `configure_gradient_clipping` clips.

    ## What it does
    Looks whether the override calls anything that could change a gradient.

    ## Why is this bad
    The Trainer's `gradient_clip_val` goes through this hook: an override that does not clip makes it void.

    ## Example
    ```python
    def configure_gradient_clipping(self, optimizer, gradient_clip_val=None, gradient_clip_algorithm=None):
        print(gradient_clip_val)
    ```

    ## Use instead
    ```python
    def configure_gradient_clipping(self, optimizer, gradient_clip_val=None, gradient_clip_algorithm=None):
        self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
    ```

    ## Known problems
    The code is read, not run: a method that it calls is believed to clip.
    """
    method = recording.methods.get("configure_gradient_clipping")
    tree = method_tree(method) if method else None
    if method is None or tree is None:
        raise NotApplicable("configure_gradient_clipping is not overridden")
    calls = {getattr(n.func, "attr", getattr(n.func, "id", "")) for n in ast.walk(tree) if isinstance(n, ast.Call)}
    assigns = any(isinstance(n, (ast.AugAssign, ast.Assign)) and "grad" in ast.unparse(n) for n in ast.walk(tree))
    raises = any(isinstance(n, ast.Raise) for n in ast.walk(tree))
    if not assigns and not raises and calls <= _IDLE:
        yield Finding(
            "the overridden configure_gradient_clipping changes no gradient.",
            "Trainer(gradient_clip_val=...) goes through this hook, and then has no effect.",
            "self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)",
            method.place,
            "warning",
        )
