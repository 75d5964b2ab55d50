"""Text in, text out: the tokenizer beside a checkpoint in `qkv run` and in built programs.

In: the program qkv, the name of a test. The models are tables (vocabularies.py), so what they write is
known: each test says it."""

import json
import math
import os
import shutil
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from vocabularies import (PAGE, ByteLevel, gguf_keys, safetensors, table, write_folder, write_gguf,  # noqa: E402
                          write_json)

WORDS = ["Once", " upon", " a", " time", " caf", "def"]
SPECIAL = ["<s>", "</s>", "<mark>", "<turn>"]


class Place:
    """A folder with a page and a checkpoint."""

    def __init__(self, qkv, folder):
        self.qkv, self.folder = qkv, folder
        self.vocabulary = ByteLevel(WORDS, SPECIAL, before="<s>")
        self.page = self.path("table.qkv")
        with open(self.page, "w") as file:
            file.write(PAGE)

    def path(self, name):
        return os.path.join(self.folder, name)

    def story(self, end="</s>"):
        """<s> Once upon <mark> a time, and the end."""
        return self.vocabulary.ids("<s>", "Once", " upon", "<mark>", " a", " time", end)

    def write(self, chains=None, size=None, name="ck", tokenizer=True, config=None, **others):
        rows = table(size or len(self.vocabulary), *(chains or [self.story()]))
        config = {"eos_token_id": self.vocabulary.id("</s>"), **(config or {})}
        write_folder(self.path(name), rows, self.vocabulary if tokenizer else None, config, **others)
        return self.path(name)

    def call(self, *command, text="", code=0):
        ran = subprocess.run(command, capture_output=True, input=text.encode(), cwd=self.folder)
        out, error = ran.stdout.decode(), ran.stderr.decode()
        assert ran.returncode == code, (command, ran.returncode, out, error)
        return out if code == 0 else error

    def run(self, *options, weights="ck", text="", code=0):
        return self.call(self.qkv, "run", self.page, "--weights", self.path(weights), *options, text=text, code=code)


def tokens_of(path):
    _, shape, data = safetensors.read(path)["tokens"]
    return list(struct.unpack(f"<{shape[0]}q", data))


def begin(place):
    """What stands before a text stands there once, whatever is typed."""
    place.write()
    v = place.vocabulary
    assert place.run("--prompt", "") == "Once upon a time\n"
    assert place.run("--prompt", "Once upon") == " a time\n"
    place.run("--prompt", "<s>Once", "--logits", "logits")
    assert tokens_of(place.path("logits"))[:5] == [v.id("<s>"), *b"<s>", v.id("Once")]
    place.vocabulary.before = None
    place.write()
    place.run("--prompt", "Once", "--logits", "logits")
    assert tokens_of(place.path("logits")) == place.story()[1:-1]
    assert "needs a prompt" in place.run("--prompt", "", code=1)


def endings(place):
    """Each token that ends a text, wherever it is said."""
    v = place.vocabulary
    turn = v.id("<turn>")
    for config, others in [({"eos_token_id": turn}, {}), ({"eos_token_id": [v.id("</s>"), turn]}, {}),
                           ({}, {"generation_config": {"eos_token_id": [turn]}}),
                           ({}, {"generation_config": {"eos_token_id": turn}}),
                           ({"eos_token_id": None}, {"tokenizer_config": {"eos_token": {"content": "<turn>"}}}),
                           ({}, {"tokenizer_config": {"eos_token": "<turn>"}})]:
        shutil.rmtree(place.path("ck"), ignore_errors=True)
        place.write([place.story(end="<turn>"), v.ids("<turn>", "!", "!")], config=config, **others)
        assert place.run("--prompt", "Once") == " upon a time\n", (config, others)
    shutil.rmtree(place.path("ck"))
    place.write([place.story(end="<turn>"), v.ids("<turn>", "!", "</s>")])
    assert place.run("--prompt", "Once") == " upon a time!\n"
    assert "ended by: the end token" in subprocess.run(
        [place.qkv, "run", place.page, "--weights", "ck", "--prompt", "Once", "--stats"], cwd=place.folder,
        capture_output=True, text=True).stderr
    place.write(config={"eos_token_id": "two"})
    assert "eos_token_id" in place.run("--prompt", "Once", code=1)


def letters(place):
    """A character of several tokens comes out whole; what is none is U+FFFD."""
    v = place.vocabulary
    first, second = "é".encode()
    place.write([[v.id("<s>"), v.id(" caf"), first, second, v.id("!"), v.id("</s>")]])
    assert place.run("--prompt", "") == " café!\n"
    place.write([[v.id("<s>"), v.id(" caf"), first, v.id("!"), v.id("</s>")]])
    assert place.run("--prompt", "") == " caf\ufffd!\n"


def stops(place):
    """A stop string across the borders of tokens."""
    place.write()
    assert place.run("--prompt", "", "--stop", "n a t") == "Once upo\n"
    assert place.run("--prompt", "", "--stop", "time", "--stop", "Onc") == "\n"


def repeats(place):
    """DRY: what would go on with what was said already is less likely, but not over a breaker."""
    v = place.vocabulary
    place.write([[v.id("<s>"), v.id("x"), v.id("y"), v.id("x")]])
    options = ["--prompt", "", "--max-tokens", "4", "--logit-bias", f"{v.id(' a')}=0.5"]
    assert place.run(*options) == "xyxy\n"
    assert place.run(*options, "--dry", "3", "--dry-length", "1") == "xyx a\n"
    assert place.run(*options, "--dry", "3") == "xyxy\n"
    assert place.run(*options, "--dry", "3", "--dry-length", "1", "--dry-breaker", "x") == "xyxy\n"
    assert place.run(*options, "--typical", "0.001", "--temperature", "1", "--max-tokens", "1") != "\n"
    assert "--dry-length" in place.run(*options, "--dry-length", "0", code=2)
    assert "--typical" in place.run(*options, "--typical", "2", code=2)


def numbers(place):
    """--tokens: numbers in and out, nothing added; --logits: what each was chosen by."""
    v = place.vocabulary
    place.write()
    story = place.story()
    assert place.run("--tokens", "--prompt", str(story[0])) == " ".join(map(str, story[1:-1])) + "\n"
    assert place.run("--tokens", "--prompt", f"{v.id(' a')}", "--stop", "tim") == f"{v.id(' time')}\n"
    assert place.run("--tokens", "--batch", "2", text=f"{story[1]}\n{story[2]} {story[4]}\n") == \
        " ".join(map(str, story[2:-1])) + f"\n{story[5]}\n"
    assert "no token" in place.run("--tokens", "--prompt", "Once", code=1)
    assert "no token" in place.run("--tokens", "--prompt", str(len(v)), code=1)
    place.run("--prompt", " a", "--logits", "logits")
    kind, shape, data = safetensors.read(place.path("logits"))["logits"]
    assert (kind, shape) == ("F32", [2, len(v)])
    values = struct.unpack(f"<{2 * len(v)}f", data)
    assert values.index(1.0) == v.id(" time") and values[len(v):].index(1.0) == v.id("</s>")
    read = safetensors.read(place.path("logits"))
    assert struct.unpack("<2q", read["chosen"][2]) == (v.id(" time"), v.id("</s>"))
    expected = 1 - math.log(math.e + len(v) - 1)  # one logit is 1, the others 0
    assert all(abs(one - expected) < 1e-6 for one in struct.unpack("<2f", read["logprobs"][2]))
    assert "--logits" in place.run("--batch", "2", "--logits", "logits", text="a\nb\n", code=2)


def vocabulary(place):
    """More logits than tokens: those are never chosen. Fewer: an error."""
    v = place.vocabulary
    rows = table(len(v) + 40, place.story())
    for row in rows:
        row[len(v) + 3] = 7.0
    write_folder(place.path("ck"), rows, v, {"eos_token_id": v.id("</s>")})
    assert place.run("--prompt", "Once") == " upon a time\n"
    assert place.run("--prompt", "Once", "--temperature", "0.01") == " upon a time\n"
    place.write([[0, 1]], size=260)
    error = place.run("--prompt", "Once", code=1)
    assert "260" in error and str(len(v)) in error, error
    # A tokenizer is nobody's matter where tensors go in and out.
    safetensors.write(place.path("in"), {"tokens": ("I64", [1], struct.pack("<q", 0))})
    place.run("--input", place.path("in"))


def lines(place):
    """Lines are prompts with --batch; the n-th line out belongs to the n-th line in."""
    place.write()
    assert place.run("--batch", "3", text="Once upon\n a\nOnce\n\n time\n") == \
        " a time\n time\n upon a time\n\n\n"


def bytes_too(place):
    """Without a tokenizer tokens are bytes, and so they are where that is said."""
    rows = table(258, [256, *b"abc", 257])
    write_folder(place.path("ck"), rows)
    assert place.run("--prompt", "a") == "bc\n"
    write_folder(place.path("ck"), rows, vocab={})
    error = place.run("--prompt", "a", code=1)
    assert "vocab.json" in error and "--tokenizer" in error, error
    assert place.run("--prompt", "a", "--tokenizer", "bytes") == "bc\n"
    write_folder(place.path("ck"), rows, place.vocabulary)
    assert "258" in place.run("--prompt", "a", code=1)
    assert place.run("--prompt", "a", "--tokenizer", "bytes") == "bc\n"


def elsewhere(place):
    """--tokenizer: a file, a folder, a GGUF."""
    v = place.vocabulary
    place.write(tokenizer=False)
    os.makedirs(place.path("there"))
    write_json(place.path("there/tokenizer.json"), v.json())
    write_gguf(place.path("v.gguf"), gguf_keys(v, bos_token_id=v.id("<s>"), eos_token_id=v.id("</s>")), [[0.0]])
    for path in "there", "there/tokenizer.json", "v.gguf":
        assert place.run("--prompt", "", "--tokenizer", path) == "Once upon a time\n", path
    assert "there is no tokenizer" in place.run("--prompt", "", "--tokenizer", "ck", code=1)
    place.run("--prompt", "", "--tokenizer", "nowhere", code=1)
    write_json(place.path("there/tokenizer.json"), {"model": {"type": "BPE", "vocab": [], "merges": []}})
    error = place.run("--prompt", "", "--tokenizer", "there", code=1)
    assert "there/tokenizer.json" in error and "vocab" in error, error


def gguf(place):
    """The keys of a GGUF: what stands before a text, and what ends it."""
    v = place.vocabulary
    with open(place.page, "w") as file:
        file.write(PAGE.replace('"vocab_size"', '".vocab_size"'))
    ids = {"bos_token_id": v.id("<s>"), "eos_token_id": v.id("</s>"), "eot_token_id": v.id("<turn>")}
    for end in "</s>", "<turn>":
        write_gguf(place.path("ck.gguf"), gguf_keys(v, **ids), table(len(v), place.story(end)))
        assert place.run("--prompt", "", weights="ck.gguf") == "Once upon a time\n"
    write_gguf(place.path("ck.gguf"), gguf_keys(v, **ids, add_bos_token=False), table(len(v), place.story()))
    assert "needs a prompt" in place.run("--prompt", "", weights="ck.gguf", code=1)
    write_gguf(place.path("ck.gguf"), {**gguf_keys(v), "tokenizer.ggml.model": "unheard"}, table(len(v), [0, 1]))
    assert "unheard" in place.run("--prompt", "", weights="ck.gguf", code=1)


def built(place):
    """A program has what its tokenizer needs with its weights, or inside of it."""
    v = place.vocabulary
    place.write([place.story(end="<turn>")], generation_config={"eos_token_id": [v.id("<turn>")]})
    place.call(place.qkv, "build", place.page, "--weights", "ck", "-o", "beside")
    place.call(place.qkv, "build", place.page, "--weights", "ck", "--embed-weights", "-o", "inside")
    place.call(place.qkv, "build", place.page, "--weights", "ck", "--tokenizer", "bytes", "-o", "plain")
    place.call(place.qkv, "build", place.page, "--weights", "ck", "--no-weights", "-o", "bare")
    assert place.call("./bare", "--weights", "ck", "--prompt", "Once") == " upon a time\n"
    os.rename(place.path("ck"), place.path("gone"))
    for program in "./beside", "./inside":
        assert place.call(program, "--prompt", "Once") == " upon a time\n", program
        assert place.call(program, "--batch", "2", text="Once\n a\n") == " upon a time\n time\n"
        assert place.call(program, "--tokens", "--prompt", str(v.id(" a"))) == f"{v.id(' time')}\n"
    assert place.call("./bare", "--weights", "beside.weights", "--prompt", " a") == " time\n"
    assert place.run("--prompt", " a", weights="beside.weights") == " time\n"
    assert place.call("./plain", "--prompt", "Once", "--max-tokens", "0") == "\n"
    assert len(tokens_after(place, "./plain")) == 5 and len(tokens_after(place, "./inside")) == 2
    needed = place.call("readelf", "-d", "inside")
    assert "stdc++" not in needed and "pcre" not in needed and "utf8proc" not in needed, needed
    place.call(place.qkv, "build", place.page, "--weights", "gone", "--tokenizer", "nowhere", "-o", "x", code=1)
    assert not os.path.exists(place.path("x"))


def tokens_after(place, program):
    place.call(program, "--prompt", "Once", "--max-tokens", "0", "--logits", "logits")
    return tokens_of(place.path("logits"))


def spaces(place):
    """The space in front of a word stays behind another one, and goes at the start of a text."""
    place.write()
    vocabulary = place.vocabulary
    texts = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)] + ["\u2581", "\u2581a", "\u2581b"]

    class Prefixed:
        def __len__(self):
            return len(texts)

        def json(self):
            space = {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}
            decoder = [{"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"},
                       {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]
            vocabulary.before = None
            return {**vocabulary.json(),
                    "added_tokens": [{"id": i, "content": texts[i], "special": True} for i in range(3)],
                    "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"}, space]},
                    "pre_tokenizer": None, "decoder": {"type": "Sequence", "decoders": decoder},
                    "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True,
                              "vocab": {text: i for i, text in enumerate(texts)},
                              "merges": [["\u2581", "a"]] if "a" in texts else []}}

    a, b, e = texts.index("\u2581a"), texts.index("\u2581b"), [3 + byte for byte in "é".encode()]
    write_folder(place.path("ck"), table(len(texts), [1, a, b, *e, 2]), Prefixed(), {"eos_token_id": 2})
    assert place.run("--tokens", "--prompt", "1") == " ".join(map(str, [a, b, *e])) + "\n"
    place.run("--tokens", "--prompt", "1", "--stop", "a b\u00e9")
    # As text: the first space goes, and the second stays.
    assert place.run("--tokens", "--prompt", "1", "--stop", "a b") == f"{a} {b}\n"
    assert place.run("--tokens", "--prompt", "1", "--stop", " a") == " ".join(map(str, [a, b, *e])) + "\n"
    assert place.run("--tokens", "--prompt", f"{a}", "--stop", " b") == f"{b}\n"


def broken(place):
    """What stands beside the weights and is no tokenizer is an error with its name."""
    place.write()
    for name, content, says in [("tokenizer.json", "{", "tokenizer.json"), ("tokenizer_config.json", "[", "tokenizer_config"),
                                ("generation_config.json", "nonsense", "generation_config")]:
        path = place.path("ck/" + name)
        before = open(path).read() if os.path.exists(path) else None
        with open(path, "w") as file:
            file.write(content)
        assert says in place.run("--prompt", "Once", code=1)
        os.remove(path)
        if before:
            with open(path, "w") as file:
                file.write(before)


CHECKPOINTS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "models", "checkpoints")


def models(place, only):
    """Text in, text out, of real architectures: against the likeliest tokens of another implementation
    (make_figures.py). A checkpoint is the model file; a program that is built of it runs alone."""
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "figures.json")) as file:
        figures = json.load(file)
    name, cases = only, figures[only]
    folder = os.path.join(CHECKPOINTS, name)
    with open(os.path.join(folder, "config.json")) as file:
        source = "d_model" in json.load(file)
    most = ["--max-tokens", "12"]
    program = place.path("program")
    place.call(place.qkv, "build", folder, "--embed-weights", "-o", program)
    for command in [place.qkv, "run", folder], [program]:
        if source:
            out = place.call(*command, "--prompt", "", *most, text="".join(c["prompt"] + "\n" for c in cases))
            assert out == "".join(c["text"] + "\n" for c in cases), (name, out)
            continue
        built = command == [program]
        for case in cases[:3] if built else []:
            assert place.call(*command, *most, "--prompt", case["prompt"]) == case["text"] + "\n", (name, case)
        for batch in ("1", "3") if built else ("3",):
            out = place.call(*command, "--batch", batch, *most, text="".join(c["prompt"] + "\n" for c in cases))
            expected = "".join(c["text"] + "\n" if c["prompt"] else "\n" for c in cases)
            assert out == expected, (name, batch, out)


def checkpoint(place):
    """A checkpoint in the place of a model file, for each command; and those that no page serves."""
    llama = os.path.join(CHECKPOINTS, "llama-3")
    page = os.path.join(os.path.dirname(os.path.dirname(CHECKPOINTS)), "..", "dsl", "std", "models", "llama.qkv")
    for command in ["check"], ["state"], ["ir", "--stage", "ast"], ["explain", "--size", "T=4"]:
        given = place.call(place.qkv, *command, llama)
        if command[0] != "explain" and command[0] != "ir":
            assert given == place.call(place.qkv, *command, page, "--weights", llama), command
    tokens = ["--tokens", "--prompt", "1 5 9", "--max-tokens", "4"]
    assert place.call(place.qkv, "run", llama, *tokens) == place.call(place.qkv, "run", page, "--weights", llama, *tokens)
    assert place.call(place.qkv, "run", llama, *tokens) == \
        place.call(place.qkv, "run", os.path.join(llama, "model.safetensors"), *tokens)
    assert "--weights" in place.call(place.qkv, "run", llama, "--weights", "else", code=2)
    copy = place.path("copy")
    shutil.copytree(llama, copy)
    with open(os.path.join(llama, "config.json")) as file:
        config = json.load(file)

    def says(code, **changes):
        write_json(os.path.join(copy, "config.json"),
                   {k: v for k, v in {**config, **changes}.items() if v is not None})
        return place.call(place.qkv, "run", copy, *tokens, code=code)
    assert says(0, architectures=None) == says(0)
    error = says(1, architectures=["UnheardModel"])
    assert "UnheardModel" in error and "LlamaForCausalLM" in error and "model.norm.weight" in error and "README.md" in error
    assert "no architecture" in says(1, architectures=None, model_type=None)
    os.remove(os.path.join(copy, "config.json"))
    assert "config.json" in place.call(place.qkv, "run", copy, code=1)
    write_gguf(place.path("x.gguf"), {"general.architecture": "unheard"}, [[0.0]])
    assert "unheard" in place.call(place.qkv, "run", place.path("x.gguf"), code=1)
    place.call(place.qkv, "run", place.path("nowhere"), code=1)


def keys(place):
    """What a configuration asks for and the page does not read is an error that names it."""
    llama, copy = os.path.join(CHECKPOINTS, "llama-3"), place.path("copy")
    shutil.copytree(llama, copy)
    with open(os.path.join(llama, "config.json")) as file:
        config = json.load(file)

    def check(code, *options, **changes):
        write_json(os.path.join(copy, "config.json"), {**config, **changes})
        return place.call(place.qkv, "check", copy, *options, code=code)
    for name, value in {"attention_bias": True, "mlp_bias": True, "hidden_act": "gelu", "sliding_window": 128,
                        "logit_scale": 0.5, "rope_scaling": {"rope_type": "yarn", "factor": 4.0},
                        "quantization_config": {"bits": 4}, "layer_types": ["full_attention", "sliding_attention"],
                        "partial_rotary_factor": 0.5}.items():
        error = check(1, **{name: value})
        assert f'"{name}' in error and "--ignore-config" in error, (name, error)
        assert check(0, "--ignore-config", name, **{name: value}) == ""
    check(0, sliding_window=None, attention_dropout=0.1, use_cache=True, eos_token_id=[1, 2], torch_dtype="float16",
          attention_bias=False, layer_types=["full_attention"] * 2, task_specific_params={"a": {"b": 1}})
    error = check(1, one=1, two={"three": [1, 2]})
    assert '"one"' in error and '"two.three.0"' in error and "rope_theta" not in error
    check(0, "--ignore-config", "one", "--ignore-config", "two.three", one=1, two={"three": [1, 2]})
    assert "no such key" in check(2, "--ignore-config", "onne", one=1)
    # Items of lists are named in brackets, or with points.
    with open(place.path("list.qkv"), "w") as file:
        file.write('size T = dynamic(max: 4)\nindex t < T\nmodel m(x[t]) -> y[t] {\n'
                   '  repeat l < 2 { x = if config("a[{l}]", "g") == "g" then x * 2 else x }\n'
                   '  y[t] = x[t] * config("b[0].c", 1) * config("d.1", 1) * config("e").length\n}\n')
    os.makedirs(place.path("list"))
    write_json(place.path("list/config.json"), {"a": ["f", "g"], "b": [{"c": 3}], "d": [4, 5], "e": [7]})
    error = place.call(place.qkv, "check", place.path("list.qkv"), "--weights", place.path("list"), code=1)
    assert '"d.0"' in error and '"a.' not in error and '"b.' not in error, error
    assert '"e.0"' in error, error  # its length says nothing of what is in it
    # The page of another family, whose names and keys would fit.
    write_json(os.path.join(copy, "config.json"), config)
    for other in ("mistral", "qwen2"):
        error = place.call(place.qkv, "check", f"std:models/{other}.qkv", "--weights", copy, code=1)
        assert "another family" in error and "llama.qkv" in error, error
    # A page of one's own: what it names it reads; the library's rows for single pages are not its.
    place.write(config={"table_scale": 2})
    assert "table_scale" in place.run("--prompt", "Once", code=1)
    assert place.run("--prompt", "Once", "--ignore-config", "table_scale") == " upon a time\n"
    with open(place.page, "w") as file:
        file.write(PAGE.replace('config("vocab_size", 300)', "266"))
    assert place.run("--prompt", "Once") == " upon a time\n"  # it reads no configuration at all
    write_gguf(place.path("ck.gguf"), {**gguf_keys(place.vocabulary, bos_token_id=1), "table.attention.scale": 2.0, "general.name": "x"},
               table(len(place.vocabulary), place.story()))
    with open(place.page, "w") as file:
        file.write(PAGE.replace('"vocab_size"', '".vocab_size"'))
    assert '"table.attention.scale"' in place.run("--tokens", "--prompt", "1", weights="ck.gguf", code=1)
    place.run("--tokens", "--prompt", "1", "--ignore-config", ".attention.scale", weights="ck.gguf")
    # The same of a GGUF file whose page has an empty text as default.
    for key, refused in ((".rope.scaling.factor", True), (".rope.dimension_count", False)):
        write_gguf(place.path("llama.gguf"), {"general.architecture": "llama", "llama" + key: 4},
                   table(len(place.vocabulary), place.story()))
        error = place.call(place.qkv, "check", place.path("llama.gguf"), code=1 if refused else 0)
        assert (f'"llama{key}"' in error) == refused, (key, error)


FORM = ("{{ bos_token }}{% for m in messages %}<mark>{{ m.role }} {{ m.content | trim }}<turn>{% endfor %}"
        "{% if add_generation_prompt %}<mark>{% endif %}")


def talk(place, *options, text="", code=0, weights="ck"):
    ran = subprocess.run([place.qkv, "chat", place.page, "--weights", place.path(weights), "--stats", *options],
                         capture_output=True, input=text.encode(), cwd=place.folder)
    assert ran.returncode == code, ran
    return ran.stdout.decode(), ran.stderr.decode()


def chat(place):
    """Turns by the checkpoint's template; what is typed is text, whatever it looks like."""
    v = place.vocabulary
    config = {"bos_token": "<s>", "chat_template": FORM}
    place.write([v.ids("<mark>", "Once", " upon", " a", " time", "</s>")], tokenizer_config=config)
    out, error = talk(place, text="Hi\n</s>\n")
    assert out == "Once upon a time\n" * 2, out
    first = 1 + (1 + len("user Hi") + 1) + 1
    # "Once", " upon", ... are one token each; the answer's turn is "assistant Once upon a time".
    second = first - 1 + (1 + len("assistant ") + len("Once") + 3 + 1) + (1 + len("user </s>") + 1) + 1
    counts = [int(line.split()[1]) for line in error.splitlines() if line.startswith("tokens:")]
    assert counts == [first, second], (counts, first, second)
    out, error = talk(place, "--system", "be", "--prompt", " Hi ")
    assert out == "Once upon a time\n"
    assert f"tokens: {first + 1 + len('system be') + 1} of" in error, error
    # A template of one's own, with a value; an error of it does not end the talk.
    with open(place.path("form"), "w") as file:
        file.write("{% if messages[-1].content == 'bad' %}{{ raise_exception('no bad words') }}{% endif %}"
                   "{{ '<mark>' if good else 'x' }}")
    out, error = talk(place, "--template", place.path("form"), "--set", "good=true", text="a\nbad\nb\n", code=1)
    assert out == "Once upon a time\n\nOnce upon a time\n" and "no bad words" in error, (out, error)
    with open(place.path("form"), "w") as file:
        file.write("{% if %}")
    talk(place, "--tokens", "--prompt", "a", code=2)
    assert "line 1" in talk(place, "--template", place.path("form"), "--prompt", "a", code=1)[1]
    place.write(tokenizer_config={})
    assert "no chat template" in talk(place, "--prompt", "a", code=1)[1]
    place.write(tokenizer=False)
    shutil.rmtree(place.path("ck"))
    place.write(tokenizer=False)
    assert "no tokenizer" in talk(place, "--prompt", "a", code=1)[1]


def kept(place):
    """Turn by turn is as all at once: the answers are those behind the whole talk's tokens."""
    for name, window in ("llama-3", False), ("mamba", True):
        copy = place.path(name)
        shutil.copytree(os.path.join(CHECKPOINTS, name), copy)
        # (Behind the first turn the template leaves answers out: the past is another one.)
        form = ("<s>{% for m in messages %}{% if m.role == 'user' or loop.last or keep %}<mark>{{ m.content }}{% endif %}"
                "{% endfor %}<mark>")
        write_json(os.path.join(copy, "tokenizer_config.json"), {"bos_token": "<s>", "chat_template": form})
        for keep in "true", "false":
            said = ["the end", "and on", "so it is"]
            ran = subprocess.run([place.qkv, "chat", copy, "--set", "keep=" + keep, "--max-tokens", "6"],
                                 capture_output=True, input="".join(s + "\n" for s in said), text=True)
            assert ran.returncode == 0, ran
            answers, talked = ran.stdout.split("\n")[:3], []
            for one, answer in zip(said, answers):
                talked.append(one)
                written = "<s>" + "".join("<mark>" + part for part in talked) + "<mark>"
                tokens = place.call(place.qkv, "tokenize", "--weights", copy, "--special", text=written).split()
                expected = place.call(place.qkv, "run", copy, "--tokens", "--max-tokens", "6", "--prompt",
                                      " ".join(tokens[1:])).strip()
                text = place.call(place.qkv, "tokenize", "--weights", copy, "--decode", text="4 " + expected)
                assert answer.strip() == text.strip(), \
                    (name, keep, answer, text)
                if keep == "true":
                    talked.append(answer)


def code(place):
    """Code that a process before made (QKV_CODE): of the same module alone, and only a file that is whole."""
    folder = os.environ["QKV_CODE"]
    files = lambda: sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".code"))
    place.write()
    assert files() == []
    assert place.run("--prompt", "Once") == " upon a time\n" and len(files()) == 1
    with open(files()[0], "rb") as file:
        good = file.read()
    before = os.stat(files()[0]).st_mtime_ns
    assert place.run("--prompt", "Once upon") == " a time\n" and os.stat(files()[0]).st_mtime_ns == before
    for bad in b"", good[:100], good[:-1], good[:-8] + bytes(8), good[:72] + bytes([255] * 8) + good[80:]:
        with open(files()[0], "wb") as file:
            file.write(bad)
        assert place.run("--prompt", "Once") == " upon a time\n"
        with open(files()[0], "rb") as file:
            assert file.read() == good, len(bad)
    # Another page, another processor, other entries.
    with open(place.page) as file:
        text = file.read()
    with open(place.page, "w") as file:
        file.write("# a line more\n" + text)
    for count, options in (2, ()), (3, ("--cpu", "x86-64")), (4, ("--batch", "2")):
        assert place.run(*options, "--prompt", "Once") == " upon a time\n"
        assert len(files()) == count, (count, options)
    os.environ["QKV_CODE"] = place.path("nowhere")
    assert place.run("--prompt", "Once") == " upon a time\n"


def main(qkv, name, *more):
    with tempfile.TemporaryDirectory() as folder:
        os.environ["QKV_CODE"] = os.path.join(folder, "code")  # a page is compiled once
        os.mkdir(os.environ["QKV_CODE"])
        globals()[name](Place(qkv, folder), *more)


if __name__ == "__main__":
    main(*sys.argv[1:])
