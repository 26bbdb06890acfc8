"""The callers of tests/bench/vectord: no dependencies, bodies made before the clock runs."""

import array
import http.client
import json
import multiprocessing
import random
import sys
import time
import urllib.parse

BATCH = 256
ADDERS = 2
SEARCHES = 3000
HEADERS = {"content-type": "application/json"}


def rows_of(path):
    with open(path, "rb") as file:
        head = array.array("I", file.read(8))
        numbers = array.array("f", file.read())
    return [numbers[n * head[1] : (n + 1) * head[1]] for n in range(head[0])]


def made_up(count, seed, dimension=384, topics=200):
    """Vectors around topics, so that some are near each other."""
    draw = random.Random(seed)
    centre = [random.Random(n).randbytes(dimension) for n in range(topics)]
    for _ in range(count):
        topic, noise = centre[draw.randrange(topics)], draw.randbytes(dimension)
        yield [(t - 128) / 1000 + (n - 128) / 1500 for t, n in zip(topic, noise)]


def vectors(path, count, seed):
    if not path:
        yield from made_up(count, seed)
        return
    rows = rows_of(path)
    draw = random.Random(seed)
    for n in range(count):
        row = rows[n % len(rows)]
        # A second round brings neighbours of the first, not the same again.
        yield row if n < len(rows) else [x + draw.gauss(0, 0.01) for x in row]


def bodies(path, count, seed, prefix):
    batch, made = [], []
    for n, vector in enumerate(vectors(path, count, seed)):
        numbers = ",".join(f"{x:.7g}" for x in vector)
        batch.append('{"id":"%s-%d","vector":[%s],"metadata":{"n":%d}}' % (prefix, n, numbers, n))
        if len(batch) == BATCH:
            made.append(batch)
            batch = []
    made += [batch] if batch else []
    return [('{"items":[%s]}' % ",".join(batch)).encode() for batch in made]


def caller(url):
    address = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=120)

    def post(path, body):
        connection.request("POST", path, body, HEADERS)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            sys.exit(f"{path}: {answer.status} {text[:300]!r}")
        return text

    return post


def add_all(url, made, start, done):
    post = caller(url)
    start.wait()
    for body in made:
        post("/vectors/index/bench/add", body)
    done.put(time.perf_counter())


def adders(url, made):
    """Processes that begin together, and what tells when each has ended."""
    start, done = multiprocessing.Event(), multiprocessing.Queue()
    parts = [made[n::ADDERS] for n in range(ADDERS)]
    processes = [multiprocessing.Process(target=add_all, args=(url, part, start, done)) for part in parts]
    for process in processes:
        process.start()
    return start, done, processes


def tell(what, seconds):
    seconds.sort()
    at = lambda share: seconds[min(len(seconds) - 1, int(share * len(seconds)))] * 1000
    print(f"{what}: {len(seconds)} searches, p50 {at(0.5):.2f} ms, p99 {at(0.99):.2f} ms, worst {seconds[-1] * 1000:.2f} ms")
    return at(0.99)


def main():
    url, work, items, more, data, queries, what = sys.argv[1:]
    items, more = int(items), int(more)
    post = caller(url)
    if what == "fill":
        dimension = len(next(vectors(data, 1, 1)))
        post("/vectors/index", json.dumps({"name": "bench", "dimension": dimension, "distance": "cosine"}))
        made = bodies(data, items, 1, "a")
        start, done, processes = adders(url, made)
        began = time.perf_counter()
        start.set()
        ended = max(done.get() for _ in processes)
        print(f"adds, {ADDERS} callers, batches of {BATCH}: {items / (ended - began):.0f} vectors/s acknowledged")
        while True:
            body = json.dumps({"vector": [0.1] * dimension, "k": 1})
            post("/vectors/index/bench/search", body)
            metrics = urllib.parse.urlsplit(url)
            connection = http.client.HTTPConnection(metrics.hostname, metrics.port, timeout=60)
            connection.request("GET", "/vectors/index/bench")
            info = json.load(connection.getresponse())
            if info["indexed"] >= info["count"]:
                break
        print(f"all in the graph after {time.perf_counter() - began:.1f} s: {items / (time.perf_counter() - began):.0f} vectors/s")
        return
    asked = [
        json.dumps({"vector": [float(f"{x:.7g}") for x in vector], "k": 10}).encode()
        for vector in vectors(queries or data, 1000, 3)
    ]
    made = bodies(data, more, 2, "b")

    def search(stop):
        took, n = [], 0
        while not stop(len(took)):
            began = time.perf_counter()
            post("/vectors/index/bench/search", asked[n % len(asked)])
            took.append(time.perf_counter() - began)
            n += 1
        return took

    search(lambda n: n >= 200)
    idle = tell("idle", search(lambda n: n >= SEARCHES))
    start, done, processes = adders(url, made)
    began = time.perf_counter()
    start.set()
    busy = tell("while adds run", search(lambda n: not done.empty() or not any(p.is_alive() for p in processes)))
    ended = max(done.get() for _ in processes)
    print(f"p99 ratio {busy / idle:.2f}; meanwhile {more / (ended - began):.0f} vectors/s added")
    tell("while the rest is linked", search(lambda n: n >= 500))


if __name__ == "__main__":
    main()
