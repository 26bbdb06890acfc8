"""What a hostile or broken client sends: each gets a clear error or a clean close, memory stays
bounded, and no log holds a panic. Usage: abuse.py [SLOW_CONNECTIONS]"""

import json
import resource
import socket
import sys
import time

from lakehouse import Lakehouse

SLOW = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
TABULAR = ["storaged", "catalogd", "ingestd", "queryd", "gateway"]
CAP = 1 << 20


def raw(lake, data, service="gateway", timeout=60):
    """Sends bytes as they are, and reads what comes until the other side closes."""
    with socket.create_connection(("127.0.0.1", lake.ports[service]), timeout=timeout) as s:
        try:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        answer = b""
        try:
            while piece := s.recv(65536):
                answer += piece
        except OSError:
            pass
        return answer


def status(answer):
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else None


def bodies_over_their_caps(lake):
    answer = lake.ingest("big", b"a\n" + b"1\n" * CAP)
    assert answer.status == 413, answer
    answer = lake.call("POST", "/v1/sql", json.dumps({"sql": "SELECT 1 --" + "x" * 70_000}), {"content-type": "application/json"})
    assert answer.status == 413, answer
    answer = lake.call("PUT", "/v1/storage/objects/big", b"x" * (CAP + 1))
    assert answer.status == 413, answer
    assert lake.call("GET", "/v1/storage/objects/big").status == 404
    answer = lake.call("POST", "/v1/catalog/register", b" " * (5 << 20), {"content-type": "application/json"})
    assert answer.status == 413, answer


def malformed_multipart(lake):
    multipart = {"content-type": "multipart/form-data; boundary=b"}
    part = b'--b\r\ncontent-disposition: form-data; name="file"; filename="f"\r\n\r\n'
    cases = {
        "no body": (b"", multipart),
        "no end": (part + b"a,b\n1,2\n", multipart),
        "no such boundary": (b"--c\r\n\r\n\r\n--c--\r\n", multipart),
        "no boundary": (part, {"content-type": "multipart/form-data"}),
        "not multipart": (b"a,b\n1,2\n", {"content-type": "text/csv"}),
        "no content type": (b"a,b\n1,2\n", {}),
        "no field `file`": (part.replace(b'"file"', b'"fil"') + b"a\n1\r\n--b--\r\n", multipart),
        "headers without end": (b"--b\r\n" + b"x: y\r\n" * 10_000, multipart),
        "random bytes": (bytes(range(256)) * 100, multipart),
    }
    for what, (body, headers) in cases.items():
        answer = lake.call("POST", "/v1/ingest?name=bad", body, headers)
        assert answer.status in (400, 415), f"{what}: {answer}"
        assert answer.headers["content-type"] == "application/problem+json", f"{what}: {answer}"
    assert lake.call("POST", "/v1/ingest", part + b"a\n1\r\n--b--\r\n", multipart).status == 400, "no name"


def invalid_utf8(lake):
    answer = lake.ingest("bad", b"a,b\n1,ok\n2,\xff\xfe\n")
    assert answer.status == 400 and b"line 3" in answer.body, answer
    for path in ["/v1/storage/objects/%ff", "/v1/catalog/manifest/%c3%28", "/v1/storage/objects/a%00b"]:
        assert lake.call("GET", path).status == 400, path
    for body in [b'{"sql": "SELECT \xff"}', b"\xff\xfe\xfd"]:
        answer = lake.call("POST", "/v1/sql", body, {"content-type": "application/json"})
        assert answer.status == 400, answer


def huge_header(lake):
    answer = raw(lake, b"GET /v1/health HTTP/1.1\r\nhost: x\r\nx-junk: " + b"a" * CAP + b"\r\n\r\n")
    assert status(answer) in (None, 431), answer[:200]


def hang_up_in_the_body(lake):
    head = b"PUT /v1/storage/objects/half HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n"
    form = (b"POST /v1/ingest?name=half HTTP/1.1\r\nhost: x\r\ncontent-type: multipart/form-data; boundary=b\r\n"
            b"content-length: 100000\r\n\r\n--b\r\ncontent-disposition: form-data; name=\"file\"\r\n\r\na,b\n1,2\n")
    for _ in range(50):
        for data in (head + b"x" * 5_000, form):
            with socket.create_connection(("127.0.0.1", lake.ports["gateway"])) as s:
                s.sendall(data)
    deadline = time.monotonic() + 60
    while any((lake.work / "spool").rglob("*.csv")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert lake.call("GET", "/v1/storage/objects/half").status == 404
    assert lake.call("GET", "/v1/catalog/manifest/half").status == 404


def slow_connections(lake, count):
    """`count` connections that each send a byte of a request now and then; a real caller beside
    them is served all the while."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard < count + 500:
        print(f"SKIPPED in part: only {hard} files may be open here, so {hard - 500} slow connections instead of {count}")
        count = hard - 500
    before = lake.memory_mib("gateway")
    slow = []
    began = time.monotonic()
    for _ in range(count):
        s = socket.create_connection(("127.0.0.1", lake.ports["gateway"]), timeout=60)
        s.sendall(b"GET /v1/health HTT")
        slow.append(s)
    took = time.monotonic() - began
    answered = []
    for _ in range(20):
        started = time.monotonic()
        answer = lake.sql("SELECT 1 AS one")
        assert answer.status == 200, answer
        answered.append(time.monotonic() - started)
        for s in slow[:: max(1, count // 500)]:
            try:
                s.sendall(b"P")
            except OSError:
                pass
    grown = lake.memory_mib("gateway") - before
    print(f"{count} slow connections (opened in {took:.1f} s): the gateway grew by {grown:.0f} MiB, "
          f"a query beside them took {sorted(answered)[10] * 1e3:.1f} ms (median)")
    assert grown < 400, f"the gateway grew by {grown} MiB"
    # The header timeout (5 s here) closes them, not their sender.
    deadline = time.monotonic() + 180
    closed = 0
    for s in slow:
        s.settimeout(max(0.1, deadline - time.monotonic()))
        try:
            while s.recv(4096):
                pass
            closed += 1
        except TimeoutError:
            pass
        except OSError:
            closed += 1
        s.close()
    assert closed == len(slow), f"only {closed} of {len(slow)} were closed by the gateway"


def main():
    settings = {
        "ingestd.max_body_bytes": CAP,
        "storaged.max_object_bytes": CAP,
        "limits.header_timeout_seconds": 5,
        "limits.body_idle_timeout_seconds": 5,
        "log.level": "info",
    }
    lake = Lakehouse(TABULAR, settings)
    ok = False
    try:
        lake.start_all()
        for case in (bodies_over_their_caps, malformed_multipart, invalid_utf8, huge_header, hang_up_in_the_body):
            case(lake)
        slow_connections(lake, SLOW)
        assert lake.ingest("fine", b"a,b\n1,2\n").status in (200, 201)
        assert lake.sql("SELECT b FROM fine").json()["rows"] == [[2]]
        for name in TABULAR:
            assert lake.processes[name].poll() is None, f"{name} is gone"
            assert lake.memory_mib(name, "VmHWM") < 800, f"{name} used {lake.memory_mib(name, 'VmHWM')} MiB"
        assert not lake.panics(), lake.panics()
        ok = True
    finally:
        lake.stop(keep=not ok)
        if not ok:
            print(f"files are in {lake.work}", file=sys.stderr)


main()
