#!/usr/bin/env python3
"""Writes agent logs of any size below ROOT/data/_kb; the same arguments give the same bytes.

    make_kb.py ROOT --megabytes N [--sources outcomes,audits,...] [--seed N] [--days N] [--text CHARS]

One row in fifty is odd in a way that real logs are: a duplicate, half a row, a row without a time, a
time in another zone, a byte that is no UTF-8. --text 0 makes the shortest rows: the most of them in a
megabyte, which is the worst case for whoever must remember which rows it has seen.
"""

import argparse
import json
import pathlib
import random

WORDS = (
    "lock manifest retry permit soil report cache vector bucket token gateway schema drift replay index shard "
    "spool commit fsync rename Prüfung Vertrag 検査 разрешение évidence façade"
).split()
TIME = {"scrum_reviews": "reviewed_at", "audit_facts": "extracted_at", "audits": "audited_at", "outcomes": "created_at"}
SOURCES = (
    "distilled_facts distilled_procedures distilled_config_hints contract_analyses mode_experiments scrum_reviews "
    "observer_escalations audit_facts auto_apply observer_reviews audits outcomes"
).split()


def row(source, n, rng, days, chars):
    seconds = 1_775_000_000 + rng.randrange(days * 86_400)
    time_key = TIME.get(source, "created_at" if source.startswith("distilled") else "ts")
    text = " ".join(rng.choice(WORDS) for _ in range(chars // 7))
    base = {time_key: seconds if n % 3 else seconds * 1000 + n % 1000}
    if source == "outcomes":
        base |= {"run_id": f"run-{n}", "elapsed_secs": n % 900 / 8, "events_ok": n % 5, "events_total": 4}
    elif source.startswith("distilled"):
        base |= {"run_id": f"{source}-{n // 3}", "extractor": "qwen2.5:14b", "text": text or f"fact {n}"}
    elif source == "contract_analyses":
        base |= {"permit_id": f"P-{n}", "analysis": text, "ok": n % 4 != 0, "observer_conf": n % 101, "duration_ms": n % 9000}
        base["observer_verdict"] = ("accept", "reject", "cycle", "needs_review")[n % 4]
    elif source == "mode_experiments":
        base |= {"task_class": f"class{n % 7}", "mode": "m", "response": text, "latency_ms": n % 60_000, "prompt_tokens": n}
    elif source == "scrum_reviews":
        base |= {"file": f"src/f{n % 90}.rs", "accepted_on_attempt": n % 4, "suggestions_preview": text}
    elif source == "audit_facts":
        base |= {"pr_number": n, "head_sha": f"{n:040x}", "facts": ["a"] * (n % 5), "entities": [], "relationships": []}
    elif source == "auto_apply":
        base |= {"file": f"src/f{n % 90}.rs", "action": ("committed", "build_red", "test_reverted", "no_patches")[n % 4], "n": n}
    elif source == "audits":
        base |= {"pr_number": n, "overall": ("approve", "block", "request_changes")[n % 3], "findings": [], "summary": text}
    else:
        base |= {"sig_hash": f"{n:x}", "task_id": f"t{n}", "analysis": text, "notes": [text], "verdict": "accept"}
    return json.dumps(base, ensure_ascii=n % 2 == 0, separators=(",", ":") if n % 5 else (", ", ": ")).encode()


def odd(kind, line, last):
    if kind == 0:
        return last
    if kind == 1:
        return line[: len(line) // 2]
    if kind == 2:
        return b'{"run_id":"no time","text":"x"}'
    if kind == 3:
        return b'{"created_at":"2026-04-10T23:30:00-05:00","ts":"2026-04-10T23:30:00-05:00","note":' + line + b"}"
    return line.replace(b"1", b"\xff", 1)


def write(path, source, size, seed, days, chars):
    rng = random.Random(f"{seed} {source}")
    written, n, last, lines = 0, 0, b"{}", []
    with open(path, "wb") as file:
        while written < size:
            line = row(source, n, rng, days, chars)
            if n % 50 == 49:
                line = odd(n // 50 % 5, line, last)
            last = line
            lines.append(line)
            written += len(line) + 1
            n += 1
            if len(lines) == 10_000:
                file.write(b"\n".join(lines) + b"\n")
                lines = []
        if lines:
            file.write(b"\n".join(lines) + b"\n")
    return n


def make(root, megabytes, sources=SOURCES, seed=1, days=30, chars=200):
    """The number of rows, all sources together."""
    kb = pathlib.Path(root) / "data/_kb"
    kb.mkdir(parents=True, exist_ok=True)
    size = int(megabytes * 1e6 / len(sources))
    return sum(write(kb / f"{source}.jsonl", source, size, seed, days, chars) for source in sources)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root")
    parser.add_argument("--megabytes", type=float, required=True)
    parser.add_argument("--sources", default=",".join(SOURCES))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--text", type=int, default=200)
    args = parser.parse_args()
    print(make(args.root, args.megabytes, args.sources.split(","), args.seed, args.days, args.text), "rows")
