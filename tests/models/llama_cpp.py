"""The logits that llama.cpp computes for the small checkpoints, as figures to hold the pages against.

    npm pack @node-llama-cpp/linux-x64@3.22.1 && tar xf node-llama-cpp-*.tgz
    python3 tests/models/llama_cpp.py package/bins/linux-x64 [NAME...]

Each checkpoint of checkpoints/ that gguf_checkpoint.py can write is written as llama.cpp's converter writes it,
opened by llama.cpp's own library through its C interface, and given the tokens of figures/NAME.safetensors. The
logits of every position (BERT's vectors) go to figures/llama.cpp/NAME.safetensors, which models_test.py reads: the
tests themselves need no library. Keys and values are kept as f32. What llama.cpp cannot open is said and left out. Where the printed difference from the figures of
reference/ is large, the file says less than config.json: the page must give the same on that same file."""

import array
import ctypes
import glob
import json
import os
import struct
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]
import gguf_checkpoint  # noqa: E402
import safetensors  # noqa: E402

OUT = os.path.join(HERE, "figures", "llama.cpp")
F32 = 0


class Batch(ctypes.Structure):
    _fields_ = [("n_tokens", ctypes.c_int32), ("token", ctypes.POINTER(ctypes.c_int32)), ("embd", ctypes.c_void_p),
                ("pos", ctypes.POINTER(ctypes.c_int32)), ("n_seq_id", ctypes.POINTER(ctypes.c_int32)),
                ("seq_id", ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))), ("logits", ctypes.POINTER(ctypes.c_int8))]


class ContextParams(ctypes.Structure):
    """As of llama.cpp v0.5.0 (include/llama.h), up to the last field that is set here."""
    _fields_ = [(name, ctypes.c_uint32) for name in
                ("n_ctx", "n_batch", "n_ubatch", "n_seq_max", "n_rs_seq", "n_outputs_max", "unnamed", "n_threads",
                 "n_threads_batch", "ctx_type", "rope_scaling_type", "pooling_type", "attention_type",
                 "flash_attn_type")]
    _fields_ += [(name, ctypes.c_float) for name in
                 ("rope_freq_base", "rope_freq_scale", "yarn_ext_factor", "yarn_attn_factor", "yarn_beta_fast",
                  "yarn_beta_slow")]
    _fields_ += [("yarn_orig_ctx", ctypes.c_uint32), ("defrag_thold", ctypes.c_float), ("cb_eval", ctypes.c_void_p),
                 ("cb_eval_user_data", ctypes.c_void_p), ("type_k", ctypes.c_int32), ("type_v", ctypes.c_int32),
                 ("abort_callback", ctypes.c_void_p), ("abort_callback_data", ctypes.c_void_p),
                 ("embeddings", ctypes.c_bool), ("rest", ctypes.c_char * 383)]


class ModelParams(ctypes.Structure):
    _fields_ = [("all", ctypes.c_char * 512)]


class Library:
    def __init__(self, folder):
        named = sorted(glob.glob(os.path.join(folder, "libggml.*so"))) + sorted(
            glob.glob(os.path.join(folder, "libllama.*so")))
        ggml, self.llama = (ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL) for path in named)
        log = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
        self.said = []
        self.keep = log(lambda level, text, data: self.said.append(text.decode(errors="replace")) if level >= 3 else None)
        self.llama.llama_log_set(self.keep, None)
        ggml.ggml_backend_load_all_from_path(os.fsencode(folder))
        for name, result, arguments in (
                ("llama_model_default_params", ModelParams, []), ("llama_context_default_params", ContextParams, []),
                ("llama_model_load_from_file", ctypes.c_void_p, [ctypes.c_char_p, ModelParams]),
                ("llama_init_from_model", ctypes.c_void_p, [ctypes.c_void_p, ContextParams]),
                ("llama_batch_init", Batch, [ctypes.c_int32] * 3), ("llama_batch_free", None, [Batch]),
                ("llama_decode", ctypes.c_int32, [ctypes.c_void_p, Batch]),
                ("llama_encode", ctypes.c_int32, [ctypes.c_void_p, Batch]),
                ("llama_get_logits_ith", ctypes.POINTER(ctypes.c_float), [ctypes.c_void_p, ctypes.c_int32]),
                ("llama_get_embeddings_ith", ctypes.POINTER(ctypes.c_float), [ctypes.c_void_p, ctypes.c_int32]),
                ("llama_free", None, [ctypes.c_void_p]), ("llama_model_free", None, [ctypes.c_void_p])):
            function = getattr(self.llama, name)
            function.restype, function.argtypes = result, arguments
        self.llama.llama_backend_init()

    def call(self, function, context, tokens):
        """Keeps the batch, whose memory may be read until the next call."""
        batch = self.llama.llama_batch_init(len(tokens), 0, 1)
        batch.n_tokens = len(tokens)
        for i, token in enumerate(tokens):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = token, i, 1, 1
            batch.seq_id[i][0] = 0
        assert function(context, batch) == 0, "".join(self.said)
        self.llama.llama_batch_free(batch)

    def rows(self, path, tokens, width, source=None, vectors=False):
        """`width` numbers for each token, of an encoder (`vectors`) or a decoder, which may look at a source;
        why not, where it cannot be opened."""
        self.said.clear()
        model = self.llama.llama_model_load_from_file(os.fsencode(path), self.llama.llama_model_default_params())
        if not model:
            return "".join(self.said)
        params = self.llama.llama_context_default_params()
        assert (params.n_ctx, params.type_k, params.type_v) == (512, 1, 1), "another version's parameters"
        params.type_k = params.type_v = F32
        params.flash_attn_type = 0
        params.n_threads = params.n_threads_batch = 1
        params.pooling_type = 0
        params.embeddings = vectors
        context = self.llama.llama_init_from_model(model, params)
        if not context:
            return "".join(self.said)
        if source:
            self.call(self.llama.llama_encode, context, source)
        self.call(self.llama.llama_encode if vectors else self.llama.llama_decode, context, tokens)
        get = self.llama.llama_get_embeddings_ith if vectors else self.llama.llama_get_logits_ith
        out = array.array("f")
        for i in range(len(tokens)):
            out.extend(get(context, i)[:width])
        self.llama.llama_free(context)
        self.llama.llama_model_free(model)
        return out


def file_of(name):
    folder = os.path.join(HERE, "checkpoints", name)
    with open(os.path.join(folder, "config.json")) as file:
        config = json.load(file)
    tensors = {}
    for tensor, (kind, shape, data) in safetensors.read(os.path.join(folder, "model.safetensors")).items():
        assert kind == "BF16", (tensor, kind)
        words = array.array("I", [v << 16 for v in array.array("H", data)])
        tensors[tensor] = gguf_checkpoint.Array(shape, array.array("f", words.tobytes()))
    return gguf_checkpoint.converted(name, config, tensors)


def main(folder, *names):
    library = Library(folder)
    os.makedirs(OUT, exist_ok=True)
    for name in names or sorted(os.listdir(os.path.join(HERE, "checkpoints"))):
        if name == "t5":
            continue  # llama.cpp does not scale logits of tied embeddings, as T5 1.0 does
        figures = safetensors.read(os.path.join(HERE, "figures", name + ".safetensors"))
        result = "expected.hidden" if name == "bert" else "expected.logits"
        _, shape, values = figures[result]
        inputs = {n: struct.unpack(f"<{len(raw) // 8}q", raw) for n, (kind, _, raw) in figures.items() if kind == "I64"}
        data = file_of(name)
        if data is None:
            print(f"{name}: no such architecture")
            continue
        with tempfile.TemporaryDirectory() as place:
            path = os.path.join(place, "model.gguf")
            with open(path, "wb") as file:
                file.write(data)
            rows = library.rows(path, inputs["tokens"], shape[-1], inputs.get("source"), name == "bert")
        if isinstance(rows, str):
            print(f"{name}: llama.cpp does not open it: {rows}")
            continue
        ours = array.array("f", values)
        error = max(abs(a - b) for a, b in zip(rows, ours)) / max(map(abs, ours))
        print(f"{name}: differs from reference/ by {error:.2g} of the largest")
        safetensors.write(os.path.join(OUT, name + ".safetensors"), {result: ("F32", shape, rows.tobytes())})


if __name__ == "__main__":
    main(*sys.argv[1:])
