"""Trains the models of one rung, counts the lines they get right, computes figures for the tests.

In:  a table of models by name, each a Model: shapes of its parameters, how they begin, and what
     it computes. The rungs' train.py hand it to main().
Out: NAME.safetensors with the weights, whose names and shapes are those of the model's page; with
     --evaluate a table of accuracy by length; with --figures figures/NAME-plain.safetensors and
     NAME-long.safetensors, the inputs and logits of a line each, and NAME-text.txt, what is written
     for 1,000 lines.
Holds: every model of every rung sees the same lines for a seed, under the same schedule. A training
     that was interrupted goes on where it stopped, to the same weights.
"""

import argparse
import os
import sys
from dataclasses import dataclass
from typing import Callable

import torch

from . import fit, lines, tensors


@dataclass
class Model:
    """encode(p, source[B,S], lengths[B]) says what the decoder may know of the source;
    decode(p, memory, tokens[B,T]) gives logits[B,T,V] for the tokens after those."""
    shapes: dict        # a parameter's shape by its name
    begin: Callable     # begin(name, zeros) fills a parameter before training
    encode: Callable
    decode: Callable
    rate: float = 3e-3  # the highest learning rate
    steps: int = 1600   # batches
    stream: Callable = None  # of a model without a source beside its stream: stream(p, source,
                             # tokens) gives the whole stream and the logits at all its positions


PLAIN = " Thu, the 7th of DECEMBER,  2023"
LONG = "item no. 4711, 12 seats paid on Thursday, 7 Dec 2023 in the hall, page 3 of 30."
DATE = "2023-12-07"


def new_parameters(model, seed):
    torch.manual_seed(seed)
    p = {}
    for name, shape in model.shapes.items():
        p[name] = torch.zeros(shape)
        model.begin(name, p[name])
    return p


def loss_of(model, p, source, lengths, target):
    logits = model.decode(p, model.encode(p, source, lengths), target[:, :-1])
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), target[:, 1:].flatten())


def train(model, path, options):
    settings = {"seed": options.seed, "steps": options.steps or model.steps,
                "batch": options.batch, "rate": options.rate or model.rate}
    steps, peak = settings["steps"], settings["rate"]
    p = new_parameters(model, options.seed)
    fit.fit(path, p, torch.optim.Adam(p.values(), betas=(0.9, 0.98)),
            lambda first: lines.batches(first, steps, options.batch, options.seed),
            lambda batch: loss_of(model, p, *batch),
            lambda step: fit.learning_rate(step, steps, peak), settings, write_weights,
            options.fresh)


def write_weights(path, p):
    tensors.write(path, {name: w.numpy() for name, w in p.items()})


def read_weights(model, path, dtype=torch.float32):
    """The trained parameters; ends the program where there are none."""
    if not os.path.exists(path):
        sys.exit(f"train.py: {path} is missing; train first")
    p = {name: torch.from_numpy(w).to(dtype) for name, w in tensors.read(path).items()}
    if {name: tuple(w.shape) for name, w in p.items()} != model.shapes:
        sys.exit(f"train.py: {path} holds other parameters than this model's")
    return p


def answers(model, p, source, lengths, steps=11):
    """The most likely next token each time: [B,steps]."""
    memory = model.encode(p, source, lengths)
    tokens = torch.full((len(lengths), 1), lines.START)
    for _ in range(steps):
        last = model.decode(p, memory, tokens)[:, -1]
        tokens = torch.cat([tokens, last.argmax(-1, keepdim=True)], 1)
    return tokens[:, 1:]


def evaluate(model, path, options):
    """Prints how many of 1,000 plain and 1,000 long lines get exactly their date, by length."""
    p = read_weights(model, path)
    for long in False, True:
        pairs = sorted(lines.tests(long, options.count), key=lambda pair: -len(pair[0].encode()))
        right, total = {}, {}
        for start in range(0, len(pairs), 250):
            source, lengths, target = lines.tensors(pairs[start:start + 250])
            with torch.no_grad():
                good = (answers(model, p, source, lengths) == target[:, 1:]).all(1)
            for length, is_good in zip(lengths.tolist(), good.tolist()):
                last = -(-length // 16) * 16
                total[last] = total.get(last, 0) + 1
                right[last] = right.get(last, 0) + is_good
        by_length = ", ".join(f"to {last} bytes {100 * right[last] / total[last]:.1f} %"
                              for last in sorted(total))
        print(f"{os.path.basename(path)[:-12]}, {'long' if long else 'plain'}: "
              f"{sum(right.values())} of {len(pairs)} exact: {by_length}", flush=True)


def figures(model, path):
    """Writes the inputs and logits of two lines, computed in double precision, rounded once, and the
    text of many."""
    p = read_weights(model, path, torch.float64)
    for kind, line in ("plain", PLAIN), ("long", LONG):
        source, lengths, target = lines.tensors([(line, DATE)])
        tokens, arrays = target[:, :-1], {}
        with torch.no_grad():
            if model.stream:
                tokens, logits = model.stream(p, source, tokens)
            else:
                arrays["source"] = source[0].numpy()
                logits = model.decode(p, model.encode(p, source, lengths), tokens)
        arrays["tokens"], arrays["logits"] = tokens[0].numpy(), logits[0].float().numpy()
        folder, name = os.path.split(path)
        output = os.path.join(folder, "figures", name.replace(".", f"-{kind}."))
        os.makedirs(os.path.dirname(output), exist_ok=True)
        tensors.write(output, arrays)
        print(f"wrote {os.path.relpath(output)}, {os.path.getsize(output)} bytes", flush=True)
    write_text(model, read_weights(model, path), output.replace("-long.safetensors", "-text.txt"))


def write_text(model, p, output, count=500, longest=15):
    """Writes what follows 500 plain and 500 long lines, a line each, up to the end mark."""
    text = []
    for long in False, True:
        pairs = lines.tests(long, count)
        order = sorted(range(count), key=lambda n: -len(pairs[n][0].encode()))
        part = [b""] * count
        for start in range(0, count, 250):
            chosen = order[start:start + 250]
            source, lengths, _ = lines.tensors([pairs[n] for n in chosen])
            with torch.no_grad():
                for n, tokens in zip(chosen, answers(model, p, source, lengths, longest).tolist()):
                    end = tokens.index(lines.END) if lines.END in tokens else longest
                    part[n] = bytes(token for token in tokens[:end] if token < lines.START)
        text += part
    with open(output, "wb") as file:
        file.write(b"".join(line + b"\n" for line in text))
    print(f"wrote {os.path.relpath(output)}, {os.path.getsize(output)} bytes", flush=True)


def main(folder, models):
    """The command line of a rung's train.py. models: a Model by the name of its weights."""
    parser = argparse.ArgumentParser(
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Trains the models of this rung: " + ", ".join(models) + ".",
        epilog="examples:\n"
               "  train.py                   train all, or go on where a training was interrupted\n"
               f"  train.py {next(iter(models)):17} train one\n"
               "  train.py --evaluate        exact lines of another seed, by length\n"
               "  train.py --figures         logits of two lines and text of 1,000, for the tests")
    parser.add_argument("models", nargs="*", metavar="MODEL", help="default: all")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--evaluate", action="store_true", help="check what was trained")
    mode.add_argument("--figures", action="store_true", help="write figures for the tests")
    parser.add_argument("--fresh", action="store_true", help="ignore an interrupted training")
    parser.add_argument("--seed", type=int, default=1, help="of training (default: 1)")
    parser.add_argument("--steps", type=int, help="batches (default: the model's)")
    parser.add_argument("--batch", type=int, default=64, help="lines of a batch (default: 64)")
    parser.add_argument("--rate", type=float, help="highest learning rate (default: the model's)")
    parser.add_argument("--threads", type=int, default=1, help="of torch (default: 1)")
    parser.add_argument("--count", type=int, default=1000,
                        help="lines of each kind to evaluate (default: 1000)")
    options = parser.parse_args()
    for name in options.models:
        if name not in models:
            parser.error(f"there is no model {name}; there are {', '.join(models)}")
    torch.set_num_threads(options.threads)
    for name in options.models or models:
        path = os.path.join(folder, name + ".safetensors")
        if options.evaluate:
            evaluate(models[name], path, options)
        elif options.figures:
            figures(models[name], path)
        else:
            print(f"training {name}", flush=True)
            train(models[name], path, options)
