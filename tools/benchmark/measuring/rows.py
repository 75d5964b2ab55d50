"""Rows: data of rows.toml, a row for each of its sizes; and how one is measured.

In: a Row. Out: Items, the lines of the report. What holds: references are interleaved with ours; a
figure is a median of nine samples, of three where a call takes more than half a second; a percentage
of the peak counts in quiet runs only.
"""

import dataclasses
import math
import os
import statistics
import tomllib

from .processes import Unmeasured
from .workshop import SOURCES

ROUNDS, ROUNDS_LONG = 9, 3
# OpenBLAS at 1024^3 reads that share of the peak, or the machine is in one of its noisy phases.
QUIET = 0.82


@dataclasses.dataclass
class Row:
    name: str
    model: str  # a file of models/
    unit: str
    sizes: dict
    against: dict
    text: str = ""  # the model itself, in the place of `model`
    work: float = 1.0
    scale: float = 1e9
    flags: tuple = ()
    cpu: str = ""
    weights: str = "f32"
    threads: int = 1
    busy: bool = False
    last: bool = False
    optional: bool = False
    measure: str = "calls"
    limit: float = 0.0
    bytes_of_weights: bool = False  # of generation: what it reads, not its tokens
    beyond_weights: bool = False  # the limit is that much more than the weights
    mean: dict = dataclasses.field(default_factory=dict)
    ints: dict = dataclasses.field(default_factory=dict)
    shape: dict = dataclasses.field(default_factory=dict)
    step: dict = dataclasses.field(default_factory=dict)  # sequences, at, rows, steps: not a whole run
    group: int = 0  # rows of one table, for means over them


@dataclasses.dataclass
class Item:
    """A line of the report. `ratio` is better when larger, whatever is measured."""

    name: str
    ours: float
    reference: float
    bar: float
    unit: str
    less_is_better: bool = False

    @property
    def ratio(self):
        return self.reference / self.ours if self.less_is_better else self.ours / self.reference

    @property
    def holds(self):
        return self.ratio >= self.bar

    def json(self):
        return {"name": self.name, "ours": self.ours, "reference": self.reference,
                "ratio": self.ratio, "bar": self.bar, "holds": self.holds}


def expression(text, sizes):
    """Arithmetic over sizes: `4*H*T*T*D`."""
    return float(eval(text, {"__builtins__": {}}, dict(sizes)))  # data of our own files


def expand(table, shapes, group):
    """The rows of one [[row]]."""
    table = dict(table)
    shape = shapes.get(table.pop("shape", None), {})
    work = table.pop("work", "1")
    for sizes in table.pop("sizes", [{}]):
        all_sizes = {**shape, **sizes}
        step = {key: int(expression(str(value), all_sizes))
                for key, value in table.get("step", {}).items()}
        yield Row(**{**table, "step": step, "name": table["name"].format(**all_sizes), "sizes": all_sizes,
                     "shape": shape, "work": expression(str(work), all_sizes),
                     "against": table.get("against", {}), "group": group})


def load():
    """All rows of rows.toml, and its references by name."""
    with open(os.path.join(SOURCES, "rows.toml"), "rb") as file:
        data = tomllib.load(file)
    rows = []
    for group, table in enumerate(data["row"]):
        rows += expand(table, data["shape"], group)
    return rows, data["reference"]


class Judge:
    """Tells whether the machine is quiet: OpenBLAS against the peak, now."""

    def __init__(self, bench, references):
        self.share = None
        square = Row("", "", "", {"M": 1024, "N": 1024, "K": 1024}, {}, work=2 * 1024.0**3)
        try:
            self.pair = [bench.reference(references[name], square)[0] for name in ("openblas", "peak")]
        except Unmeasured as error:
            self.pair, self.why = None, str(error)

    def quiet(self):
        """None where that cannot be told."""
        if not self.pair:
            return None
        for one in self.pair:
            one.samples = []
        for _ in range(5):
            for one in self.pair:
                one.sample()
        self.share = (statistics.median(self.pair[0].samples) / statistics.median(self.pair[1].samples))
        return self.share >= QUIET


def measure(row, bench, references, judge, options, say):
    """Samples of ours and of each reference: ({reference: samples}, quiet). Ours is under ``."""
    ours = bench.model(row, threads=row.threads, busy=row.busy)
    opened = {"": [ours]}
    try:
        for name in row.against:
            try:
                opened[name] = bench.reference(references[name], row)
            except Unmeasured as error:
                say(f"{row.name}: {name} is left out: {error}")
        contenders = [one for several in opened.values() for one in several]
        longest = max(one.try_out() for one in contenders)
        rounds = ROUNDS_LONG if longest > 0.5 or options.quick else ROUNDS
        for attempt in range(1 if options.quick else options.tries):
            for one in contenders:
                one.samples = []
            before = judge.quiet()
            for _ in range(rounds):
                for one in contenders:
                    one.sample()
            quiet = before and judge.quiet()
            if quiet is None or quiet:
                break
            say(f"{row.name}: a noisy run (OpenBLAS at {judge.share:.0%} of the peak)" +
                (", repeated" if attempt + 1 < options.tries and not options.quick else ""))
        best = {name: max(several, key=lambda one: statistics.median(one.samples)).samples
                for name, several in opened.items()}
        return best, quiet
    finally:
        for several in opened.values():
            for one in several:
                one.close()


def items(row, samples, quiet, say):
    """What the samples say of the row's bars."""
    ours = statistics.median(samples[""])
    for name, bar in row.against.items():
        if name not in samples:
            continue
        if name.startswith("peak") and not quiet:
            why = "the run was noisy" if quiet is not None else "without OpenBLAS nobody knows if " \
                "the run was quiet (--peers)"
            say(f"{row.name}: the share of the peak does not count: {why}")
            continue
        yield Item(f"{row.name} / {name}", ours, statistics.median(samples[name]), bar, row.unit)


def means(row, found):
    """Geometric means over the rows of one table: `found` are their items."""
    for name, bar in row.mean.items():
        of = [item for item in found if item.name.endswith(" / " + name)]
        if len(of) > 1:
            mean = lambda values: math.exp(statistics.fmean(map(math.log, values)))
            kind = row.name.split()[0]
            yield Item(f"{kind}, geometric mean / {name}", mean([i.ours for i in of]),
                       mean([i.reference for i in of]), bar, row.unit)
