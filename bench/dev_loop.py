#!/usr/bin/python3
"""The developer's loop, measured from outside: from a save to the first reply by the new code in `hearth dev`, and the whole of
`hearth invoke --local`. Prints JSON.

    bench/dev_loop.py [--hearth BINARY] [--edits N]

A save writes another file and renames it over the old one, as editors do; then the function's URL is called, one call after the other on
one connection, until a reply comes from the new code. So the time holds the watch, the quiet after the save, packing, the deploy, the load
and the call.
"""
import argparse
import http.client
import json
import os
import pathlib
import socket
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
CODE = {"python3": ("app.py", "import json\ndef handler(event, context):\n    return {{'statusCode': 200, 'body': 'edit {}'}}\n"),
        "nodejs": ("index.mjs", "export const handler = async () => ({{statusCode: 200, body: 'edit {}'}});\n")}
PATIENCE = 20.0


def save(path, text):
    fresh = path.with_name(f".{path.name}.swp")
    fresh.write_text(text)
    fresh.rename(path)


def figures(seconds):
    ordered = sorted(seconds)
    return {"p50_ms": round(statistics.median(ordered) * 1000, 1), "p90_ms": round(ordered[int(len(ordered) * 0.9)] * 1000, 1),
            "max_ms": round(ordered[-1] * 1000, 1), "samples": len(ordered)}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def reply(connection):
    connection.request("GET", "/")
    response = connection.getresponse()
    return response.status, response.read().decode()


def wait_for(connection, text, started):
    while True:
        status, body = reply(connection)
        if status != 200:
            raise SystemExit(f"a call failed during a reload: {status} {body}")
        if body == text:
            return time.monotonic() - started
        if time.monotonic() - started > PATIENCE:
            raise SystemExit(f"'{text}' did not come; the last reply was '{body}'")


def connect(port):
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
            if reply(connection)[0] == 200:
                return connection
        except OSError:
            pass
        if time.monotonic() > deadline:
            raise SystemExit("`hearth dev` did not serve in time")
        time.sleep(0.02)


def save_to_reply(hearth, folder, runtime, edits):
    name, code = CODE[runtime]
    path = folder / name
    path.write_text(code.format(0))
    port = free_port()
    dev = subprocess.Popen([hearth, "dev", str(folder), "--port", str(port)], stdout=subprocess.DEVNULL)
    try:
        connection = connect(port)
        taken = []
        for edit in range(1, edits + 1):
            # The parked workers are made again meanwhile, as between the saves of a person.
            time.sleep(0.3)
            started = time.monotonic()
            save(path, code.format(edit))
            taken.append(wait_for(connection, f"edit {edit}", started))
        return figures(taken)
    finally:
        dev.terminate()
        dev.wait(PATIENCE)


def local_call(hearth, folder, rounds):
    taken = []
    for _ in range(rounds):
        started = time.monotonic()
        subprocess.run([hearth, "invoke", "--local", str(folder)], check=True, stdout=subprocess.DEVNULL)
        taken.append(time.monotonic() - started)
    return figures(taken)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hearth", default=os.environ.get("HEARTH_BIN", str(ROOT / "build/release/hearth")))
    parser.add_argument("--edits", type=int, default=25)
    options = parser.parse_args()
    result = {"save_to_reply": {}, "invoke_local": {}}
    for runtime in CODE:
        with tempfile.TemporaryDirectory(prefix="hearth-bench-") as work:
            folder = pathlib.Path(work) / "hello"
            folder.mkdir()
            result["save_to_reply"][runtime] = save_to_reply(options.hearth, folder, runtime, options.edits)
            result["invoke_local"][runtime] = local_call(options.hearth, folder, max(5, options.edits // 2))
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
