"""The same statement has the same outcome, whatever its worker ran before.

Wide tables (up to 4,096 columns in up to 8 appended files), summaries and counts over many columns
run in random order, on warm workers and on fresh ones, one at a time and several at once. Each must
answer the same status every time, and 200 where the dataset was taken in.
Usage: sql_same_outcome.py [ROUNDS] [SEED]
"""

import collections
import concurrent.futures
import contextlib
import os
import pathlib
import random
import signal
import sys
import time

from lakehouse import Lakehouse

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 50
SEED = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 32)
TABULAR = ["storaged", "catalogd", "ingestd", "queryd", "gateway"]
# Every how manyth statement meets fresh workers, and how many run beside each other.
FRESH_EVERY, AT_ONCE = 7, 4


def numbers(columns, rows, offset=0):
    head = ",".join(f"c{i}" for i in range(columns))
    return "\n".join([head] + [",".join(str(i + offset + r * 1000) for i in range(columns)) for r in range(rows)]).encode()


def texts(columns, rows, offset=0):
    head = ",".join(f"t{i}" for i in range(columns))
    line = lambda r: ",".join(f"word {(i * 7919 + r * 31 + offset) % 10007} of row {r}" for i in range(columns))
    return "\n".join([head] + [line(r) for r in range(rows)]).encode()


# Name, maker, columns, rows, files.
DATASETS = [
    ("w2000", numbers, 2000, 3, 1),
    ("w3000x2", numbers, 3000, 3, 2),
    ("w4096", numbers, 4096, 3, 1),
    ("w4096x8", numbers, 4096, 3, 8),
    ("w1000", numbers, 1000, 200, 1),
    ("t150", texts, 150, 5000, 2),
    ("t4096x4", texts, 4096, 20, 4),
    ("n200", numbers, 200, 5000, 1),
]
DISTINCT = ", ".join(f"count(DISTINCT c{i})" for i in range(200))
STATEMENTS = {
    "wide 2000": "SELECT * FROM w2000",
    "wide 3000, 2 files": "SELECT * FROM w3000x2",
    "wide 4096": "SELECT * FROM w4096",
    "wide 4096, 8 files": "SELECT * FROM w4096x8",
    "wide texts 4096, 4 files": "SELECT * FROM t4096x4",
    "wide sorted": "SELECT * FROM w4096x8 ORDER BY c7 DESC",
    "wide filtered": "SELECT * FROM w4096x8 WHERE c4095 > 5000",
    "wide counted": "SELECT count(*) FROM w4096x8",
    "summary of 1000": "SUMMARIZE w1000",
    "200 distinct": f"SELECT {DISTINCT} FROM n200",
    "150 texts": "SELECT * FROM t150",
    "150 texts sorted": "SELECT * FROM t150 ORDER BY t3, t4",
    "one": "SELECT 1",
}


def kill_workers(lake):
    children = pathlib.Path(f"/proc/{lake.pid('queryd')}/task")
    for task in children.iterdir():
        for pid in (task / "children").read_text().split():
            # It may have gone by itself.
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)


def peak_of_workers(lake, peaks):
    for task in pathlib.Path(f"/proc/{lake.pid('queryd')}/task").iterdir():
        try:
            for pid in (task / "children").read_text().split():
                status = pathlib.Path(f"/proc/{pid}/status").read_text()
                fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
                for name in ("VmHWM", "VmData"):
                    peaks[name] = max(peaks.get(name, 0), int(fields[name].split()[0]) // 1024)
        except (OSError, KeyError):
            continue


def main():
    rng = random.Random(SEED)
    lake = Lakehouse(TABULAR)
    outcomes = collections.defaultdict(collections.Counter)
    seconds, details, peaks = collections.Counter(), {}, {}
    try:
        lake.start_all()
        for name, make, columns, rows, files in DATASETS:
            for file in range(files):
                mode = {"mode": "append"} if file else {}
                answer = lake.ingest(name, make(columns, rows, file * 9), **mode)
                assert answer.status in (200, 201), (name, answer)
        turns = [name for name in STATEMENTS for _ in range(ROUNDS)]
        rng.shuffle(turns)

        def run(name):
            began = time.monotonic()
            answer = lake.sql(STATEMENTS[name])
            outcomes[name][answer.status] += 1
            seconds[name] += time.monotonic() - began
            if answer.status != 200:
                details.setdefault((name, answer.status), answer.body[:400].decode(errors="replace"))

        # The first half one by one, some on fresh workers; the second several at once.
        half = len(turns) // 2
        for number, name in enumerate(turns[:half]):
            if number % FRESH_EVERY == 0:
                kill_workers(lake)
            run(name)
            peak_of_workers(lake, peaks)
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(run, turns[half:]))
        peak_of_workers(lake, peaks)
        for name in STATEMENTS:
            print(f"{name:28} {dict(outcomes[name])}  {1000 * seconds[name] / ROUNDS:7.0f} ms")
        print("peaks of one worker, MiB:", peaks)
        for key, text in details.items():
            print(key, text)
        wrong = [name for name in STATEMENTS if set(outcomes[name]) != {200}]
        panics = lake.panics()
        assert not wrong and not panics, f"seed {SEED}: {wrong} {panics}"
        print(f"ok: {len(turns)} statements, seed {SEED}")
    finally:
        lake.stop()


main()
