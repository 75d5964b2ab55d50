"""Turns a row's model and references into contenders: things that can be called and timed.

What holds: all native contenders of a thread count live in one process, so that they meet on the same
core in the same minute; peers of Node have a process each, which sleeps while others are measured.
"""

import contextlib
import os

from . import peers
from .processes import BusyLoop, Process, Unmeasured
from .rows import expression
from .workshop import BUILD, SOURCES, evaluate

MEASURE = os.path.join(BUILD, "bin", "qkv-measure")
# An FMA loop is long enough to measure and short enough to be interleaved; memory exceeds caches.
FMA_ROUNDS = 2_000_000
READ_BYTES = 512 << 20
# What a row says of its step where it says nothing; positions at a time on the way to its depth.
STEP = {"sequences": 1, "at": 0, "rows": 1, "steps": 1}
FILLED_TOGETHER = 128


class Contender:
    """`work`: what a call does, in units of the row; None: the process knows."""

    def __init__(self, process, name, work, scale, around=None):
        self.process, self.name, self.work, self.scale = process, name, work, scale
        self.around = around or contextlib.nullcontext()
        self.samples = []
        self.calls = 1
        self.warm = 1

    def try_out(self):
        """How many calls make a sample: some 20 ms, one where it takes half a second."""
        with self.around:
            seconds = self.process.ask(do="run", name=self.name, warm=1, calls=1)["seconds"][0]
        self.calls = max(1, min(64, int(0.02 / max(seconds, 1e-9))))
        self.warm = 1 if seconds < 2 else 0
        return seconds

    def sample(self):
        with self.around:
            answer = self.process.ask(do="run", name=self.name, warm=self.warm, calls=self.calls)
        work = self.work if self.work is not None else answer["work"]
        seconds = sum(answer["seconds"]) / len(answer["seconds"])
        self.samples.append(work / seconds / self.scale)

    def close(self):
        self.process.ask(do="close", name=self.name)


class Bench:
    """Opens contenders; owns the processes."""

    def __init__(self, workshop):
        self.workshop = workshop
        self.processes = {}
        self.busy = None
        self.count = 0
        available = sorted(os.sched_getaffinity(0))
        self.cpu, self.other = available[-1], available[0] if len(available) > 1 else None

    def close(self):
        for process in self.processes.values():
            process.close()
        if self.busy:
            self.busy.close()

    def process(self, kind, threads=1):
        if (kind, threads) in self.processes:
            return self.processes[kind, threads]
        if threads > 1 and self.other is None:
            raise Unmeasured("there is one core")
        cpus = {self.cpu} if threads == 1 else {self.cpu, self.other}
        if kind == "native":
            made = Process([MEASURE], cpus, {"QKV_THREADS": str(threads), "OPENBLAS_NUM_THREADS": "1",
                                             "OMP_NUM_THREADS": "1", "OPENBLAS_CORETYPE": "Cooperlake"})
        else:
            script = {"onnx": "onnxruntime.cjs", "llama": "llama.cjs"}[kind]
            made = Process(["node", os.path.join(SOURCES, "peers", script)], cpus,
                           peers.node_environment())
        self.processes[kind, threads] = made
        return made

    def _open(self, process, amount, scale, around=None, **how):
        self.count += 1
        name = f"{how['kind']}{self.count}"
        process.ask(do="open", name=name, **how)
        return Contender(process, name, amount, scale, around)

    def model(self, row, flags=(), threads=1, busy=False, step=None, work=None):
        """Our own: `row` is one that expand() made. `step` and `work` may be other than the row's."""
        flags = [*row.flags, *flags]
        step = {**STEP, **row.step, **(step or {})} if row.step else None
        if step:
            flags += ["--with-steps", "--with-batch"]
        if row.cpu:
            flags += ["--cpu", row.cpu]
        sizes = row.sizes
        model = self.workshop.text(row.text) if row.text else row.model
        library, weights = self.workshop.build(model, sizes, flags, row.weights)
        description = self.workshop.description(model, sizes)
        known, stream = [], {}
        for number, size in enumerate(description["sizes"]):
            if step and size["stream"]:
                stream = {"stream": number, "together": max(step["rows"], FILLED_TOGETHER)}
                known.append(stream["together"])
                continue
            if size["name"] not in sizes:
                raise Unmeasured(f"the row does not say size {size['name']}")
            known.append(sizes[size["name"]])

        def tensor(value, axes):
            count = 1
            for axis in axes:
                count *= evaluate(axis["extent"], known)
            ints = row.ints.get(value["name"], {})
            if isinstance(ints, str):  # below this size
                ints = {"high": sizes[ints]}
            return {"type": value["type"], "count": count, **ints}

        results = [tensor(value, value["axes"][1:] if row.last else value["axes"])
                   for value in description["results"]]
        around = None
        if busy:
            if self.other is None:
                raise Unmeasured("there is one core")
            self.busy = self.busy or BusyLoop(self.other)
            around = self.busy
        return self._open(
            self.process("native", threads), row.work if work is None else work, row.scale, around,
            kind="steps" if step else "model", **(step or {}), **stream, library=library, prefix=description["name"], weights=weights, sizes=known,
            inputs=[tensor(value, value["axes"]) for value in description["inputs"]],
            results=results, last=row.last)

    def reference(self, how, row):
        """The contenders of a reference, the fastest of which counts."""
        kind, sizes = how["kind"], row.sizes
        if kind == "fma":
            lanes = how.get("lanes") or self.process("native").ask(do="lanes")["lanes"]
            return [self._open(self.process("native"), None, 1e9, kind="fma", lanes=lanes,
                               rounds=FMA_ROUNDS)]
        if kind == "read":
            return [self._open(self.process("native"), None, 1e9, kind="read", bytes=READ_BYTES)]
        if kind == "plugin":
            library = self.workshop.plugin(how["source"], how["link"])
            return [self._open(self.process("native"), row.work, row.scale, kind="plugin",
                               library=library, numbers=[sizes[n] for n in how["numbers"]])]
        if kind == "self":
            step, work = how.get("step"), None
            if step:  # the same positions, or those of one sequence
                step = {key: int(expression(str(value), sizes)) for key, value in step.items()}
                work = row.work * expression(str(how.get("work", 1)), sizes)
            return [self.model(row, how.get("flags", ()), how.get("threads", row.threads), step=step,
                               work=work)]
        if kind == "onnx":
            process, made, why = self.process("onnx"), [], None
            for graph in how["graphs"]:
                file, feeds = self.workshop.onnx(graph, sizes)
                try:
                    made.append(self._open(process, row.work, row.scale, kind="onnx", model=file,
                                           feeds=feeds, threads=1))
                except Unmeasured as error:
                    why = error
            if not made:
                raise why
            return made
        if kind == "llama":
            file = self.workshop.gguf(row.shape, row.weights)
            tokens = sizes["T"] if how["work"] == "prompt" else sizes["N"]
            return [self._open(self.process("llama"), tokens, 1, kind="llama", model=file, threads=1,
                               work=how["work"], tokens=tokens)]
        raise ValueError(f"rows.toml: no kind of reference {kind}")
