"""kill -9 of vectord or storaged, or both, under concurrent adds, deletes and merges.

Every acknowledged item is there afterwards with the vector acknowledged last, and every
acknowledged delete is gone. Usage: vector_crashes.py [KILLS] [SEED]
"""

import collections
import json
import random
import sys
import threading
import time

from lakehouse import Lakehouse

KILLS = int(sys.argv[1]) if len(sys.argv) > 1 else 500
SEED = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 32)
DIMENSION = 16
JSON = {"content-type": "application/json"}
RETRY = (502, 503, 504)
# Ids of one worker: after so many it changes the ones it has, and the checks stay quick.
MOST_IDS = 5000
# Ids of one worker that are looked at after each kill; at the end it is all of them.
LOOKED_AT = 25


def vector_of(item, version):
    """Small whole numbers: exact in f32, and never all zero."""
    rng = random.Random(f"{item}/{version}")
    return [float(rng.randint(1, 1000)) for _ in range(DIMENSION)]


class Worker(threading.Thread):
    """Changes ids that nobody else touches, so that it knows what each of them must be.

    `certain[id]` is the version acknowledged last (None: deleted); `open[id]` are the versions of
    calls after that whose outcome nobody was told: each may have happened or not."""

    def __init__(self, lake, name, seed):
        super().__init__(daemon=True)
        self.lake, self.name_, self.rng = lake, name, random.Random(seed)
        self.lock = threading.Lock()
        self.certain, self.open = {}, collections.defaultdict(set)
        self.counts = collections.Counter()
        # The keys of `certain`, to draw from.
        self.acknowledged = []
        self.version = 0
        self.stopping, self.error = False, None

    def call(self, method, path, body=None):
        try:
            answer = self.lake.call(method, path, json.dumps(body) if body is not None else None, JSON, service="vectord", timeout=60)
        except OSError:
            return None
        if answer.status in RETRY:
            return None
        return answer

    def run(self):
        try:
            while not self.stopping:
                self.step()
        except Exception as error:  # the main thread reports it
            self.error = error

    def step(self):
        if self.certain and self.rng.random() < 0.3:
            self.delete()
        else:
            self.add()

    def draw(self, most):
        return [self.rng.choice(self.acknowledged) for _ in range(min(most, len(self.acknowledged)))]

    def add(self):
        fresh = [f"{self.name_}-{self.rng.randrange(MOST_IDS)}" for _ in range(self.rng.randint(1, 20))]
        self.add_to("work", "adds", fresh + self.draw(self.rng.randint(0, 5)))

    def add_to(self, index, what, ids):
        self.version += 1
        batch = dict.fromkeys(ids, self.version)
        items = [{"id": i, "vector": vector_of(i, v), "metadata": {"v": v}} for i, v in batch.items()]
        self.change(batch, what, f"/vectors/index/{index}/add", {"items": items})

    def delete(self):
        batch = dict.fromkeys(self.draw(self.rng.randint(1, 8)))
        self.change(batch, "deletes", "/vectors/index/work/delete", {"ids": list(batch)})

    def change(self, batch, what, path, body):
        with self.lock:
            for item, version in batch.items():
                self.open[item].add(version)
        answer = self.call("POST", path, body)
        if answer is None:
            self.counts[what + " not acknowledged"] += 1
            time.sleep(0.005)
            return
        assert answer.status == 200, f"{path}: {answer}"
        with self.lock:
            for item, version in batch.items():
                if item not in self.certain:
                    self.acknowledged.append(item)
                self.certain[item] = version
                self.open.pop(item, None)
        self.counts[what] += 1

    def check(self, rng=None):
        """Some of the ids, or without `rng` all."""
        with self.lock:
            if rng is None:
                sample = sorted(set(self.certain) | set(self.open))
            else:
                sample = rng.sample(self.acknowledged, min(len(self.acknowledged), LOOKED_AT))
            # What may be there is noted before it is asked for, and again after, since the worker goes on.
            before = {i: ({self.certain.get(i)} | self.open.get(i, set())) for i in sample}
        for item in sample:
            found = self.version_of(item)
            with self.lock:
                may = before[item] | {self.certain.get(item)} | self.open.get(item, set())
            assert found in may, f"{item}: version {found} is there, {may} may be"
        return len(sample)

    def version_of(self, item):
        deadline = time.monotonic() + 120
        while True:
            answer = self.call("GET", f"/vectors/index/work/items/{item}")
            if answer is not None:
                break
            assert time.monotonic() < deadline, f"no answer for {item}"
            time.sleep(0.01)
        if answer.status == 404:
            return None
        assert answer.status == 200, f"{item}: {answer}"
        body = answer.json()
        version = body["metadata"]["v"]
        assert body["vector"] == vector_of(item, version), f"{item}: the vector is not that of version {version}"
        return version


class Merger(Worker):
    """Adds to one index and merges it into another: an item must be in one of the two."""

    def step(self):
        # Always new ids: a merge leaves those alone that the destination has.
        new = [f"{self.name_}-{self.version}-{n}" for n in range(self.rng.randint(1, 5))]
        self.add_to("source", "merge adds", new)
        if self.rng.random() < 0.3:
            answer = self.call("POST", "/vectors/index/source/merge", {"dest": "merged", "clear_source": True})
            if answer is None:
                self.counts["merges not acknowledged"] += 1
            else:
                assert answer.status == 200, answer
                self.counts["merges"] += 1

    def version_of(self, item):
        # The source first: an item moves only from there to the destination, never back.
        deadline = time.monotonic() + 120
        versions = []
        for index in ("source", "merged"):
            while (answer := self.call("GET", f"/vectors/index/{index}/items/{item}")) is None:
                assert time.monotonic() < deadline, f"no answer for {item}"
                time.sleep(0.01)
            assert answer.status in (200, 404), answer
            if answer.status == 200:
                versions.append(answer.json()["metadata"]["v"])
        return versions[0] if versions else None


def create(lake, name):
    answer = lake.call("POST", "/vectors/index", json.dumps({"name": name, "dimension": DIMENSION, "distance": "l2"}), JSON, service="vectord")
    assert answer.status == 201, answer


def main():
    rng = random.Random(SEED)
    print(f"vector_crashes: {KILLS} kills, seed {SEED}", flush=True)
    services = ["storaged", "vectord"]
    lake = Lakehouse(services, {"vectord.save_interval_seconds": 1, "log.level": "warn"})
    ok = False
    try:
        lake.start_all()
        for index in ("work", "source", "merged"):
            create(lake, index)
        workers = [Worker(lake, f"w{i}", SEED + i) for i in range(3)] + [Merger(lake, "m", SEED + 99)]
        for worker in workers:
            worker.start()
        killed, checked = collections.Counter(), 0
        while sum(killed.values()) < KILLS:
            time.sleep(rng.uniform(0, 0.2))
            victims = services if rng.random() < 0.2 else [rng.choice(services)]
            for name in victims:
                lake.kill(name)
                killed[name] += 1
            for name in victims:
                lake.start(name)
            for name in victims:
                lake.wait_ready(name)
            for worker in workers:
                assert worker.error is None, worker.error
                checked += worker.check(rng)
        for worker in workers:
            worker.stopping = True
        for worker in workers:
            worker.join(60)
            assert worker.error is None, worker.error
        for name in services:
            lake.kill(name)
            killed[name] += 1
            lake.start(name)
        for name in services:
            lake.wait_ready(name)
        known = sum(worker.check() for worker in workers)
        assert not lake.panics(), lake.panics()
        total = sum((worker.counts for worker in workers), collections.Counter())
        print("kills: " + ", ".join(f"{name} {killed[name]}" for name in services))
        print("calls: " + ", ".join(f"{what} {count}" for what, count in sorted(total.items())))
        print(f"{known} ids checked at the end, {checked} on the way: every one is as it was acknowledged")
        ok = True
    finally:
        lake.stop(keep=not ok)
        if not ok:
            print(f"files are in {lake.work}", file=sys.stderr)


main()
