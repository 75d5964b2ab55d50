"""Gemma 2 (Riviere et al. 2024): soft caps, norms around both parts, every other layer with a window.
Gemma 3 (Kamath et al. 2025): norms of queries and keys instead of caps, five layers of six with a
window and with rotary waves of their own."""

from parts import *

SIZES = {"vocab_size": 61, "hidden_size": 32, "intermediate_size": 40, "num_attention_heads": 4,
         "num_key_value_heads": 2, "head_dim": 12, "max_position_embeddings": 64,
         "rms_norm_eps": 1e-6, "query_pre_attn_scalar": 10, "sliding_window": 5,
         "hidden_activation": "gelu_pytorch_tanh"}

CHECKPOINTS = {
    "gemma2": {**SIZES, "architectures": ["Gemma2ForCausalLM"], "model_type": "gemma2",
               "num_hidden_layers": 3, "rope_theta": 10000.0, "attn_logit_softcapping": 2.0,
               "final_logit_softcapping": 3.0, "intermediate_size": 24},
    "gemma3": {**SIZES, "architectures": ["Gemma3ForCausalLM"], "model_type": "gemma3_text",
               "num_hidden_layers": 4, "intermediate_size": 16, "num_attention_heads": 2,
               "num_key_value_heads": 1, "rope_theta": 1e6, "rope_local_base_freq": 10000.0,
               "sliding_window_pattern": 3, "attn_logit_softcapping": None,
               "final_logit_softcapping": None,
               "rope_scaling": {"factor": 8.0, "rope_type": "linear"}},
}


def weights(c, w):
    C, H, G, D, F = (c[k] for k in ("hidden_size", "num_attention_heads", "num_key_value_heads",
                                    "head_dim", "intermediate_size"))
    w.draw("model.embed_tokens.weight", c["vocab_size"], C, spread=0.2)
    for l in range(c["num_hidden_layers"]):
        p = f"model.layers.{l}."
        for norm in ("input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm",
                     "post_feedforward_layernorm"):
            w.scale(p + norm + ".weight", C, around=0)
        for name, rows in (("q", H * D), ("k", G * D), ("v", G * D)):
            w.draw(f"{p}self_attn.{name}_proj.weight", rows, C)
        w.draw(p + "self_attn.o_proj.weight", C, H * D)
        if c["model_type"] == "gemma3_text":
            w.scale(p + "self_attn.q_norm.weight", D, around=0)
            w.scale(p + "self_attn.k_norm.weight", D, around=0)
        for name, rows, columns in (("gate", F, C), ("up", F, C), ("down", C, F)):
            w.draw(f"{p}mlp.{name}_proj.weight", rows, columns)
    w.scale("model.norm.weight", C, around=0)


def logits(c, w, tokens):
    eps, H, G, D = (c[k] for k in ("rms_norm_eps", "num_attention_heads", "num_key_value_heads",
                                   "head_dim"))
    third = c["model_type"] == "gemma3_text"

    # What is stored is how far the scale is from 1.
    def norm(x, name):
        return rms_norm(x, 1 + w[name + ".weight"], eps)

    def linear(x, name):
        return x @ w[name + ".weight"].T

    x = w["model.embed_tokens.weight"][tokens] * np.sqrt(c["hidden_size"])
    for l in range(c["num_hidden_layers"]):
        p = f"model.layers.{l}."
        near = (l + 1) % c["sliding_window_pattern"] != 0 if third else l % 2 == 0
        if third and near:
            f = frequencies(D, c["rope_local_base_freq"])
        elif third:
            f = frequencies(D, c["rope_theta"]) / c["rope_scaling"]["factor"]
        else:
            f = frequencies(D, c["rope_theta"])
        n = norm(x, p + "input_layernorm")
        q, k, v = (heads(linear(n, f"{p}self_attn.{name}_proj"), count)
                   for name, count in (("q", H), ("k", G), ("v", G)))
        if third:
            q, k = norm(q, p + "self_attn.q_norm"), norm(k, p + "self_attn.k_norm")
        a = attend(rotary(q, f), rotary(k, f), v, c["query_pre_attn_scalar"] ** -0.5,
                   c["sliding_window"] if near else None, c["attn_logit_softcapping"])
        x = x + norm(linear(a, p + "self_attn.o_proj"), p + "post_attention_layernorm")
        n = norm(x, p + "pre_feedforward_layernorm")
        m = linear(gelu_tanh(linear(n, p + "mlp.gate_proj")) * linear(n, p + "mlp.up_proj"),
                   p + "mlp.down_proj")
        x = x + norm(m, p + "post_feedforward_layernorm")
    out = norm(x, "model.norm") @ w["model.embed_tokens.weight"].T
    cap = c["final_logit_softcapping"]
    return cap * np.tanh(out / cap) if cap else out
