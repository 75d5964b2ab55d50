"""Rows that are measured from outside: programs that are built, started, looked at.

In: a Row. Out: samples of one figure. A call above half a second: three samples, else nine.
"""

import contextlib
import os
import statistics
import subprocess
import tempfile
import time

from . import tensors
from .processes import Unmeasured
from .rows import ROUNDS, ROUNDS_LONG
from .workshop import QKV

PROMPT = "the quick brown fox jumps over the lazy dog, and then it sleeps; "


def _environment():
    return {**os.environ, "QKV_THREADS": "1"}


@contextlib.contextmanager
def _bound(cpu):
    """Processes started meanwhile run on one core. (A function between fork and exec would have the
    whole of this process copied first, which takes longer than what some rows measure.)"""
    usual = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, usual)


def run(command, cpu, stdin=""):
    """Seconds, and the peak of resident memory in bytes."""
    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as given:
        given.write(stdin)
        given.seek(0)
        started = time.perf_counter()
        with _bound(cpu):
            child = subprocess.Popen(command, stdin=given, stdout=subprocess.DEVNULL, stderr=said,
                                     env=_environment())
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            said.seek(0)
            lines = said.read().strip().splitlines()
            raise Unmeasured(lines[-1] if lines else f"{command[0]} ends with {child.returncode}")
    return seconds, usage.ru_maxrss * 1024


def repeat(once):
    """Samples of once(), as many as its length allows. The first is not counted: it fills caches."""
    started = time.perf_counter()
    once()
    long = time.perf_counter() - started > 0.5
    return [once() for _ in range(ROUNDS_LONG if long else ROUNDS)]


def build(row, bench):
    weights, _ = bench.workshop.weights(row.model, row.sizes)
    file = bench.workshop.model_file(row.model)
    with tempfile.TemporaryDirectory() as folder:
        command = [QKV, "build", file, "--no-weights", "--weights", weights, "-o", folder + "/model"]
        return repeat(lambda: run(command, bench.cpu)[0])


def first_token(row, bench):
    """From the command to the first token. The weights are in the file that a build wrote: it is
    mapped as it is, so that the time is the compiler's and the model's, not that of packing."""
    _, weights = bench.workshop.build(row.model, row.sizes, row.flags, library=False)
    command = [QKV, "run", bench.workshop.model_file(row.model), "--weights", weights, "--prompt",
               PROMPT[:8], "--max-tokens", "1"]
    return repeat(lambda: run(command, bench.cpu)[0])


def binary(row, bench):
    program, _ = bench.workshop.build(row.model, row.sizes, row.flags, library=False)
    return [os.path.getsize(program) / 1e6]


def start_up(row, bench):
    """From the command to the results, for a function with next to nothing to compute."""
    program, _ = bench.workshop.build(row.model, row.sizes, row.flags, library=False)
    description = bench.workshop.description(row.model, row.sizes)
    with tempfile.TemporaryDirectory() as folder:
        path = folder + "/in.safetensors"
        shape = (row.sizes["H"], row.sizes["T"], row.sizes["D"])
        tensors.write_safetensors(path, [(value["name"], shape) for value in description["inputs"]])
        return repeat(lambda: 1e3 * run([program, "--input", path, "--output", "/dev/null"],
                                        bench.cpu)[0])


def _generate(row, bench, tokens, prompt):
    program, _ = bench.workshop.build(row.model, row.sizes, row.flags, row.weights, library=False)
    return run([program, "--prompt", prompt, "--max-tokens", str(tokens)], bench.cpu)


def generation(row, bench):
    """Tokens a second behind the first one, or the gigabytes of weights that they read."""
    tokens = row.sizes["N"]
    _, weights = bench.workshop.build(row.model, row.sizes, row.flags, row.weights, library=False)
    each = os.path.getsize(weights) / 1e9 if row.bytes_of_weights else 1

    def once():
        longer = _generate(row, bench, tokens + 1, PROMPT[:8])[0]
        return each * tokens / (longer - _generate(row, bench, 1, PROMPT[:8])[0])

    return repeat(once)


def memory(row, bench):
    """Megabytes at most at a time. (The limit is beyond the weights as they are held.)"""
    prompt = (PROMPT * (row.sizes["T"] // len(PROMPT) + 1))[:row.sizes["T"] - 1]
    return [_generate(row, bench, 1, prompt)[1] / 1e6]


def limit(row, bench):
    """The row's, in the unit of its figure."""
    if not row.beyond_weights:
        return row.limit
    _, weights = bench.workshop.build(row.model, row.sizes, row.flags, row.weights, library=False)
    return row.limit + (os.path.getsize(weights) / 1e6 if weights else 0)


MEASURES = {"build": build, "first-token": first_token, "binary": binary, "start-up": start_up,
            "generation": generation, "memory": memory}


def measure(row, bench, references, say):
    """Samples of ours under ``, of references under their names."""
    samples = {"": MEASURES[row.measure](row, bench)}
    for name in row.against:
        try:
            opened = bench.reference(references[name], row)
        except Unmeasured as error:
            say(f"{row.name}: {name} is left out: {error}")
            continue
        for one in opened:
            one.try_out()
            for _ in samples[""]:
                one.sample()
        samples[name] = max((one.samples for one in opened), key=statistics.median)
        for one in opened:
            one.close()
    return samples
