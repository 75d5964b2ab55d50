"""Granite 4 (IBM 2025): Mamba-2 layers, some layers of attention without positions, experts beside a
part that every position uses; each sum has a factor of its own."""

from mamba import mamba2, mamba2_weights
from parts import *

SIZES = {"architectures": ["GraniteMoeHybridForCausalLM"], "model_type": "granitemoehybrid",
         "vocab_size": 61, "hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4,
         "num_key_value_heads": 2, "layer_types": ["mamba", "attention", "mamba"],
         "mamba_n_heads": 6, "mamba_d_head": 8, "mamba_n_groups": 1, "mamba_d_state": 5,
         "mamba_d_conv": 4, "mamba_expand": 2, "mamba_conv_bias": True, "mamba_proj_bias": False,
         "embedding_multiplier": 3.0, "attention_multiplier": 0.25, "residual_multiplier": 0.4,
         "logits_scaling": 0.5, "rms_norm_eps": 1e-5, "max_position_embeddings": 64,
         "position_embedding_type": "nope", "tie_word_embeddings": True}

CHECKPOINTS = {
    "granite4": {**SIZES, "num_local_experts": 4, "num_experts_per_tok": 2, "intermediate_size": 6,
                 "shared_intermediate_size": 10},
    "granite4-dense": {**SIZES, "num_local_experts": 0, "num_experts_per_tok": 0,
                       "intermediate_size": 32, "shared_intermediate_size": 32,
                       "num_hidden_layers": 2, "layer_types": ["attention", "mamba"]},
}


def weights(c, w):
    C, H, G = c["hidden_size"], c["num_attention_heads"], c["num_key_value_heads"]
    D, E = C // H, c["num_local_experts"]
    w.draw("model.embed_tokens.weight", c["vocab_size"], C, spread=0.3)
    for l, kind in enumerate(c["layer_types"]):
        p = f"model.layers.{l}."
        w.scale(p + "input_layernorm.weight", C)
        w.scale(p + "post_attention_layernorm.weight", C)
        if kind == "mamba":
            mamba2_weights(w, p + "mamba.", C, c["mamba_n_heads"] * c["mamba_d_head"],
                           c["mamba_n_heads"], 2 * c["mamba_n_groups"] * c["mamba_d_state"],
                           c["mamba_d_conv"])
        else:
            for name, rows in (("q", H * D), ("k", G * D), ("v", G * D)):
                w.draw(f"{p}self_attn.{name}_proj.weight", rows, C)
            w.draw(p + "self_attn.o_proj.weight", C, H * D)
        if E:
            F = c["intermediate_size"]
            w.draw(p + "block_sparse_moe.router.layer.weight", E, C)
            w.draw(p + "block_sparse_moe.input_linear.weight", E, 2 * F, C)
            w.draw(p + "block_sparse_moe.output_linear.weight", E, C, F)
        S = c["shared_intermediate_size"]
        w.draw(p + "shared_mlp.input_linear.weight", 2 * S, C)
        w.draw(p + "shared_mlp.output_linear.weight", C, S)
    w.scale("model.norm.weight", C)


def gated(x, into, out):
    gate, up = np.split(x @ into.T, 2, axis=-1)
    return (silu(gate) * up) @ out.T


def logits(c, w, tokens):
    H, G, eps, r = (c[k] for k in ("num_attention_heads", "num_key_value_heads", "rms_norm_eps",
                                   "residual_multiplier"))
    x = w["model.embed_tokens.weight"][tokens] * c["embedding_multiplier"]
    for l, kind in enumerate(c["layer_types"]):
        p = f"model.layers.{l}."
        n = rms_norm(x, w[p + "input_layernorm.weight"], eps)
        if kind == "mamba":
            a = mamba2(w, n, p + "mamba.", c["mamba_n_heads"], c["mamba_d_head"],
                       c["mamba_n_groups"], c["mamba_d_state"], eps)
        else:
            q, k, v = (heads(n @ w[f"{p}self_attn.{name}_proj.weight"].T, h)
                       for name, h in (("q", H), ("k", G), ("v", G)))
            a = attend(q, k, v, c["attention_multiplier"]) @ w[p + "self_attn.o_proj.weight"].T
        x = x + r * a
        n = rms_norm(x, w[p + "post_attention_layernorm.weight"], eps)
        y = gated(n, w[p + "shared_mlp.input_linear.weight"], w[p + "shared_mlp.output_linear.weight"])
        if c["num_local_experts"]:
            m = p + "block_sparse_moe."
            for t, row in enumerate(n @ w[m + "router.layer.weight"].T):
                chosen = np.argsort(-row)[:c["num_experts_per_tok"]]
                for e, share in zip(chosen, softmax(row[chosen])):
                    y[t] += share * gated(n[t], w[m + "input_linear.weight"][e],
                                          w[m + "output_linear.weight"][e])
        x = x + r * y
    x = rms_norm(x, w["model.norm.weight"], eps)
    return x @ w["model.embed_tokens.weight"].T / c["logits_scaling"]
