"""Mamba (Gu and Dao 2023) and Mamba-2 (Dao and Gu 2024), by their recurrences, a position at a time."""

from parts import *

CHECKPOINTS = {
    "mamba": {"architectures": ["MambaForCausalLM"], "model_type": "mamba", "vocab_size": 61,
              "hidden_size": 24, "intermediate_size": 48, "state_size": 5, "num_hidden_layers": 2,
              "conv_kernel": 4, "time_step_rank": 3, "layer_norm_epsilon": 1e-5, "use_bias": False,
              "use_conv_bias": True},
    "mamba2": {"architectures": ["Mamba2ForCausalLM"], "model_type": "mamba2", "vocab_size": 61,
               "hidden_size": 24, "expand": 2, "num_heads": 6, "head_dim": 8, "n_groups": 2,
               "state_size": 5, "num_hidden_layers": 2, "conv_kernel": 4, "layer_norm_epsilon": 1e-5,
               "use_bias": False, "use_conv_bias": True, "time_step_limit": [0.0, float("inf")],
               "tie_word_embeddings": False},
}


def mamba_weights(c, w, p):
    C, E, N, R = (c[k] for k in ("hidden_size", "intermediate_size", "state_size", "time_step_rank"))
    w.draw(p + "in_proj.weight", 2 * E, C)
    w.draw(p + "conv1d.weight", E, 1, c["conv_kernel"], spread=0.5)
    w.shift(p + "conv1d.bias", E)
    w.draw(p + "x_proj.weight", R + 2 * N, E)
    w.draw(p + "dt_proj.weight", E, R)
    w.draw(p + "dt_proj.bias", E, spread=0.5, around=-1)
    w.draw(p + "A_log", E, N, spread=0.7, around=0.3)
    w.draw(p + "D", E, spread=0.3, around=1)
    w.draw(p + "out_proj.weight", C, E)


def mamba2_weights(w, p, C, E, H, state, kernel, around=0.3):
    """state: values of B and C together."""
    w.draw(p + "in_proj.weight", 2 * E + state + H, C)
    w.draw(p + "conv1d.weight", E + state, 1, kernel, spread=0.5)
    w.shift(p + "conv1d.bias", E + state)
    w.draw(p + "dt_bias", H, spread=0.5, around=-1)
    w.draw(p + "A_log", H, spread=0.7, around=around)
    w.draw(p + "D", H, spread=0.3, around=1)
    w.scale(p + "norm.weight", E)
    w.draw(p + "out_proj.weight", C, E)


def weights(c, w):
    C = c["hidden_size"]
    w.draw("backbone.embeddings.weight", c["vocab_size"], C, spread=0.5)
    for l in range(c["num_hidden_layers"]):
        p = f"backbone.layers.{l}."
        w.scale(p + "norm.weight", C)
        if c["model_type"] == "mamba":
            mamba_weights(c, w, p + "mixer.")
        else:
            mamba2_weights(w, p + "mixer.", C, c["num_heads"] * c["head_dim"], c["num_heads"],
                           2 * c["n_groups"] * c["state_size"], c["conv_kernel"])
    w.scale("backbone.norm_f.weight", C)
    if c["model_type"] == "mamba2":
        w.draw("lm_head.weight", c["vocab_size"], C)


def convolve(x, weight, bias):
    """Each channel over its latest positions; before the first all is 0."""
    width = weight.shape[-1]
    padded = np.concatenate([np.zeros((width - 1, x.shape[1])), x])
    return sum(padded[r:r + len(x)] * weight[:, 0, r] for r in range(width)) + bias


def mamba(c, w, x, p):
    N, R = c["state_size"], c["time_step_rank"]
    u, z = np.split(x @ w[p + "in_proj.weight"].T, 2, axis=1)
    u = silu(convolve(u, w[p + "conv1d.weight"], w[p + "conv1d.bias"]))
    low, B, Cm = np.split(u @ w[p + "x_proj.weight"].T, [R, R + N], axis=1)
    step = softplus(low @ w[p + "dt_proj.weight"].T + w[p + "dt_proj.bias"])
    A = -np.exp(w[p + "A_log"])
    state, out = np.zeros(A.shape), []
    for t in range(len(x)):
        state = np.exp(step[t][:, None] * A) * state + (step[t] * u[t])[:, None] * B[t]
        out.append(state @ Cm[t] + w[p + "D"] * u[t])
    return (np.array(out) * silu(z)) @ w[p + "out_proj.weight"].T


def mamba2(w, x, p, H, D, G, N, eps):
    E = H * D
    z, u, raw = np.split(x @ w[p + "in_proj.weight"].T, [E, 2 * E + 2 * G * N], axis=1)
    u = silu(convolve(u, w[p + "conv1d.weight"], w[p + "conv1d.bias"]))
    v, B, Cm = np.split(u, [E, E + G * N], axis=1)
    step = softplus(raw + w[p + "dt_bias"])
    decay = np.exp(-np.exp(w[p + "A_log"]) * step)
    out = np.zeros((len(x), E))
    for h in range(H):
        group = slice(h // (H // G) * N, (h // (H // G) + 1) * N)
        values = slice(h * D, (h + 1) * D)
        state = np.zeros((D, N))
        for t in range(len(x)):
            state = decay[t, h] * state + step[t, h] * np.outer(v[t, values], B[t, group])
            out[t, values] = state @ Cm[t, group] + w[p + "D"][h] * v[t, values]
    # A norm for each group of heads.
    gated = (out * silu(z)).reshape(len(x), G, E // G)
    scale = w[p + "norm.weight"].reshape(G, E // G)
    return rms_norm(gated, scale, eps).reshape(len(x), E) @ w[p + "out_proj.weight"].T


def logits(c, w, tokens):
    eps = c["layer_norm_epsilon"]
    x = w["backbone.embeddings.weight"][tokens]
    for l in range(c["num_hidden_layers"]):
        p = f"backbone.layers.{l}."
        n = rms_norm(x, w[p + "norm.weight"], eps)
        if c["model_type"] == "mamba":
            x = x + mamba(c, w, n, p + "mixer.")
        else:
            x = x + mamba2(w, n, p + "mixer.", c["num_heads"], c["head_dim"], c["n_groups"],
                           c["state_size"], eps)
    head = w.get("lm_head.weight", w["backbone.embeddings.weight"])
    return rms_norm(x, w["backbone.norm_f.weight"], eps) @ head.T
