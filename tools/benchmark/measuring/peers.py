"""Installs what is measured against: OpenBLAS and oneDNN from Debian, ONNX Runtime and llama.cpp from
npm (prebuilt native libraries, under build/peers). Says which of them are there."""

import os
import shutil
import subprocess

from .processes import Unmeasured
from .workshop import BUILD

FOLDER = os.path.join(BUILD, "peers")
DEBIAN = ["libopenblas-dev", "libdnnl-dev", "g++"]
NPM = ["onnxruntime-node", "@node-llama-cpp/linux-x64"]


def _installed(package):
    ran = subprocess.run(["dpkg-query", "-W", "-f=${db:Status-Status}", package],
                         capture_output=True, text=True)
    return ran.stdout.strip() == "installed"


def install(say):
    """What is missing; what cannot be installed is said, and its rows are left out."""
    packages = [package for package in DEBIAN if not _installed(package)]
    if not shutil.which("npm"):
        packages += ["nodejs", "npm"]
    if packages:
        root = [] if os.geteuid() == 0 else ["sudo", "-n"]
        say("installing " + " ".join(packages))
        for command in (["apt-get", "update", "-q"],
                        ["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages]):
            ran = subprocess.run(root + command, capture_output=True, text=True)
            if ran.returncode != 0:
                say("as root, run: apt-get update && apt-get install -y " + " ".join(packages))
                break
    missing = [name for name in NPM if not os.path.isdir(os.path.join(FOLDER, "node_modules", name))]
    if missing and shutil.which("npm"):
        os.makedirs(FOLDER, exist_ok=True)
        say("installing " + " ".join(missing))
        # Without their scripts, which would fetch what is for other processors.
        ran = subprocess.run(["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund",
                              "--prefix", FOLDER, *missing], capture_output=True, text=True)
        if ran.returncode != 0:
            say("npm cannot install " + " ".join(missing) + ":\n" + ran.stderr.strip())


def node_environment():
    """For the scripts of peers/. Raises where Node or its packages are missing."""
    modules = os.path.join(FOLDER, "node_modules")
    if not shutil.which("node") or not os.path.isdir(modules):
        raise Unmeasured("it is not installed (--peers installs it)")
    return {"NODE_PATH": modules,
            "QKV_LLAMA_BINS": os.path.join(modules, "@node-llama-cpp", "linux-x64", "bins", "linux-x64")}
