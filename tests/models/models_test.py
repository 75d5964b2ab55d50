"""One checkpoint of checkpoints/ in the page of dsl/std/models that serves it, against its figures.

In: the program qkv, the name of a checkpoint. The page is found as a person finds it: by the row of
dsl/std/models/README.md that has the checkpoint's `architectures`. What must hold:

- `qkv run` gives the figures, to 1e-5 of the largest;
- so does the interpreter, to 1e-6;
- any number of positions at a time gives the same bytes as the whole (models over a stream), or, where
  the step computes in another order (REARRANGED), as any other number of them;
- the same checkpoint as a GGUF file (gguf_checkpoint.py) gives the same bytes, or, where the file stores
  numbers that are computed from others (COMPUTED), the same to 1e-5;
- so does one in a layout of earlier years (OLDER), and one of T5 that does not say which T5 it is (BARE);
- of a GGUF file as llama.cpp's converter writes it the logits that llama.cpp itself computed (figures/llama.cpp,
  made by llama_cpp.py), to 1e-3 of the largest;
- a program that was built beside one of them opens the other (EITHER);
- a tensor that is missing, and one of another shape, is an error that names it;
- with QKV_MODELS_VERIFY in the environment (half a minute each), every stage of the compiler agrees
  with the interpreter."""

import array
import json
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]
import gguf_checkpoint  # noqa: E402
import gguf_latent  # noqa: E402
import safetensors  # noqa: E402

PAGES = os.path.join(os.path.dirname(os.path.dirname(HERE)), "dsl", "std", "models")
# A latent is kept instead of keys and values, and the maps behind it are applied to the queries.
REARRANGED = {"deepseek.qkv"}
# The waves are numbers of f32 there, because a tensor may make them longer; a factor of YaRN is a tenth.
COMPUTED = {"llama-2", "llama-3", "deepseek-v2", "deepseek-v3"}
# Files of earlier years had these tensors in one (gguf_latent.py).
OLDER = {"deepseek-v2", "qwen3-next-even"}
# llama.cpp does not scale the logits of T5 1.0: that file is held against the page's own figures.
BARE = {"t5"}
# Built beside one format, their programs open the other.
EITHER = {"gpt2", "qwen3"}
CODES = {"F32": "f", "I64": "q", "BF16": "H"}


def read(path):
    """Element type, shape and values by name, of a safetensors file."""
    return {name: (kind, shape, array.array(CODES[kind], data))
            for name, (kind, shape, data) in safetensors.read(path).items()}


def write(path, tensors):
    safetensors.write(path, {name: (kind, shape, values.tobytes())
                             for name, (kind, shape, values) in tensors.items()})


def page_of(config):
    """The model file, by the first column (its name) and the second (architectures) of the table."""
    with open(os.path.join(PAGES, "README.md")) as file:
        for row in file:
            cells = [cell.strip() for cell in row.split("|")]
            if len(cells) > 3 and config["architectures"][0] in re.findall(r"`(\w+)`", cells[2]):
                return os.path.join(PAGES, re.search(r"\((\S+\.qkv)\)", cells[1]).group(1))
    raise AssertionError(f"no page of the table serves {config['architectures']}")


def difference(given, expected):
    """The largest difference, as a part of the largest value expected."""
    largest = max(map(abs, expected))
    assert len(given) == len(expected) and largest > 0
    assert all(a == a for a in given), "not a number"
    return max(abs(a - b) for a, b in zip(given, expected)) / largest


class Checkpoint:
    def __init__(self, qkv, name, folder):
        self.qkv, self.folder = qkv, folder
        self.weights = os.path.join(HERE, "checkpoints", name)
        with open(os.path.join(self.weights, "config.json")) as file:
            self.page = page_of(json.load(file))
        figures = read(os.path.join(HERE, "figures", name + ".safetensors"))
        mark = "expected."
        self.expected = {n[len(mark):]: t for n, t in figures.items() if n.startswith(mark)}
        self.inputs = os.path.join(folder, "inputs.safetensors")
        write(self.inputs, {n: t for n, t in figures.items() if not n.startswith(mark)})

    def call(self, command, *options, weights=None):
        return subprocess.run([self.qkv, command, self.page, "--weights", weights or self.weights, *options],
                              capture_output=True, text=True)

    def results(self, command, *options, weights=None):
        out = os.path.join(self.folder, "out.safetensors")
        ran = self.call(command, "--input", self.inputs, "--output", out, *options, weights=weights)
        assert ran.returncode == 0, ran.stderr
        return read(out)

    def agrees(self, results, bound, what):
        for name, (_, shape, values) in self.expected.items():
            assert results[name][1] == shape, (what, name, results[name][1], shape)
            error = difference(results[name][2], values)
            print(f"{what}: {name} differs by {error:.2g} of the largest")
            assert error <= bound, (what, name, error)

    def gguf(self, name="model.gguf", write=None):
        """The path of the same checkpoint as GGUF; none where there is no such architecture."""
        tensors = {}
        for tensor, (kind, shape, values) in read(os.path.join(self.weights, "model.safetensors")).items():
            assert kind == "BF16", (tensor, kind)
            floats = array.array("f", array.array("I", [v << 16 for v in values]).tobytes())
            tensors[tensor] = gguf_checkpoint.Array(shape, floats)
        with open(os.path.join(self.weights, "config.json")) as file:
            data = (write or gguf_checkpoint.convert)(json.load(file), tensors)
        if data is None:
            return None
        path = os.path.join(self.folder, name)
        with open(path, "wb") as file:
            file.write(data)
        return path

    def refuses(self, tensors, name):
        """An error whose text has the tensor's name."""
        broken = os.path.join(self.folder, "broken")
        os.makedirs(broken, exist_ok=True)
        write(os.path.join(broken, "model.safetensors"), tensors)
        with open(os.path.join(self.weights, "config.json")) as source, \
             open(os.path.join(broken, "config.json"), "w") as copy:
            copy.write(source.read())
        ran = self.call("run", "--input", self.inputs, weights=broken)
        assert ran.returncode == 1 and name in ran.stderr and len(ran.stderr) < 4000, (name, ran)


def main(qkv, name):
    with tempfile.TemporaryDirectory() as folder:
        os.environ["QKV_CODE"] = folder  # a page is compiled once
        checkpoint = Checkpoint(qkv, name, folder)
        whole = checkpoint.results("run")
        checkpoint.agrees(whole, 1e-5, "run")
        checkpoint.agrees(checkpoint.results("interpret"), 1e-6, "interpret")
        with open(checkpoint.page) as file:
            stream = re.search(r"=\s*stream\(", file.read())
        if stream:
            one, three = (checkpoint.results("run", "--chunk", chunk) for chunk in ("1", "3"))
            assert one == three, "--chunk 1 and --chunk 3 give other bytes"
            if os.path.basename(checkpoint.page) in REARRANGED:
                checkpoint.agrees(one, 1e-5, "run --chunk 1")
            else:
                assert one == whole, "--chunk 1 gives other bytes than the whole"
        gguf = checkpoint.gguf()
        if gguf:
            same = checkpoint.results("run", weights=gguf)
            for result, (_, _, values) in whole.items():
                error = difference(same[result][2], values)
                assert error <= (1e-5 if name in COMPUTED else 0), ("GGUF", result, error)
            checkpoint.agrees(checkpoint.results("interpret", weights=gguf), 1e-5, "interpret, GGUF")
        for names, form in ((OLDER, gguf_latent.older), (BARE, gguf_checkpoint.bare)):
            if name in names:
                other = checkpoint.results("run", weights=checkpoint.gguf("other.gguf", form))
                checkpoint.agrees(other, 1e-5, form.__name__)
        peer = os.path.join(HERE, "figures", "llama.cpp", name + ".safetensors")
        if os.path.exists(peer):
            converted = checkpoint.gguf("converted.gguf", lambda *given: gguf_checkpoint.converted(name, *given))
            results = checkpoint.results("run", weights=converted)
            for result, (_, shape, values) in read(peer).items():
                result = result.removeprefix("expected.")
                error = difference(results[result][2], values)
                print(f"llama.cpp: {result} differs by {error:.2g} of the largest")
                assert results[result][1] == shape and error <= 1e-3, ("llama.cpp", result, error)
        if name in EITHER:
            program, out = os.path.join(folder, "program"), os.path.join(folder, "out.safetensors")
            ran = checkpoint.call("build", "-o", program)
            assert ran.returncode == 0, ran.stderr
            for weights in (checkpoint.weights, gguf):
                subprocess.run([program, "--weights", weights, "--input", checkpoint.inputs, "--output", out],
                               check=True)
                assert read(out) == whole, ("program", weights)
        if os.environ.get("QKV_MODELS_VERIFY"):
            ran = checkpoint.call("verify")
            assert ran.returncode == 0, ran.stdout + ran.stderr

        tensors = read(os.path.join(checkpoint.weights, "model.safetensors"))
        # Biases may be missing; the longest name that ends in "weight" is one of a layer's matrix.
        victim = max((n for n in tensors if n.endswith("weight")), key=len)
        checkpoint.refuses({n: t for n, t in tensors.items() if n != victim}, victim)
        kind, shape, values = tensors[victim]
        checkpoint.refuses({**tensors, victim: (kind, [len(values) - 1], values[1:])}, victim)


if __name__ == "__main__":
    main(*sys.argv[1:])
