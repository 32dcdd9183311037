"""Builds each client's function as its users would: the stock client from its registry, and the code in clients/NAME.

What was built is kept below build/conformance and made again when the code here changes. NotHere says that a tool or a registry is missing.
"""
import glob
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import tarfile
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
BUILT = ROOT / "build/conformance"
LIMIT_S = 900
AWSLAMBDARIC = "awslambdaric==4.2.2"
AWS_LAMBDA_RIC = "aws-lambda-ric@3.3.0"


class NotHere(Exception):
    """Why a client can't be had on this machine."""


def need(program, least=None, version=("--version",)):
    """The program's path, if its version is at least `least`, (major, minor)."""
    path = shutil.which(program) or next((p for p in (f"/usr/local/go/bin/{program}", os.path.expanduser(f"~/.cargo/bin/{program}"))
                                          if os.access(p, os.X_OK)), None)
    if path is None:
        raise NotHere(f"{program} is not installed")
    if least is not None:
        text = subprocess.run([path, *version], capture_output=True, text=True, check=False).stdout
        found = re.search(r"(\d+)\.(\d+)", text)
        if not found or tuple(map(int, found.groups())) < least:
            raise NotHere(f"{path} is {text.strip()[:60] or 'of unknown version'}; {'.'.join(map(str, least))} or later is needed")
    return path


def run(command, cwd, env=None):
    """Runs a step of a build. A registry that can't be reached is no failure of ours."""
    done = subprocess.run([str(part) for part in command], cwd=cwd, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT_S, check=False)
    if done.returncode == 0:
        return done.stdout
    unreachable = ("Temporary failure in name resolution", "Could not resolve", "Network is unreachable", "ENOTFOUND", "EAI_AGAIN", "dial tcp",
                   "Connection timed out", "No matching distribution", "Could not transfer artifact", "failed to download", "proxyconnect",
                   "Read timed out", "Connection refused", "ETIMEDOUT", "ECONNREFUSED", "spurious network error", "Could not find artifact")
    for words in unreachable:
        if words in done.stdout:
            raise NotHere(f"{' '.join(map(str, command[:3]))}: {words}")
    raise RuntimeError(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout[-3000:]}")


def fetch_npm(package, work):
    """Downloads "name@version" from npm's registry; works without npm."""
    name, version = package.split("@")
    registry = "https://registry.npmjs.org/"
    if shutil.which("npm"):
        registry = run(["npm", "config", "get", "registry"], work).strip().splitlines()[-1]
    target = work / f"{name}-{version}.tgz"
    try:
        with urllib.request.urlopen(f"{registry.rstrip('/')}/{name}/-/{target.name}", timeout=60) as response:
            target.write_bytes(response.read())
    except OSError as error:
        raise NotHere(f"{registry}: {error}") from error
    return target


def sources(name):
    return {str(path.relative_to(HERE / "clients" / name)): path for path in sorted((HERE / "clients" / name).rglob("*")) if path.is_file()}


def fingerprint(name):
    digest = hashlib.sha256(pathlib.Path(__file__).read_bytes())
    for relative, path in sources(name).items():
        digest.update(relative.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def copy_sources(name, folder):
    for relative, path in sources(name).items():
        (folder / relative).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / relative)


def python(work, out):
    copy_sources("python", out)
    run(["/usr/bin/python3", "-m", "pip", "install", "-q", "--no-compile", "--disable-pip-version-check", "--target", out, AWSLAMBDARIC], work)


def node(work, out):
    for program in ("npm", "autoreconf", "cmake", "libtoolize"):
        need(program)
    if not os.access("/usr/include/node/node.h", os.R_OK):
        raise NotHere("Node's headers are not in /usr/include/node")
    copy_sources("node", out)
    run(["npm", "install", "--no-audit", "--no-fund", "--foreground-scripts"], out, {"npm_config_nodedir": "/usr"})
    addon = out / "node_modules/aws-lambda-ric/dist/rapid-client.node"
    if not addon.is_file():
        raise RuntimeError("npm install made no dist/rapid-client.node")
    shutil.rmtree(out / "node_modules/aws-lambda-ric/deps")
    for name in (".bin", "node-gyp", "npm"):
        shutil.rmtree(out / "node_modules" / name, ignore_errors=True)


def go(work, out):
    program = need("go", (1, 26), ("version",))
    copy_sources("go", work)
    run([program, "build", "-trimpath", "-tags", "lambda.norpc", "-ldflags", "-s -w", "-o", out / "bootstrap", "."], work,
        {"CGO_ENABLED": "0", "GOFLAGS": "-mod=mod"})


def rust(work, out):
    cargo = need("cargo", (1, 82))
    copy_sources("rust", work)
    run([cargo, "build", "--release", "--quiet"], work, {"CARGO_TARGET_DIR": str(BUILT / "rust-target")})
    shutil.copy(BUILT / "rust-target/release/bootstrap", out / "bootstrap")


def cpp(work, out):
    need("cmake")
    if not glob.glob("/usr/include/*/curl/curl.h") + glob.glob("/usr/include/curl/curl.h"):
        raise NotHere("libcurl's headers are not installed")
    with tarfile.open(fetch_npm(AWS_LAMBDA_RIC, work)) as package:  # it has the sources of aws-lambda-cpp
        package.extractall(work)
    with tarfile.open(next((work / "package/deps").glob("aws-lambda-cpp-*.tar.gz"))) as archive:
        archive.extractall(work)
    library = next(work.glob("aws-lambda-cpp-*"))
    run(["cmake", "-S", library, "-B", work / "build", "-DCMAKE_BUILD_TYPE=Release", f"-DCMAKE_INSTALL_PREFIX={work}/installed"], work)
    run(["cmake", "--build", work / "build", "--target", "install", "-j2"], work)
    run(["g++", "-O1", "-std=c++17", HERE / "clients/cpp/main.cc", "-I", work / "installed/include", next((work / "installed").glob("lib*/libaws-lambda-runtime.a")),
         "-lcurl", "-lpthread", "-o", out / "bootstrap"], work)


def java(work, out):
    mvn = need("mvn")
    copy_sources("java", work)
    run([mvn, "-q", "-B", "package"], work)
    (out / "lib").mkdir()
    for jar in [*work.glob("target/*.jar"), *work.glob("target/dependency/*.jar")]:
        shutil.copy(jar, out / "lib")
    shutil.copy(HERE / "clients/java/bootstrap", out)


BUILDERS = {"python": python, "node": node, "go": go, "rust": rust, "cpp": cpp, "java": java}


def built(name):
    """The folder of the client's function, built now if need be."""
    out, mark = BUILT / name, BUILT / f"{name}.sha256"
    wanted = fingerprint(name)
    if mark.is_file() and mark.read_text() == wanted and (out / "bootstrap").is_file():
        return out
    work = BUILT / f"{name}.work"
    for folder in (out, work):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    BUILDERS[name](work, out)
    shutil.rmtree(work)
    os.chmod(out / "bootstrap", 0o755)
    mark.write_text(wanted)
    return out
