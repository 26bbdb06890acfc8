"""kill -9 of any service, or of all, at any moment of a loop of ingests.

After each restart every acknowledged ingest can be queried, none is there by half, and after the
last sweep no object is left that no dataset names. Usage: ingest_crashes.py [KILLS] [SEED]
"""

import collections
import random
import sys
import threading
import time
import urllib.parse

from lakehouse import Lakehouse

KILLS = int(sys.argv[1]) if len(sys.argv) > 1 else 200
SEED = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 32)
TABULAR = ["storaged", "catalogd", "ingestd", "queryd", "gateway"]


def rows_of(serial):
    return 1 + serial * 7 % 400


def csv_of(serial):
    lines = [f"{serial},{row},text {row}" for row in range(rows_of(serial))]
    return ("serial,row,note\n" + "\n".join(lines) + "\n").encode()


class Writer(threading.Thread):
    """Ingests one serial after another into one dataset, and knows what was acknowledged."""

    def __init__(self, lake, dataset, mode):
        super().__init__(daemon=True)
        self.lake, self.dataset, self.mode = lake, dataset, mode
        self.lock = threading.Lock()
        self.tried, self.acknowledged, self.refused = 0, [], collections.Counter()
        self.stopping = False
        self.error = None

    def run(self):
        while not self.stopping:
            with self.lock:
                self.tried += 1
                serial = self.tried
            try:
                answer = self.lake.ingest(self.dataset, csv_of(serial), mode=self.mode)
            except OSError as error:
                self.refused[type(error).__name__] += 1
                time.sleep(0.005)
                continue
            if answer.status in (200, 201):
                if answer.json()["rows"] != rows_of(serial):
                    self.error = f"{self.dataset}: {answer} for {rows_of(serial)} rows"
                    return
                with self.lock:
                    self.acknowledged.append(serial)
            elif answer.status in (502, 503, 504):
                self.refused[answer.status] += 1
                time.sleep(0.005)
            else:
                self.error = f"{self.dataset}: unexpected answer {answer}"
                return

    def check(self, deadline):
        """The dataset holds what it must. What was acknowledged is read before the query is sent."""
        with self.lock:
            acknowledged = list(self.acknowledged)
        quoted = '"' + self.dataset.replace('"', '""') + '"'
        answer = self.query(f"SELECT serial, count(*), count(DISTINCT row) FROM {quoted} GROUP BY 1", deadline)
        if answer.status == 400 and not acknowledged:
            return
        assert answer.status == 200, f"{self.dataset}: {answer}"
        found = {serial: (count, distinct) for serial, count, distinct in answer.json()["rows"]}
        for serial, (count, distinct) in found.items():
            assert count == distinct == rows_of(serial), f"{self.dataset}: {serial} is there with {count} rows"
        if self.mode == "append":
            missing = [serial for serial in acknowledged if serial not in found]
            assert not missing, f"{self.dataset}: acknowledged and gone: {missing}"
        elif acknowledged:
            assert len(found) == 1, f"{self.dataset}: a mix of versions {sorted(found)}"
            assert min(found) >= acknowledged[-1], f"{self.dataset}: {acknowledged[-1]} was acknowledged, {found} is there"

    def query(self, sql, deadline):
        """503 and a closed connection are what a service that is starting may say."""
        while True:
            try:
                answer = self.lake.sql(sql)
                if answer.status not in (502, 503, 504):
                    return answer
            except OSError as error:
                answer = error
            assert time.monotonic() < deadline, f"no answer to {sql}: {answer}"
            time.sleep(0.01)


def main():
    rng = random.Random(SEED)
    print(f"ingest_crashes: {KILLS} kills, seed {SEED}", flush=True)
    lake = Lakehouse(TABULAR, {"ingestd.sweep_grace_seconds": 0, "ingestd.sweep_interval_seconds": 1, "log.level": "warn"})
    ok = False
    try:
        lake.start_all()
        writers = [Writer(lake, "replaced", "replace"), Writer(lake, "O'Brien's appended", "append")]
        for writer in writers:
            writer.start()
        killed = collections.Counter()
        rounds = 0
        while sum(killed.values()) < KILLS:
            rounds += 1
            time.sleep(rng.uniform(0, 0.25))
            victims = TABULAR if rng.random() < 0.15 else [rng.choice(TABULAR)]
            for name in victims:
                lake.kill(name)
                killed[name] += 1
            for name in victims:
                lake.start(name)
            for name in victims:
                lake.wait_ready(name)
            for writer in writers:
                assert writer.error is None, writer.error
                writer.check(time.monotonic() + 120)
        for writer in writers:
            writer.stopping = True
        for writer in writers:
            writer.join(60)
            assert writer.error is None, writer.error
            writer.check(time.monotonic() + 120)
        no_orphans(lake)
        assert not lake.panics(), lake.panics()
        print("kills: " + ", ".join(f"{name} {killed[name]}" for name in TABULAR) + f" (in {rounds} rounds)")
        for writer in writers:
            print(f"{writer.dataset}: {writer.tried} ingests tried, {len(writer.acknowledged)} acknowledged, all there; "
                  f"not acknowledged: {dict(writer.refused)}")
        ok = True
    finally:
        lake.stop(keep=not ok)
        if not ok:
            print(f"files are in {lake.work}", file=sys.stderr)


def no_orphans(lake):
    swept = lake.call("POST", "/ingest/sweep", service="ingestd")
    assert swept.status == 200, swept
    named = set()
    for entry in lake.call("GET", "/catalog/list?full=true", service="catalogd").json()["datasets"]:
        named |= {stored["key"] for stored in entry["objects"]}
    there = set(lake.objects("datasets/"))
    assert there == named, f"orphans: {there - named}, missing: {named - there}"
    spooled = [path for path in (lake.work / "spool").rglob("*") if path.is_file() and path.stat().st_size]
    assert not spooled, f"left in the spool: {spooled}"
    print(f"after the sweep: {len(there)} objects, each of them named by a dataset")


main()
