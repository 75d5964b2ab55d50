#!/usr/bin/python3
"""1,000 lines of dates through the recurrent rungs of examples/, beside PyTorch and ONNX Runtime.

In:  a built qkv; torch (Debian's python3-torch); onnxruntime-node in a folder of npm's (--npm).
Out: a line for each model: milliseconds of processor time to be ready and for all lines, and how often
     each of the others takes as long as the built program, both counted.
Holds: one run, one thread each, batches of 32 lines, the best of five. The program gets the lines as
     they stand in the file and writes its answers as text; to be ready it starts and reads its weights.
     The others get theirs as tensors, sorted by length, and decode step by step from the state that
     they keep, with code that is warm; to be ready they read their weights (Python, Node and the
     libraries are there already). All answers are compared.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
EXAMPLES = os.path.join(ROOT, "examples")
sys.path[:0] = [EXAMPLES, os.path.join(EXAMPLES, "dates")]
import generate  # noqa: E402
from rungs import ROWS  # noqa: E402
from training import lines, recurrent, rung  # noqa: E402
import torch  # noqa: E402

BATCH, LONGEST, REPEATS = 32, 15, 5
SIZES = {"rnn": 128, "lstm": 96, "gru": 96}


def spent_by(command, given):
    """Milliseconds of processor time of a command that reads a file, and what it writes."""
    with open(given, encoding="utf-8") as file:
        process = subprocess.Popen(command, stdin=file, stdout=subprocess.PIPE)
        out = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"recurrent.py: {' '.join(command)} failed")
    return 1e3 * (usage.ru_utime + usage.ru_stime), out


def program_time(qkv, row, sources, folder):
    """Milliseconds of the built program to be ready, and for all lines; its answers."""
    program = os.path.join(folder, row.name)
    subprocess.run([qkv, "build", row.page, "--model", row.model, "--weights", row.weights,
                    "--with-batch", "-o", program], check=True, capture_output=True)
    given = os.path.join(folder, "lines")
    with open(given, "w", encoding="utf-8") as file:
        file.writelines(source + "\n" for source in sources)
    command = [program, "--batch", str(BATCH), "--threads", "1"]
    ready = min(spent_by(command, os.devnull)[0] for _ in range(REPEATS))
    runs = [spent_by(command, given) for _ in range(REPEATS)]
    whole = min(spent for spent, _ in runs)
    return ready, whole - ready, runs[0][1].decode(errors="replace").split("\n")[:-1]


class Eager(torch.nn.Module):
    """A model of rung 1 or 2 as two steps: read(source, lengths, zero state) and write(token, state)."""
    def __init__(self, kind, p):
        super().__init__()
        E, H = p["embedding.weight"].shape[1], SIZES[kind]
        layer = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[kind]
        self.kind, self.embed = kind, torch.nn.Embedding.from_pretrained(p["embedding.weight"])
        self.reader, self.writer = (layer(E, H, batch_first=True) for _ in range(2))
        for name, module in ("encoder", self.reader), ("decoder", self.writer):
            module.weight_ih_l0.data = p[f"{name}.weight_ih"]
            module.weight_hh_l0.data = p[f"{name}.weight_hh"]
            module.bias_ih_l0.data = p[f"{name}.bias"]
            module.bias_hh_l0.data = torch.zeros_like(p[f"{name}.bias"])
        self.head = torch.nn.Linear(H, lines.V)
        self.head.weight.data, self.head.bias.data = p["output.weight"], p["output.bias"]

    def zeros(self, count):
        return [torch.zeros(1, count, SIZES[self.kind])] * (2 if self.kind == "lstm" else 1)

    def read(self, source, lengths, *state):
        packed = torch.nn.utils.rnn.pack_padded_sequence(self.embed(source), lengths,
                                                         batch_first=True)
        state = self.reader(packed, state if self.kind == "lstm" else state[0])[1]
        return state if self.kind == "lstm" else (state,)

    def write(self, token, *state):
        out, state = self.writer(self.embed(token), state if self.kind == "lstm" else state[0])
        chosen = self.head(out[:, 0]).argmax(-1, keepdim=True)
        return (chosen, *state) if self.kind == "lstm" else (chosen, state)


def decode(model, source, lengths):
    state = model.read(source, lengths, *model.zeros(len(source)))
    token, tokens = torch.full((len(source), 1), lines.START), []
    ended = torch.zeros(len(source), 1, dtype=torch.bool)
    for _ in range(LONGEST):
        token, *state = model.write(token, *state)
        tokens.append(token)
        ended |= token == lines.END
        if ended.all():
            break
    return torch.cat(tokens, 1)


def text(tokens):
    end = tokens.index(lines.END) if lines.END in tokens else len(tokens)
    return bytes(token for token in tokens[:end] if token < 256).decode(errors="replace")


def eager_time(model, batches):
    best, answers = None, None
    with torch.no_grad():
        for _ in range(REPEATS):
            began = time.process_time()
            answers = [text(row) for source, lengths in batches
                       for row in decode(model, source, lengths).tolist()]
            spent = 1e3 * (time.process_time() - began)
            best = spent if best is None else min(best, spent)
    return best, answers


class Part(torch.nn.Module):
    """One method of a model as a module, to be exported."""
    def __init__(self, model, method):
        super().__init__()
        self.model, self.method = model, method

    def forward(self, *arguments):
        return getattr(self.model, self.method)(*arguments)


def onnx_time(model, batches, npm, folder):
    """The same by ONNX Runtime, which peers/recurrent.cjs drives."""
    source, lengths = batches[0]
    state = ["state"] + (["memory"] if model.kind == "lstm" else [])
    with torch.no_grad():
        zeros = model.zeros(len(source))
        begun = model.read(source, lengths, *zeros)
        zero = [name + "_zero" for name in state]
        torch.onnx.export(Part(model, "read"), (source, lengths, *zeros),
                          os.path.join(folder, "read.onnx"),
                          input_names=["source", "lengths", *zero], output_names=state,
                          dynamic_axes={"source": {0: "b", 1: "s"}, "lengths": {0: "b"},
                                        **{name: {1: "b"} for name in state + zero}},
                          opset_version=14)
        torch.onnx.export(Part(model, "write"), (torch.full((len(source), 1), lines.START), *begun),
                          os.path.join(folder, "write.onnx"),
                          input_names=["token", *state],
                          output_names=["chosen", *(name + "_next" for name in state)],
                          dynamic_axes={"token": {0: "b"}, "chosen": {0: "b"},
                                        **{name: {1: "b"} for name in state}}, opset_version=14)
    request = {"folder": folder, "states": state, "values": SIZES[model.kind], "repeats": REPEATS, "longest": LONGEST,
               "start": lines.START, "end": lines.END,
               "batches": [{"source": s.tolist(), "lengths": n.tolist()} for s, n in batches]}
    script = os.path.join(ROOT, "tools", "benchmark", "peers", "recurrent.cjs")
    ran = subprocess.run(["node", script], input=json.dumps(request), capture_output=True, text=True,
                         env={**os.environ, "NODE_PATH": os.path.join(npm, "node_modules")})
    if ran.returncode:
        sys.exit(f"recurrent.py: {ran.stderr}")
    reply = json.loads(ran.stdout)
    return reply["opening"], reply["milliseconds"], [text(row) for row in reply["tokens"]]


def release(version):
    """The first two numbers of a version."""
    return ".".join(version.split(".")[:2])


def onnx_release(npm):
    if not npm:
        return ""
    path = os.path.join(npm, "node_modules", "onnxruntime-node", "package.json")
    with open(path, encoding="utf-8") as file:
        return release(json.load(file)["version"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--qkv", default=os.path.join(ROOT, "build", "bin", "qkv"))
    parser.add_argument("--npm", help="a folder in which `npm install --ignore-scripts "
                                      "onnxruntime-node` was run; without it there is no ONNX "
                                      "Runtime")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # of the export
    pairs = [pair for long in (False, True) for pair in generate.pairs(500, 2, long)]
    order = sorted(range(len(pairs)), key=lambda n: -len(pairs[n][0].encode()))
    batches = [lines.tensors([pairs[n] for n in order[at:at + BATCH]])[:2]
               for at in range(0, len(order), BATCH)]
    others = f"PyTorch {release(torch.__version__)} eager | ONNX Runtime {onnx_release(options.npm)}"
    print(f"| 1,000 lines, batches of {BATCH}, ms | qkv | {others} |\n|---|---|---|---|")
    for row in ROWS:
        if row.name not in SIZES:
            continue
        shapes = recurrent.model(recurrent.one_vector(row.name, SIZES[row.name]), row.name)
        with tempfile.TemporaryDirectory() as folder:
            ready, own, answers = program_time(options.qkv, row, [source for source, _ in pairs],
                                               folder)
            answers = [answers[n] for n in order]
            cells = [f"{ready:.0f} + {own:.0f}"]
            began = time.process_time()
            model = Eager(row.name, rung.read_weights(shapes, row.weights)).eval()
            others = [(1e3 * (time.process_time() - began), *eager_time(model, batches))]
            if options.npm:
                others.append(onnx_time(model, batches, options.npm, folder))
            for opening, spent, other in others:
                same = sum(a == b for a, b in zip(answers, other))
                times = (opening + spent) / (ready + own)
                cells.append(f"{opening:.0f} + {spent:.0f} ({times:.1f} times)" +
                             (f", {len(answers) - same} other answers" if same < len(answers)
                              else ""))
        print(f"| {row.title} | " + " | ".join(cells + ["not measured"] * (3 - len(cells))) + " |",
              flush=True)


if __name__ == "__main__":
    main()
