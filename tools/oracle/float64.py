"""A model whose every step is computed in float64.

Modules of transformers turn to float32 inside norms, softmax, rotary angles and routers whatever the model's own type is:
`x.float()`, `.to(torch.float32)`, `softmax(..., dtype=torch.float32)`. Within this mode every such request means float64,
and a float32 tensor that turns up all the same is an error. What a model rounds to 16 bits on purpose (ALiBi) stays so.
"""

import contextlib

import torch
from torch.overrides import TorchFunctionMode, resolve_name
from torch.utils._pytree import tree_leaves, tree_map


class Float64(TorchFunctionMode):
    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function is torch.Tensor.float:
            function = torch.Tensor.double
        args, kwargs = tree_map(widened, (args, kwargs or {}))
        result = function(*args, **kwargs)
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor) and leaf.dtype in (torch.float32, torch.complex64):
                raise AssertionError(f"{resolve_name(function)} computed in {leaf.dtype}")
        return result


def widened(value):
    return torch.float64 if value is torch.float32 else value


@contextlib.contextmanager
def float64():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with Float64():
            yield
    finally:
        torch.set_default_dtype(before)
