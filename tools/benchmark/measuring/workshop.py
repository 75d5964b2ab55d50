"""Makes what is measured: models compiled by qkv, plugins compiled by cc, weights, peers' files.

In: names and shapes of rows.toml. Out: files under build/bench, kept as long as what they are made
from stays the same.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess

from . import onnx, tensors
from .processes import Unmeasured

SOURCES = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROOT = os.path.dirname(os.path.dirname(SOURCES))
BUILD = os.environ.get("QKV_BENCH_BUILD") or os.path.join(ROOT, "build")
QKV = os.path.join(BUILD, "bin", "qkv")


def evaluate(extent, sizes):
    """An extent of a description: postfix text over the sizes."""
    stack = []
    for word in extent.split():
        if word[0] == "s" and word[1:].isdigit():
            stack.append(sizes[int(word[1:])])
        elif re.fullmatch(r"-?\d+", word):
            stack.append(int(word))
        else:
            right = stack.pop()
            left = stack.pop()
            stack.append({"+": left + right, "-": left - right, "*": left * right,
                          "/": left // right if right else 0,
                          "%": left % right if right else 0}[word])
    return stack.pop()


class Workshop:
    def __init__(self, folder, say):
        self.folder = folder
        self.say = say
        os.makedirs(folder, exist_ok=True)

    def _place(self, *parts):
        """A folder of its own for what these parts say."""
        digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
        path = os.path.join(self.folder, digest)
        os.makedirs(path, exist_ok=True)
        return path

    def _run(self, command, what):
        ran = subprocess.run(command, capture_output=True, text=True)
        if ran.returncode != 0:
            lines = (ran.stderr + ran.stdout).strip().splitlines()
            raise Unmeasured(f"{what}: {lines[-1] if lines else f'exit code {ran.returncode}'}")
        return ran.stdout

    def model_file(self, model):
        """A file of models/, or a path made by text()."""
        return model if os.path.sep in model else os.path.join(SOURCES, "models", model + ".qkv")

    def text(self, text):
        """A model given as text."""
        path = os.path.join(self._place("text", text), "model.qkv")
        if not os.path.exists(path):
            with open(path, "w") as file:
                file.write(text)
        return path

    def named(self, model, sizes):
        """Those of the sizes that a model reads from its configuration; the others are of its inputs."""
        with open(self.model_file(model)) as file:
            page = file.read()
        return {name: size for name, size in sizes.items() if f'config("{name}"' in page}

    def configuration(self, model, sizes):
        """A folder with a config.json that holds the sizes."""
        sizes = self.named(model, sizes)
        path = self._place("configuration", sizes)
        file = os.path.join(path, "config.json")
        if not os.path.exists(file):
            with open(file, "w") as out:
                json.dump(sizes, out)
        return path

    def description(self, model, sizes):
        """What qkv says of a model: inputs, results, parameters, dynamic sizes."""
        text = self._run([QKV, "ir", "--full", "--stage", "graph", "--weights", self.configuration(model, sizes),
                          self.model_file(model)], "qkv ir")
        found = re.search(r'qkv\.description = "((?:[^"\\]|\\.)*)"', text)
        if not found:
            raise Unmeasured("the graph stage has no description")
        plain = re.sub(r"\\([0-9A-F]{2})", lambda hex: chr(int(hex[1], 16)), found[1])
        return json.loads(plain.replace("\\\\", "\\"))

    def weights(self, model, sizes, element="f32"):
        """A folder with config.json and random weights for all parameters."""
        description = self.description(model, sizes)
        wanted, seen = [], set()
        for parameter in description["params"]:
            stored = parameter["stored"][0]  # as safetensors have it
            if stored["place"] or stored["value"]:
                raise Unmeasured(f"{parameter['name']} is not stored as it is used")
            stacked = set(stored["stacked"])
            shape = [n for axis, n in enumerate(parameter["shape"]) if axis not in stacked]
            for name in stored["names"]:
                if name not in seen:
                    seen.add(name)
                    wanted.append((name, shape))
        path = self._place("weights", self.named(model, sizes), wanted, element)
        if not os.path.exists(os.path.join(path, "config.json")):
            with open(os.path.join(path, "config.json"), "w") as out:
                json.dump(self.named(model, sizes), out)
        file = os.path.join(path, "model.safetensors")
        if wanted and not os.path.exists(file):
            self.say(f"writing weights of {os.path.basename(self.model_file(model))}")
            tensors.write_safetensors(file, wanted, element)
        return path, bool(wanted)

    def build(self, model, sizes, flags=(), element="f32", library=True):
        """Compiles a model; returns the output's path. Built again when qkv is newer."""
        weights, has_weights = self.weights(model, sizes, element)
        file = self.model_file(model)
        with open(file) as source:
            place = self._place("build", source.read(), sizes, list(flags), element, library)
        output = os.path.join(place, "model.so" if library else "model")
        newest = max(os.path.getmtime(path) for path in (QKV, file))
        if not os.path.exists(output) or os.path.getmtime(output) < newest:
            command = [QKV, "build", file, "-o", output, "--weights", weights, *flags]
            if library:
                command.append("--shared")
            self._run(command, "qkv build" + "".join(" " + flag for flag in flags))
        return output, output + ".weights" if has_weights else None

    def plugin(self, source, link):
        path = os.path.join(SOURCES, "peers", source)
        output = os.path.join(self._place("plugin", source, link), "plugin.so")
        if not os.path.exists(output) or os.path.getmtime(output) < os.path.getmtime(path):
            cpp = source.endswith(".cpp")
            self._run(["c++" if cpp else "cc", "-O3", "-march=native", "-shared", "-fPIC", path, "-o",
                       output, *link], source)
        return output

    def onnx(self, graph, sizes):
        path = os.path.join(self._place("onnx", graph, sizes), graph + ".onnx")
        model, feeds = onnx.GRAPHS[graph](sizes)
        with open(path, "wb") as out:
            out.write(model)
        return path, feeds

    def gguf(self, shape, element):
        path = os.path.join(self._place("gguf", shape, element), "model.gguf")
        if not os.path.exists(path):
            self.say("writing weights for llama.cpp")
            tensors.write_gguf(path, shape, element)
        return path

    def clear(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder)
