"""Processes that measure: they take a JSON object a line and answer with one.

What holds: only the process that was asked works; the others wait for their next line.
"""

import json
import os
import signal
import subprocess
import sys


class Unmeasured(Exception):
    """Why a row, or one reference of it, cannot be measured here."""


class Process:
    def __init__(self, command, cpus, environment=None):
        # Some machines set these for old libraries; a reference shall be as fast as it can.
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
        self.child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**inherited, **(environment or {})},
            preexec_fn=lambda: os.sched_setaffinity(0, cpus))

    def ask(self, **request):
        try:
            self.child.stdin.write(json.dumps(request) + "\n")
            self.child.stdin.flush()
            line = self.child.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise Unmeasured(f"{os.path.basename(self.child.args[0])} ended with {self.child.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise Unmeasured(answer["error"])
        return answer

    def close(self):
        self.child.stdin.close()
        try:
            self.child.wait(5)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()


class BusyLoop:
    """Another program that wants a core: `with busy:` it runs, otherwise it is stopped."""

    def __init__(self, cpu):
        self.child = subprocess.Popen([sys.executable, "-c", "while True: pass"],
                                      preexec_fn=lambda: os.sched_setaffinity(0, {cpu}))
        self.child.send_signal(signal.SIGSTOP)

    def __enter__(self):
        self.child.send_signal(signal.SIGCONT)

    def __exit__(self, *_):
        self.child.send_signal(signal.SIGSTOP)

    def close(self):
        self.child.kill()
        self.child.wait()
