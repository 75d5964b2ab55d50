"""`qkv embed`: texts to vectors, by the pooling that a checkpoint says.

In: the program qkv. The states are those of the BERT checkpoint's figures, which another implementation
computed; a vocabulary whose words are numbers leads to the very tokens of the figures. What must hold:

- each way of pooling of sentence-transformers gives what its definition gives of these states, with and
  without Normalize; without modules.json it is the page's own vector;
- a GGUF with BERT's vocabulary and its pooling_type gives the vectors of the same checkpoint in a folder;
- the same bytes alone and among texts of other lengths; lines, arguments, JSON and safetensors agree;
- what is not known, and a text that is too long, is an error that says so."""

import array
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE]
import gguf_checkpoint  # noqa: E402
from models_test import Checkpoint, read  # noqa: E402

MODES = {
    "pooling_mode_cls_token": lambda rows: rows[0],
    "pooling_mode_lasttoken": lambda rows: rows[-1],
    "pooling_mode_max_tokens": lambda rows: [max(column) for column in zip(*rows)],
    "pooling_mode_mean_tokens": lambda rows: [sum(column) / len(rows) for column in zip(*rows)],
    "pooling_mode_mean_sqrt_len_tokens": lambda rows: [sum(column) / math.sqrt(len(rows)) for column in zip(*rows)],
    "pooling_mode_weightedmean_tokens": lambda rows: [
        sum((i + 1) * x for i, x in enumerate(column)) / sum(range(1, len(rows) + 1)) for column in zip(*rows)],
}


def unit(vector):
    length = math.sqrt(sum(x * x for x in vector))
    return [x / length for x in vector]


def write_json(value, *path):
    os.makedirs(os.path.dirname(os.path.join(*path)), exist_ok=True)
    with open(os.path.join(*path), "w") as file:
        json.dump(value, file)


def words_are_numbers(size):
    return {"version": "1.0", "added_tokens": [], "normalizer": None, "pre_tokenizer": {"type": "WhitespaceSplit"},
            "post_processor": None, "decoder": None,
            "model": {"type": "WordLevel", "vocab": {f"{i}": i for i in range(size)}, "unk_token": "0"}}


def pieces():
    """61 pieces of words: those that begin one, those that go on with it, signs."""
    letters = [chr(ord("a") + i) for i in range(26)]
    return ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *("##" + x for x in letters), "ab", "cd", ".", ",", "7"]


def word_pieces():
    special = [{"id": i, "content": x, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
                "special": True} for i, x in enumerate(pieces()[:4])]
    around = [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
              {"SpecialToken": {"id": "[SEP]", "type_id": 0}}]
    return {"version": "1.0", "added_tokens": special, "normalizer": {"type": "BertNormalizer"},
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": {"type": "TemplateProcessing", "single": around, "pair": [], "special_tokens": {
                x: {"id": x, "ids": [i], "tokens": [x]} for i, x in ((2, "[CLS]"), (3, "[SEP]"))}},
            "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                      "max_input_chars_per_word": 100, "vocab": {x: i for i, x in enumerate(pieces())}}}


class Place:
    def __init__(self, qkv, folder):
        self.qkv, self.folder = qkv, folder
        self.checkpoint = Checkpoint(qkv, "bert", folder)
        self.weights = os.path.join(folder, "ck")
        shutil.copytree(self.checkpoint.weights, self.weights)
        with open(os.path.join(self.weights, "config.json")) as file:
            self.config = json.load(file)
        _, self.shape, states = self.checkpoint.expected["hidden"]
        self.rows = [states[i * self.shape[1]:(i + 1) * self.shape[1]] for i in range(self.shape[0])]
        self.text = " ".join(map(str, read(self.checkpoint.inputs)["tokens"][2]))

    def embed(self, *options, weights=None, text="", code=0):
        ran = subprocess.run([self.qkv, "embed", weights or self.weights, *options], capture_output=True, text=True,
                             input=text)
        assert ran.returncode == code, (options, ran)
        return ran.stdout if code == 0 else ran.stderr

    def vector(self, *options, **more):
        return [float(x) for x in self.embed(*options, **more).split()]

    def modules(self, mode, *others, **more):
        names = ["Transformer", "Pooling", *others]
        write_json([{"idx": i, "name": f"{i}", "path": f"{i}_{name}" if i else "", "type":
                     f"sentence_transformers.models.{name}"} for i, name in enumerate(names)], self.weights, "modules.json")
        write_json({"word_embedding_dimension": 32, **{x: x == mode for x in MODES}, **more},
                   self.weights, "1_Pooling", "config.json")


def near(given, expected):
    assert len(given) == len(expected), (len(given), len(expected))
    error = max(abs(a - b) for a, b in zip(given, expected)) / max(map(abs, expected))
    assert error < 1e-5, error


def pooling(place):
    write_json(words_are_numbers(61), place.weights, "tokenizer.json")
    near(place.vector(place.text), place.checkpoint.expected["embedding"][2])
    for mode, form in MODES.items():
        place.modules(mode)
        near(place.vector(place.text), form(place.rows))
        place.modules(mode, "Normalize")
        near(place.vector(place.text), unit(form(place.rows)))
    place.modules(None)
    assert "1_Pooling" in place.embed("1", code=1)
    place.modules("pooling_mode_cls_token", pooling_mode_lasttoken=True)
    assert "more than one" in place.embed("1", code=1)
    place.modules("pooling_mode_cls_token", "Dense")
    assert "Dense" in place.embed("1", code=1)
    place.modules("pooling_mode_mean_tokens")
    write_json({"max_seq_length": 3}, place.weights, "sentence_bert_config.json")
    assert "text 2: it has 4 tokens" in place.embed("1 2 3", "1 2 3 4", code=1)
    os.remove(os.path.join(place.weights, "sentence_bert_config.json"))
    assert "text 1:" in place.embed(" ".join(["5"] * 33), code=1)


def batches(place):
    lines = [" ".join(str((7 * i + j) % 61) for j in range(1 + i * 5 % 9)) for i in range(20)]
    alone = place.embed("--batch", "1", text="\n".join(lines) + "\n")
    assert alone == "".join(place.embed(line) for line in lines[:2]) + "".join(alone.splitlines(True)[2:])
    for options in ("--batch", "4"), ("--batch", "64", "--threads", "1"), ():
        assert place.embed(*options, text="\n".join(lines)) == alone, options
    path = os.path.join(place.folder, "lines")
    with open(path, "w") as file:
        file.write("\n".join(lines))
    assert place.embed("--input", path) == alone
    assert [json.loads(line) for line in place.embed("--json", "--input", path).splitlines()] == \
        [[float(x) for x in line.split()] for line in alone.splitlines()]
    out = os.path.join(place.folder, "vectors.safetensors")
    place.embed("--input", path, "--output", out)
    kind, shape, values = read(out)["embeddings"]
    assert (kind, shape) == ("F32", [20, 32]), (kind, shape)
    printed = array.array("f", (float(x) for x in alone.splitlines()[0].split()))
    assert list(values[:32]) == list(printed), (values[:32], printed)


def gguf(place):
    write_json(word_pieces(), place.weights, "tokenizer.json")
    tensors = {}
    for name, (_, shape, values) in read(os.path.join(place.weights, "model.safetensors")).items():
        floats = memoryview(b"".join((v << 16).to_bytes(4, "little") for v in values)).cast("f")
        tensors[name] = gguf_checkpoint.Array(shape, list(floats))
    architecture, keys, named = gguf_checkpoint.ARCHITECTURES["BertModel"](place.config, tensors)
    stored = [x if i < 4 else x[2:] if x.startswith("##") else "\u2581" + x for i, x in enumerate(pieces())]
    keys.update({"tokenizer.ggml.model": "bert", "tokenizer.ggml.tokens": stored,
                 "tokenizer.ggml.token_type": gguf_checkpoint.Signed([3] * 4 + [1] * 57), "tokenizer.ggml.unknown_token_id": 1,
                 "tokenizer.ggml.cls_token_id": 2, "tokenizer.ggml.seperator_token_id": 3})
    path = os.path.join(place.folder, "model.gguf")
    for number, mode in (1, "pooling_mode_mean_tokens"), (2, "pooling_mode_cls_token"), (3, "pooling_mode_lasttoken"):
        with open(path, "wb") as file:
            file.write(gguf_checkpoint.gguf(architecture, {**keys, ".pooling_type": number}, named))
        place.modules(mode, "Normalize")
        texts = ["Ab, cd.", "q", "[CLS] Zebra 7\u00e9", ""]
        assert place.embed(*texts, weights=path) == place.embed(*texts), mode
    with open(path, "wb") as file:
        file.write(gguf_checkpoint.gguf(architecture, {**keys, ".pooling_type": 4}, named))
    assert "pooling_type" in place.embed("a", weights=path, code=1)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as where:
        os.environ["QKV_CODE"] = where  # a page is compiled once
        here = Place(sys.argv[1], where)
        for test in pooling, batches, gguf:
            test(here)
