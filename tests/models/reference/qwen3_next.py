"""Qwen3-Next (Qwen team 2025): gated delta layers (Yang et al. 2024), every other one here attention with
a gate behind it, experts beside one that is always used."""

from deepseek import gated
from mamba import convolve
from parts import *
from qwen3_moe import choose

SIZES = {
    "architectures": ["Qwen3NextForCausalLM"], "model_type": "qwen3_next", "vocab_size": 61,
    "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "head_dim": 8, "partial_rotary_factor": 0.5, "rope_theta": 1e5, "rms_norm_eps": 1e-6,
    "full_attention_interval": 2, "layer_types": ["linear_attention", "full_attention"],
    "linear_conv_kernel_dim": 4, "linear_key_head_dim": 5, "linear_value_head_dim": 6,
    "linear_num_key_heads": 2, "linear_num_value_heads": 4, "num_experts": 6,
    "num_experts_per_tok": 2, "norm_topk_prob": True, "decoder_sparse_step": 1,
    "moe_intermediate_size": 6, "shared_expert_intermediate_size": 8, "intermediate_size": 32,
    "max_position_embeddings": 64, "tie_word_embeddings": False}
# llama.cpp has keys and values of one length.
CHECKPOINTS = {"qwen3-next": SIZES, "qwen3-next-even": {**SIZES, "linear_value_head_dim": 5}}


def weights(c, w):
    C, H, G, D = (c[k] for k in ("hidden_size", "num_attention_heads", "num_key_value_heads",
                                 "head_dim"))
    K, Vd = c["linear_key_head_dim"], c["linear_value_head_dim"]
    Hk, Hv = c["linear_num_key_heads"], c["linear_num_value_heads"]

    def part(p, hidden):
        for name, rows, columns in (("gate", hidden, C), ("up", hidden, C), ("down", C, hidden)):
            w.draw(f"{p}.{name}_proj.weight", rows, columns)

    w.draw("model.embed_tokens.weight", c["vocab_size"], C, spread=0.5)
    for l, kind in enumerate(c["layer_types"]):
        p = f"model.layers.{l}."
        w.scale(p + "input_layernorm.weight", C, around=0)
        w.scale(p + "post_attention_layernorm.weight", C, around=0)
        if kind == "linear_attention":
            a = p + "linear_attn."
            w.draw(a + "in_proj_qkvz.weight", 2 * Hk * K + 2 * Hv * Vd, C)
            w.draw(a + "in_proj_ba.weight", 2 * Hv, C)
            w.draw(a + "conv1d.weight", 2 * Hk * K + Hv * Vd, 1, c["linear_conv_kernel_dim"], spread=0.6)
            w.draw(a + "dt_bias", Hv, spread=0.5, around=-1)
            w.draw(a + "A_log", Hv, spread=0.7)
            w.scale(a + "norm.weight", Vd)
            w.draw(a + "out_proj.weight", C, Hv * Vd)
        else:
            a = p + "self_attn."
            for name, rows in (("q", 2 * H * D), ("k", G * D), ("v", G * D)):
                w.draw(f"{a}{name}_proj.weight", rows, C)
            w.draw(a + "o_proj.weight", C, H * D)
            w.scale(a + "q_norm.weight", D, around=0)
            w.scale(a + "k_norm.weight", D, around=0)
        w.draw(p + "mlp.gate.weight", c["num_experts"], C)
        for e in range(c["num_experts"]):
            part(f"{p}mlp.experts.{e}", c["moe_intermediate_size"])
        part(p + "mlp.shared_expert", c["shared_expert_intermediate_size"])
        w.draw(p + "mlp.shared_expert_gate.weight", 1, C)
    w.scale("model.norm.weight", C, around=0)
    w.draw("lm_head.weight", c["vocab_size"], C)


def attention(c, w, x, p):
    H, G, D, eps = (c[k] for k in ("num_attention_heads", "num_key_value_heads", "head_dim",
                                   "rms_norm_eps"))
    f = frequencies(int(D * c["partial_rotary_factor"]), c["rope_theta"])
    # A head's query and its gate stand together.
    q, gate = np.split(heads(x @ w[p + "q_proj.weight"].T, H), 2, axis=2)
    k, v = (heads(x @ w[f"{p}{n}_proj.weight"].T, G) for n in "kv")
    q = rotary(rms_norm(q, 1 + w[p + "q_norm.weight"], eps), f)
    k = rotary(rms_norm(k, 1 + w[p + "k_norm.weight"], eps), f)
    a = attend(q, k, v, D ** -0.5) * sigmoid(gate.reshape(len(x), -1))
    return a @ w[p + "o_proj.weight"].T


def delta(c, w, x, p):
    K, Vd = c["linear_key_head_dim"], c["linear_value_head_dim"]
    Hk, Hv = c["linear_num_key_heads"], c["linear_num_value_heads"]
    R, T = Hv // Hk, len(x)
    u = heads(x @ w[p + "in_proj_qkvz.weight"].T, Hk)
    q, k, v, z = np.split(u, [K, 2 * K, 2 * K + R * Vd], axis=2)
    b, a = np.split(heads(x @ w[p + "in_proj_ba.weight"].T, Hk), 2, axis=2)
    mixed = np.concatenate([m.reshape(T, -1) for m in (q, k, v)], 1)
    mixed = silu(convolve(mixed, w[p + "conv1d.weight"], 0))
    q, k, v = np.split(mixed, [Hk * K, 2 * Hk * K], axis=1)

    def unit(y):
        y = np.repeat(heads(y, Hk), R, 1)
        return y / np.sqrt((y ** 2).sum(-1, keepdims=True) + 1e-6)

    q, k, v = unit(q) / np.sqrt(K), unit(k), heads(v, Hv)
    beta = sigmoid(b.reshape(T, Hv))
    fade = np.exp(-np.exp(w[p + "A_log"]) * softplus(a.reshape(T, Hv) + w[p + "dt_bias"]))
    out = np.zeros((T, Hv, Vd))
    for h in range(Hv):
        state = np.zeros((K, Vd))
        for t in range(T):
            state = state * fade[t, h]
            # What the state holds of this key is replaced by a share of the new value.
            state = state + np.outer(k[t, h], beta[t, h] * (v[t, h] - k[t, h] @ state))
            out[t, h] = q[t, h] @ state
    out = rms_norm(out, w[p + "norm.weight"], c["rms_norm_eps"]) * silu(z.reshape(T, Hv, Vd))
    return out.reshape(T, -1) @ w[p + "out_proj.weight"].T


def logits(c, w, tokens):
    eps = c["rms_norm_eps"]
    x = w["model.embed_tokens.weight"][tokens]
    for l, kind in enumerate(c["layer_types"]):
        p = f"model.layers.{l}."
        n = rms_norm(x, 1 + w[p + "input_layernorm.weight"], eps)
        if kind == "linear_attention":
            x = x + delta(c, w, n, p + "linear_attn.")
        else:
            x = x + attention(c, w, n, p + "self_attn.")
        n = rms_norm(x, 1 + w[p + "post_attention_layernorm.weight"], eps)
        share = choose(n @ w[p + "mlp.gate.weight"].T, c["num_experts_per_tok"], c["norm_topk_prob"])
        y = sigmoid(n @ w[p + "mlp.shared_expert_gate.weight"].T) * gated(w, n, p + "mlp.shared_expert")
        for e in range(c["num_experts"]):
            y = y + share[:, e:e + 1] * gated(w, n, f"{p}mlp.experts.{e}")
        x = x + y
    return rms_norm(x, 1 + w["model.norm.weight"], eps) @ w["lm_head.weight"].T
