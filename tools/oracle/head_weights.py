"""Each head's W_Q, W_K, W_V and W_O, as transformers' own modules cut them out of their weights.

Nothing here knows how a weight is laid out. Unit vectors go through the real attention module, its bias is taken off by
sending zeros, and what the module hands to its attention function is read there, by head: row i of W_Q is what the head
makes of unit vector i. For W_O the attention function returns unit vectors, and the module's own merge and projection turn
them into rows. No rotary embedding turns them,
and norms of queries and keys are left out.

To keep the files small the last layer alone is written, and of W_Q, W_K and W_V the first 16 input dimensions.
"""

import contextlib
import inspect

import torch
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

NAME = "unit_vectors"
INPUTS = 16
NORMS = ("q_norm", "k_norm", "q_layernorm", "k_layernorm")


def head_weights(model):
    layers = model.base_model.h if hasattr(model.base_model, "h") else model.base_model.layers
    index = len(layers) - 1
    attention = find_attention(layers[index])
    split = falcon if hasattr(attention, "query_key_value") and hasattr(attention, "_split_heads") else interface
    with torch.no_grad(), without_norms(attention):
        parts = split(model, attention, index)
    return {f"layer.{index}.{part}.{head}": matrix if part == "O" else matrix[:INPUTS]
            for part, heads in parts.items() for head, matrix in enumerate(heads)}


def find_attention(layer):
    for name in ("self_attention", "self_attn", "attention", "attn"):
        if hasattr(layer, name):
            found = getattr(layer, name)
            # GPT-Neo wraps its attention once more.
            return getattr(found, "attention", found)
    raise AssertionError("this layer has no attention")


@contextlib.contextmanager
def without_norms(attention):
    """W_Q and W_K are what queries and keys are before they are normed."""
    norms = {name: module for name, module in attention.named_children() if name in NORMS}
    for name in norms:
        setattr(attention, name, torch.nn.Identity())
    yield
    for name, module in norms.items():
        setattr(attention, name, module)


def interface(model, attention, index):
    """Modules that hand queries, keys and values to an attention function, of the library's table or of their own."""
    hidden, heads = model.config.hidden_size, model.config.num_attention_heads
    seen = {}

    def capture(query, key, value):
        seen.update(Q=query, K=key, V=value)
        return torch.zeros(len(query), heads, value.shape[-1]).double()

    def read(vectors):
        call(model, attention, index, vectors, capture)
        return {part: states[:, :, 0] for part, states in seen.items()}  # [vectors, heads, head dim]

    units, zeros = read(torch.eye(hidden).double()), read(torch.zeros(hidden, hidden).double())
    parts = {part: list((units[part] - zeros[part]).transpose(0, 1)) for part in "QKV"}
    width = units["V"].shape[-1]
    context = torch.eye(heads * width).double().view(-1, heads, width)

    def project(contexts):
        return call(model, attention, index, torch.zeros(heads * width, hidden).double(), lambda *states: contexts)

    rows = project(context) - project(torch.zeros_like(context))  # [heads x head dim, hidden]
    return parts | {"O": list(rows.view(heads, width, -1))}


def call(model, attention, index, vectors, function):
    """The module's output for vectors [n, hidden], each a sequence of one token that no rotary embedding turns or scales, with
    `function` in attention's place: queries, keys and values [n, heads, 1, head dim] to contexts [n, heads, head dim]."""
    states = vectors[:, None]
    if hasattr(attention, "_attn"):
        attention._attn = lambda query, key, value, *rest: (function(query, key, value)[:, :, None], None)
        output = attention(states)[0][:, 0]
        del attention._attn
        return output
    ALL_ATTENTION_FUNCTIONS.register(NAME, lambda module, *qkv, **kwargs: (function(*qkv[:3])[:, None], None))
    before, model.config._attn_implementation = model.config._attn_implementation, NAME
    output = attention(states, attention_mask=None, **unturned(model, states, index))[0][:, 0]
    model.config._attn_implementation = before
    return output


def unturned(model, states, index):
    rotary = getattr(model.base_model, "rotary_emb", None)
    if rotary is None:
        return {}
    named = "layer_type" in inspect.signature(rotary.forward).parameters
    more = {"layer_type": model.config.layer_types[index]} if named else {}
    cos, sin = rotary(states, torch.zeros(len(states), 1, dtype=torch.long), **more)
    return {"position_embeddings": (torch.ones_like(cos), torch.zeros_like(sin))}


def falcon(model, attention, index):
    """Falcon computes attention in the module itself, which splits and merges heads in methods of their own."""
    hidden, heads, width = attention.hidden_size, attention.num_heads, attention.head_dim

    def read(vectors):
        return [states[:, 0] for states in attention._split_heads(attention.query_key_value(vectors[:, None]))]

    units, zeros = read(torch.eye(hidden).double()), read(torch.zeros(hidden, hidden).double())
    parts = {part: list((unit - zero).transpose(0, 1)) for part, unit, zero in zip("QKV", units, zeros)}
    # The new decoder repeats each K/V head for its query heads before it caches them.
    copies = heads // attention.num_kv_heads if attention.new_decoder_architecture else 1
    for part in "KV":
        runs = [parts[part][first : first + copies] for first in range(0, len(parts[part]), copies)]
        assert all(torch.equal(run[0], copy) for run in runs for copy in run), "copied heads differ"
        parts[part] = [run[0] for run in runs]

    def project(contexts):
        return attention.dense(attention._merge_heads(contexts))[:, 0]

    context = torch.eye(heads * width).double().view(-1, 1, width)
    rows = project(context) - project(torch.zeros_like(context))
    return parts | {"O": list(rows.view(heads, width, -1))}
