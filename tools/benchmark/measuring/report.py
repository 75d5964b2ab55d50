"""What was measured, for people, programs and the history."""

import datetime
import json
import os
import statistics
import subprocess

from .workshop import ROOT


def commit():
    def git(*arguments):
        ran = subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True)
        return ran.stdout.strip() if ran.returncode == 0 else ""

    name = git("rev-parse", "--short=10", "HEAD") or "unknown"
    return name + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")


def cpu():
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                name = line.split(":", 1)[1].strip()
                break
        else:
            name = "unknown"
    return f"{name}, {os.cpu_count()} cores"


def figure(value):
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def line(item):
    return (f"{'ok ' if item.holds else 'LOW'}  {item.name}: {figure(item.ours)} against "
            f"{figure(item.reference)} {item.unit}, {item.ratio:.2f}x, bar {item.bar:g}x")


def markdown(items):
    """A table for the README, with where it comes from."""
    rows = ["| what | qkv | reference | ratio | bar |", "|---|---|---|---|---|"]
    for item in items:
        ratio = f"{item.ratio:.2f}" + ("" if item.holds else " (missed)")
        rows.append(f"| {item.name} | {figure(item.ours)} {item.unit} | {figure(item.reference)} | "
                    f"{ratio} | {item.bar:g} |")
    day = datetime.date.today().isoformat()
    rows.append(f"\nMeasured by `tools/bench` at commit {commit()} on {cpu()}, {day}.")
    return "\n".join(rows) + "\n"


class History:
    """A line of JSON for each row that was measured, appended."""

    def __init__(self, path):
        self.path = path
        self.commit, self.cpu = commit(), cpu()

    def add(self, row, samples, quiet):
        def of(values):
            return {"min": min(values), "median": statistics.median(values), "max": max(values)}

        entry = {
            "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "commit": self.commit, "cpu": self.cpu, "row": row.name, "sizes": row.sizes,
            "threads": row.threads, "unit": row.unit, "quiet": quiet, "ours": of(samples[""]),
            "references": {name: of(values) for name, values in samples.items() if name},
        }
        os.makedirs(os.path.dirname(os.path.abspath(self.path)), exist_ok=True)
        with open(self.path, "a") as file:
            file.write(json.dumps(entry) + "\n")
