"""The grid of grid.toml as rows: a pairwise cover of its lists, its corners first.

What holds: the same file gives the same rows in the same order; each has a model text of its own.
"""

import itertools
import os
import tomllib

from .rows import Row, expression
from .workshop import SOURCES


def pairwise(lists):
    """Few tuples in which every two values of different lists meet. Greedy: a tuple starts with a
    pair that has not met yet; each further value is the one that meets most new ones."""
    pairs = itertools.combinations(range(len(lists)), 2)
    unmet = {((a, x), (b, y)) for a, b in pairs for x in range(len(lists[a]))
             for y in range(len(lists[b]))}
    while unmet:
        chosen = dict(min(unmet))
        for axis in range(len(lists)):
            if axis in chosen:
                continue

            def gain(value):
                return sum(tuple(sorted([(axis, value), other])) in unmet for other in chosen.items())

            chosen[axis] = max(range(len(lists[axis])), key=lambda value: (gain(value), -value))
        met = {pair for pair in itertools.combinations(sorted(chosen.items()), 2)}
        unmet -= met
        yield tuple(lists[axis][chosen[axis]] for axis in range(len(lists)))


def _points(data):
    for corner in data["corner"]:
        for point in itertools.product(corner["length"], corner["width"], corner["heads"]):
            yield (*point, 1, "dot", "none")
    yield from pairwise([data["lengths"], data["widths"], data["heads"], data["shared"],
                         list(data["score"]), list(data["guard"])])


def load():
    with open(os.path.join(SOURCES, "grid.toml"), "rb") as file:
        data = tomllib.load(file)
    rows, seen = [], set()
    for length, width, heads, shared, score_name, guard_name in _points(data):
        score, guard = data["score"][score_name], data["guard"][guard_name]
        shared = shared if heads % shared == 0 else 1
        groups = heads // shared
        sizes = {"T": length, "D": width, "R": shared}
        pair = expression(score["work"], sizes) + 2 * width
        while groups > 1 and groups * shared * length**2 * pair > data["seconds"] * data["rate"]:
            groups //= 2
        sizes["G"] = groups
        name = (f"grid T={length} d={width} heads={groups * shared}/{groups} score={score_name} "
                f"guard={guard_name}")
        if name in seen:
            continue
        seen.add(name)
        text = data["model"].format(
            inputs=score.get("inputs", "") + guard.get("inputs", ""), score=score["text"],
            declarations=score.get("declarations", ""), guard=guard["text"]).lstrip()
        ints = {name: {"low": int(expression(how["low"], sizes)),
                       "high": int(expression(how["high"], sizes)), "steps": how.get("steps", False)}
                for name, how in guard.get("ints", {}).items()}
        bar = max([data["bar"], *(b for t, b in data["bars"].items() if length == int(t))])
        rows.append(Row(name=name, model="", text=text, unit="GFLOP/s", sizes=sizes,
                        work=groups * shared * length**2 * pair * guard.get("share", 1.0),
                        against={"unfused": bar}, ints=ints, group=len(rows)))
    return rows
