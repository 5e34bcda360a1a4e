"""Each head's W_Q, W_K, W_V and W_O, as transformers' own modules cut them out of their weights.

Nothing here knows how a weight is laid out. Unit vectors go through the real attention module, its bias is taken off by
sending zeros, and what the module hands to its attention function is read there, by head: row i of W_Q is what the head
makes of unit vector i. For W_O the attention function returns unit vectors, and the module's own merge and projection turn
them into rows. All vectors stand at position 0, where a rotary embedding turns nothing.

To keep the files small the last layer alone is written, and of W_Q, W_K and W_V the first 16 input dimensions.
"""

import torch
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

NAME = "unit_vectors"
INPUTS = 16


def head_weights(model):
    layers = model.base_model.h if hasattr(model.base_model, "h") else model.base_model.layers
    index = len(layers) - 1
    layer = layers[index]
    split = falcon if hasattr(layer, "self_attention") else interface
    with torch.no_grad():
        parts = split(model, layer.self_attention if split is falcon else getattr(layer, "attn", None) or layer.self_attn)
    return {f"layer.{index}.{part}.{head}": matrix if part == "O" else matrix[:INPUTS]
            for part, heads in parts.items() for head, matrix in enumerate(heads)}


def interface(model, attention):
    """Modules that call an attention function of the library's table: GPT-2, Llama, GPT-BigCode."""
    hidden, heads = model.config.hidden_size, model.config.num_attention_heads
    seen = {}

    def capture(module, query, key, value, *args, **kwargs):
        seen.update(Q=query, K=key, V=value)
        return torch.zeros(len(query), 1, heads, value.shape[-1]).double(), None

    def read(vectors):
        call(attention, vectors, model, capture)
        return {part: states[:, :, 0] for part, states in seen.items()}  # [vectors, heads, head dim]

    units, zeros = read(torch.eye(hidden).double()), read(torch.zeros(hidden, hidden).double())
    parts = {part: list((units[part] - zeros[part]).transpose(0, 1)) for part in "QKV"}
    width = units["V"].shape[-1]
    context = torch.eye(heads * width).double().view(-1, 1, heads, width)

    def project(contexts):
        return call(attention, torch.zeros(heads * width, hidden).double(), model, lambda *args, **kwargs: (contexts, None))

    rows = project(context) - project(torch.zeros_like(context))  # [heads x head dim, hidden]
    return parts | {"O": list(rows.view(heads, width, -1))}


def call(attention, vectors, model, function):
    """The module's output for vectors [n, hidden], each a sequence of one token, with `function` in attention's place."""
    ALL_ATTENTION_FUNCTIONS.register(NAME, function)
    before, model.config._attn_implementation = model.config._attn_implementation, NAME
    states = vectors[:, None]
    rotary = getattr(model.base_model, "rotary_emb", None)
    positions = torch.zeros(len(vectors), 1, dtype=torch.long)
    given = {"position_embeddings": rotary(states, positions)} if rotary else {}
    output = attention(states, attention_mask=None, **given)[0][:, 0]
    model.config._attn_implementation = before
    return output


def falcon(model, attention):
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
