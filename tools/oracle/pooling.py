"""The K/V heads of a checkpoint pooled into one, as kvscope converts: the mean of all (Ainslie et al. 2023)."""

import torch


def mean_head(rows, kv):
    """Rows of `kv` heads, one head after the other, weights or biases or gains: those of their mean."""
    return rows.double().view(kv, rows.shape[0] // kv, *rows.shape[1:]).mean(0).float()


def pooled_apart(weights, kv):
    """Keys and values that stand apart, with what belongs to their heads."""
    own = ("k_proj.", "v_proj.", "k_norm.")
    return {key: mean_head(value, kv) if any(part in key for part in own) else value for key, value in weights.items()}


def pooled_behind(weights, kv, queries, fused):
    """Rows of a fused weight: `queries` rows of queries, then all keys, then all values."""
    def pool(rows):
        keys, values = rows[queries:].chunk(2)
        return torch.cat([rows[:queries], mean_head(keys, kv), mean_head(values, kv)])

    return {key: pool(value) if fused in key else value for key, value in weights.items()}
