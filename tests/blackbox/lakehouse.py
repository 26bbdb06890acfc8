"""Starts the real binaries for black-box tests: free ports, a temporary directory, kill -9.

Standard library only. `BIN` is the directory of the binaries (scripts/env sets it).
"""

import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.parse

from ports import free_ports

SERVICES = ["storaged", "catalogd", "ingestd", "queryd", "embedd", "vectord", "gateway"]


class Answer:
    def __init__(self, status, body, headers):
        self.status, self.body, self.headers = status, body, headers

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.body[:500]!r}"


class Lakehouse:
    """Some services of one lakehouse. `settings` are further keys: {"ingestd.threads": 1}."""

    def __init__(self, services, settings=None, quiet=True):
        self.bin = pathlib.Path(os.environ["BIN"])
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="lakehouse-blackbox."))
        self.services = services
        self.ports = dict(zip(SERVICES, free_ports(len(SERVICES))))
        self.processes = {}
        self.starts = {}
        self.quiet = quiet
        self.config = self.work / "lakehouse.toml"
        self._write_config(settings or {})

    def url(self, name):
        return f"http://127.0.0.1:{self.ports[name]}"

    def _write_config(self, settings):
        keys = {f"{name}.bind": f"127.0.0.1:{self.ports[name]}" for name in SERVICES}
        for user in ["catalogd", "ingestd", "queryd", "vectord"]:
            keys[f"{user}.storaged_url"] = self.url("storaged")
        for user in ["ingestd", "queryd"]:
            keys[f"{user}.catalogd_url"] = self.url("catalogd")
        keys["vectord.embedd_url"] = self.url("embedd")
        for name in SERVICES[:-1]:
            keys[f"gateway.{name}_url"] = self.url(name)
        keys["storaged.root"] = str(self.work / "objects")
        keys["ingestd.spool_dir"] = str(self.work / "spool")
        keys["queryd.cache_dir"] = str(self.work / "cache")
        keys["queryd.spill_dir"] = str(self.work / "spill")
        keys.update(settings)
        sections = {}
        for key, value in keys.items():
            section, name = key.split(".")
            sections.setdefault(section, []).append(f"{name} = {json.dumps(value)}")
        text = "\n".join(f"[{s}]\n" + "\n".join(lines) for s, lines in sections.items())
        self.config.write_text(text + "\n")

    def start(self, name):
        log = open(self.work / f"{name}.log", "ab")
        self.processes[name] = subprocess.Popen(
            [self.bin / name, "--config", self.config], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        self.starts[name] = self.starts.get(name, 0) + 1
        log.close()

    def start_all(self):
        for name in self.services:
            self.start(name)
        for name in self.services:
            self.wait_ready(name)

    def wait_ready(self, name, seconds=120):
        deadline = time.monotonic() + seconds
        while True:
            try:
                if self.call("GET", "/readyz", service=name, timeout=10).status == 200:
                    return
            except OSError:
                pass
            code = self.processes[name].poll()
            assert code is None, f"{name} ended with {code}: {self.tail(name)}"
            assert time.monotonic() < deadline, f"{name} is not ready: {self.tail(name)}"
            time.sleep(0.01)

    def kill(self, name):
        process = self.processes[name]
        process.send_signal(signal.SIGKILL)
        process.wait()

    def pid(self, name):
        return self.processes[name].pid

    def memory_mib(self, name, field="VmRSS"):
        for line in open(f"/proc/{self.pid(name)}/status"):
            if line.startswith(field + ":"):
                return int(line.split()[1]) / 1024
        raise AssertionError(f"{name} has no {field}")

    def tail(self, name):
        return (self.work / f"{name}.log").read_text(errors="replace")[-2000:]

    def panics(self):
        found = []
        for log in self.work.glob("*.log"):
            for line in log.read_text(errors="replace").splitlines():
                if '"message":"panic"' in line or "panicked at" in line:
                    found.append(f"{log.name}: {line[:300]}")
        return found

    def call(self, method, path, body=None, headers=None, service="gateway", timeout=180):
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[service], timeout=timeout)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            response = connection.getresponse()
            return Answer(response.status, response.read(), response.headers)
        except http.client.HTTPException as error:
            raise OSError(f"no HTTP answer: {error!r}") from error
        finally:
            connection.close()

    def ingest(self, name, csv, **options):
        query = urllib.parse.urlencode({"name": name, **options}, quote_via=urllib.parse.quote)
        boundary = "lakehouse-blackbox-boundary"
        body = (
            f'--{boundary}\r\ncontent-disposition: form-data; name="file"; filename="f.csv"\r\n\r\n'.encode()
            + csv
            + f"\r\n--{boundary}--\r\n".encode()
        )
        headers = {"content-type": f"multipart/form-data; boundary={boundary}"}
        return self.call("POST", f"/v1/ingest?{query}", body, headers)

    def sql(self, sql):
        return self.call("POST", "/v1/sql", json.dumps({"sql": sql}), {"content-type": "application/json"})

    def objects(self, prefix):
        keys, after = [], None
        while True:
            query = {"prefix": prefix, **({"after": after} if after else {})}
            page = self.call("GET", "/storage/objects?" + urllib.parse.urlencode(query), service="storaged").json()
            keys += [entry["key"] for entry in page["objects"]]
            after = page.get("next")
            if not after:
                return keys

    def stop(self, keep=False):
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
                process.wait()
        if not keep:
            shutil.rmtree(self.work, ignore_errors=True)
