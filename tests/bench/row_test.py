"""A row of tools/bench, measured to the end by the programs of a build folder (the argument)."""

import json
import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
build = sys.argv[1]

with tempfile.TemporaryDirectory() as folder:
    history = os.path.join(folder, "history.jsonl")
    # The limit of a size holds on any machine, and needs nothing that is not built here.
    ran = subprocess.run(
        [sys.executable, "-B", os.path.join(ROOT, "tools", "bench"), "--no-build", "--quick", "--json",
         "--rows", "^a binary: a function of tensors$|^gemm 128x768x768$", "--history", history],
        capture_output=True, text=True, env={**os.environ, "QKV_BENCH_BUILD": build})
    assert ran.returncode == 0, ran.stderr
    items = json.loads(ran.stdout)
    assert any(item["name"] == "a binary: a function of tensors" and item["holds"] for item in items), items
    for item in items:
        assert set(item) == {"name", "ours", "reference", "ratio", "bar", "holds"}, item
        assert item["ours"] > 0 and item["reference"] > 0 and item["ratio"] > 0, item
    with open(history) as file:
        entries = [json.loads(line) for line in file]
    assert [entry["row"] for entry in entries] == ["gemm 128x768x768", "a binary: a function of tensors"]
    gemm = entries[0]
    assert 0 < gemm["ours"]["min"] <= gemm["ours"]["median"] <= gemm["ours"]["max"], gemm
    assert gemm["sizes"] == {"M": 128, "N": 768, "K": 768} and gemm["commit"] and gemm["cpu"], gemm
