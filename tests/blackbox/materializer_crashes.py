#!/usr/bin/env python3
"""kill -9 of the materializer at random points, then one clean run: the files must be those of a run
that nobody disturbed, byte by byte.

    materializer_crashes.py [KILLS] [--seed N]

A kill counts if the program was still at work. In rounds of ten over one root each; in every other
round the logs grow between the kills. The last kills of a round hit `score`. $BIN is where the
binaries are.
"""

import argparse
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import make_kb

BIN = pathlib.Path(os.environ["BIN"])
PER_ROUND = 10
MEGABYTES = 6
# Few days: with many files most of the time would be spent waiting for the disk, and most kills would hit that.
DAYS = 4
TREES = ("data/evidence", "data/scored-runs", "data/_kb")


def command(root, *args):
    return [str(BIN / "materializer"), "--root", str(root), *args]


def run(root, *args):
    done = subprocess.run(command(root, *args), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"materializer {' '.join(args)} ended with {done.returncode}: {done.stderr}")
    return done.stdout


def killed(root, after, *args):
    """Starts it, and kills it after so many seconds. Whether it was still at work."""
    process = subprocess.Popen(command(root, *args), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(timeout=after)
    except subprocess.TimeoutExpired:
        process.kill()
    return process.wait() == -signal.SIGKILL


def tree(root):
    files = {}
    for folder in TREES:
        for path in sorted((root / folder).rglob("*")):
            if path.is_file():
                files[str(path.relative_to(root))] = path.read_bytes()
    return files


def compare(expected, got, seed):
    for name in sorted(expected.keys() | got.keys()):
        if expected.get(name) != got.get(name):
            sizes = [len(files[name]) if name in files else None for files in (expected, got)]
            sys.exit(f"{name} differs after the kills: {sizes[0]} bytes undisturbed, {sizes[1]} now (seed {seed})")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("kills", nargs="?", type=int, default=200)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    args = parser.parse_args()
    rng = random.Random(args.seed)
    print(f"seed {args.seed}", flush=True)
    work = pathlib.Path(tempfile.mkdtemp(prefix="materializer-crashes-"))
    logs = work / "logs"
    rows = make_kb.make(logs, MEGABYTES, seed=args.seed, days=DAYS)

    clean = work / "clean"
    shutil.copytree(logs, clean)
    began = time.monotonic()
    run(clean)
    whole = time.monotonic() - began
    began = time.monotonic()
    run(clean, "score")
    whole_score = time.monotonic() - began
    expected = tree(clean)
    print(f"{rows} rows, {len(expected)} files; undisturbed: {whole:.2f} s, score {whole_score:.2f} s", flush=True)

    done = late = rounds = 0
    while done < args.kills:
        root = work / f"round{rounds}"
        growing = rounds % 2 == 1
        shutil.copytree(logs, root)
        kills = min(PER_ROUND, args.kills - done)
        hits = 0
        while hits < kills:
            if growing:
                # Cut anywhere: in the middle of a row, too.
                for log in sorted((logs / "data/_kb").iterdir()):
                    part = log.read_bytes()[: int(log.stat().st_size * (hits + rng.random()) / kills)]
                    (root / "data/_kb" / log.name).write_bytes(part)
            of_score = hits >= kills - 2 and (root / "data/evidence").is_dir()
            after = rng.random() * (whole_score if of_score else whole)
            hit = killed(root, after, *(["score"] if of_score else []))
            hits += hit
            late += not hit
        if growing:
            shutil.copytree(logs, root, dirs_exist_ok=True)
            # What was half-written between two kills was told as such; that is no difference.
            (root / "data/_kb/distillation_skips.jsonl").unlink(missing_ok=True)
        run(root)
        run(root, "score")
        compare(expected, tree(root), args.seed)
        second = run(root)
        if "nothing new" not in second:
            sys.exit(f"a further run found something new: {second}")
        shutil.rmtree(root)
        done += kills
        rounds += 1
    shutil.rmtree(work)
    print(f"{done} kills in {rounds} rounds, and {late} that came too late: all files as undisturbed")


main()
