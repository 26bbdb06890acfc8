#!/usr/bin/env python3
"""The materializer over one large log: peak memory, throughput, and its receipt under sha256sum.

    materializer_memory.py [MEGABYTES] [--text CHARS]

Fails if a run takes 200 MB or more. $BIN is where the binaries are.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import make_kb

BIN = pathlib.Path(os.environ["BIN"])
LIMIT_MB = 200
# Of a process that runs nothing but the materializer: ru_maxrss of the children is the largest of them.
RUNNER = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE)
sys.stdout.buffer.write(done.stdout)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(done.returncode)
"""


def measured(root, *args):
    began = time.monotonic()
    command = [sys.executable, "-c", RUNNER, str(BIN / "materializer"), "--root", str(root), "--json", *args]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - began
    if done.returncode != 0:
        sys.exit(f"materializer {args} ended with {done.returncode}: {done.stderr}")
    peak = int(done.stderr.strip().splitlines()[-1]) / 1024
    return json.loads(done.stdout), peak, seconds


def total(receipt, what):
    return sum(source[what] for source in receipt["sources"])


def check(root, receipt):
    """Lets sha256sum itself compare what the receipt says."""
    lines = "".join(f"{file['sha256']}  {file['path']}\n" for file in receipt["inputs"] + receipt["outputs"])
    done = subprocess.run(["sha256sum", "--check", "--quiet"], input=lines, text=True, cwd=root, check=False)
    sizes = all((root / file["path"]).stat().st_size == file["bytes"] for file in receipt["outputs"])
    if done.returncode != 0 or not sizes:
        sys.exit("the receipt does not agree with the files")
    return lines.count("\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("megabytes", nargs="?", type=float, default=1000)
    parser.add_argument("--text", type=int, default=0)
    args = parser.parse_args()
    root = pathlib.Path(tempfile.mkdtemp(prefix="materializer-memory-"))
    try:
        source = "outcomes" if args.text == 0 else "contract_analyses"
        rows = make_kb.make(root, args.megabytes, [source], chars=args.text)
        size = sum(path.stat().st_size for path in (root / "data/_kb").iterdir()) / 1e6
        print(f"{size:.0f} MB in {rows} rows of {source}", flush=True)
        peaks = []
        for name, command in (("first run", []), ("second run", []), ("score", ["score"])):
            receipt, peak, seconds = measured(root, *command)
            peaks.append(peak)
            counts = ", ".join(f"{what} {total(receipt, what)}" for what in ("written", "deduped", "skipped"))
            files = check(root, receipt)
            print(f"{name}: peak {peak:.0f} MB, {seconds:.1f} s, {size / seconds:.0f} MB/s; {counts}; {files} hashes agree", flush=True)
            if name == "second run" and total(receipt, "written") != 0:
                sys.exit("the second run has written something")
        if max(peaks) >= LIMIT_MB:
            sys.exit(f"{max(peaks):.0f} MB are not under {LIMIT_MB} MB")
    finally:
        shutil.rmtree(root)


main()
