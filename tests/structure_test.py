#!/usr/bin/python3
"""Checks the shape of the source tree: dependencies, sizes, marks, READMEs, formatting, headers that compile alone.

    structure_test.py [NAME...]     names: dependencies libraries sizes words readmes catalogue format headers

Prints one line a check with what is wrong, and at the end "N passed, N failed, N skipped".
"""
import ast
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 60

# The direction of dependencies: a module uses no module of a higher rank, and none in a circle. (engine/README.md has the picture.)
RANKS = {"base": 0, "config": 1, "core": 1, "loop": 2, "host": 3, "http": 3, "store": 4, "package": 5, "worker": 4, "trigger": 4, "api": 4, "engine": 5, "capi": 6,
         "cli": 7, "runtimes": 1, "sandbox": 1}
# Modules that must stay free of everything else: the decisions have no I/O, and the sandbox is a program of its own.
BASE_ONLY = {"core", "sandbox"}
# What one module shows to another although it is none of its DEPS: the protocol between the engine and the spawner.
SHARED_HEADERS = {"sandbox/spawner_protocol.h"}
# System headers that belong to one module (tests and fuzzers beside it included).
OWNED_HEADERS = {"uv.h": {"loop"}, "yaml-cpp/yaml.h": {"config"}, "sqlite3.h": {"store"}, "llhttp.h": {"http"}, "seccomp.h": {"sandbox"}}
# Parts of hearth_worker.h, which includes them at its end: one library in four files, not four headers.
PARTS_OF_A_HEADER = re.compile(r"runtimes/custom/hearth_worker_\w+\.h")
# Where others throw and we catch at once: yaml-cpp, the parser of the command line, and the handlers of a C++ host.
CATCHES = ("engine/config/", "engine/cli/options.cc", "engine/include/hearth/hearth.hpp")

# The public C header reads as C headers do; its frozen copies stay as they were.
SET_BY_HAND = re.compile(r"engine/include/hearth/hearth\.h|tests/abi/v\d+/hearth\.h")


def tracked_files():
    """Every file of the tree that is or would be committed, relative to the root."""
    done = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return [pathlib.Path(line) for line in sorted(set(done.stdout.splitlines())) if (ROOT / line).is_file()]
    return sorted(path.relative_to(ROOT) for path in ROOT.rglob("*")
                  if path.is_file() and not {".git", "build", "__pycache__", "node_modules"} & set(path.parts))


FILES = tracked_files()
CXX = [path for path in FILES if path.suffix in (".cc", ".h", ".hpp", ".c")]


def text_of(path):
    return (ROOT / path).read_text(errors="replace")


# --- dependencies ------------------------------------------------------------------------------------------------------

class Module:
    def __init__(self, name, folder, deps, test_deps):
        self.name, self.folder, self.deps, self.test_deps = name, folder, deps, test_deps


def modules():
    found = {}
    for path in FILES:
        if path.name != "CMakeLists.txt":
            continue
        text = re.sub(r"#.*", "", text_of(path))
        for call in re.findall(r"hearth_module\(([^)]*)\)", text):
            words = call.split()
            lists = {"DEPS": [], "TEST_LIBRARIES": []}
            key = None
            for word in words[1:]:
                if word in ("DEPS", "SOURCES", "TESTS", "LIBRARIES", "TEST_LIBRARIES", "HEADER_ONLY"):
                    key = word
                elif key in lists:
                    lists[key].append(word.removeprefix("hearth_"))
            found[words[0]] = Module(words[0], path.parent, set(lists["DEPS"]), set(lists["TEST_LIBRARIES"]))
    return found


def module_of(path, known):
    """The module whose folder is the nearest above `path`."""
    for parent in path.parents:
        for module in known.values():
            if module.folder == parent:
                return module
    return None


def includes(path):
    return re.findall(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', text_of(path), re.MULTILINE)


def resolve(name):
    """The file of the tree that #include "name" means, or None."""
    for base in ("engine", ""):
        candidate = pathlib.Path(base) / name
        if (ROOT / candidate).is_file():
            return candidate
    return None


def is_test(path):
    return "test" in path.stem or path.stem.startswith("fuzz_") or path.parts[0] in ("tests", "bench")


def reachable(name, known):
    """Every module that `name` depends on, directly or not."""
    found, front = set(), [name]
    while front:
        for dep in known[front.pop()].deps & set(known):
            if dep not in found:
                found.add(dep)
                front.append(dep)
    return found


def check_dependencies():
    known = modules()
    problems = []
    for module in known.values():
        for dep in sorted(module.deps):
            if dep not in known:
                problems.append(f"{module.folder}: DEPS names {dep}, which is no module")
            elif RANKS.get(dep, 0) > RANKS.get(module.name, 9) or (module.name in BASE_ONLY and dep != "base"):
                problems.append(f"{module.folder}: {module.name} must not depend on {dep}")
            elif module.name in reachable(dep, known):
                problems.append(f"{module.folder}: {module.name} and {dep} depend on each other")
    for path in CXX:
        module = module_of(path, known)
        if module is None:
            continue
        allowed = module.deps | {module.name} | (module.test_deps if is_test(path) else set())
        for kind, name in includes(path):
            if kind != '"' or name in SHARED_HEADERS:
                continue
            target = resolve(name)
            if target is None or (is_test(path) and target.parts[0] == "tests"):
                continue
            owner = module_of(target, known)
            if owner is not None and owner.name not in allowed:
                problems.append(f'{path}: includes "{name}", but {owner.name} is not in the DEPS of {module.name}')
    if not known:
        problems.append("no hearth_module() was found")
    return problems


def check_libraries():
    known = modules()
    problems = []
    for path in CXX:
        module = module_of(path, known)
        for _, name in includes(path):
            owners = OWNED_HEADERS.get(name)
            if owners and module is not None and module.name not in owners:
                problems.append(f"{path}: <{name}> belongs to {', '.join(sorted(owners))}")
        if path.parts[0] == "engine" and not is_test(path) and not str(path).startswith(CATCHES):
            code = without_comments(text_of(path))
            if re.search(r"\b(throw|co_await|co_return|co_yield)\b", code):
                problems.append(f"{path}: throws, or is a coroutine")
            if re.search(r"\bcatch\s*\(", code):
                problems.append(f"{path}: catches")
    return problems


# --- sizes -------------------------------------------------------------------------------------------------------------

TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|R"([^(\s]*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])+\'', re.DOTALL)


def without_comments(text):
    """C++ text whose comments and literals are blanked; lines stay where they are."""
    return TOKEN.sub(lambda m: re.sub(r"[^\n]", " ", m.group(0)), text)


NOT_A_FUNCTION = re.compile(r"\b(if|for|while|switch|catch|namespace|class|struct|union|enum|extern|do|else|return|new)\b|=\s*$|\[[^\]]*\]\s*(\(|$)")


def long_functions(path):
    """(line, length) of every C++ function longer than the limit. Lambdas count as part of their function."""
    code = re.sub(r"(?m)^[ \t]*#(?:[^\n\\]|\\\n|\\.)*", lambda m: re.sub(r"[^\n]", " ", m.group(0)), without_comments(text_of(path)))
    found, stack, head_start = [], [], 0
    for match in re.finditer(r"[{};]", code):
        at, mark = match.start(), match.group(0)
        inside = any(kind == "function" for kind, _ in stack)
        if mark == "{":
            head = code[head_start:at]
            is_function = not inside and ")" in head and not NOT_A_FUNCTION.search(head.split("(")[0] + (" =" if head.rstrip().endswith("=") else ""))
            first = head_start + len(head) - len(head.lstrip())
            stack.append(("function" if is_function else "other", code.count("\n", 0, first) + 1))
        elif mark == "}" and stack:
            kind, line = stack.pop()
            length = code.count("\n", 0, at) + 1 - line + 1
            if kind == "function" and length > FUNCTION_LINES_MAX:
                found.append((line, length))
        if not any(kind == "function" for kind, _ in stack):
            head_start = at + 1
    return found


def check_sizes():
    problems = []
    for path in FILES:
        if path.suffix not in (".cc", ".h", ".hpp", ".c", ".py", ".js", ".cjs", ".mjs", ".lua", ".sh", "") or path.name in ("LICENSE",):
            continue
        raw = (ROOT / path).read_bytes()
        if b"\0" in raw:
            continue
        lines = raw.count(b"\n")
        if lines > FILE_LINES_MAX:
            problems.append(f"{path}: {lines} lines, the limit is {FILE_LINES_MAX}")
        if path.suffix == ".py" and "testdata" not in path.parts:
            problems += [f"{path}:{node.lineno}: {node.name} has {node.end_lineno - node.lineno + 1} lines"
                         for node in ast.walk(ast.parse(raw)) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
                         and node.end_lineno - node.lineno + 1 > FUNCTION_LINES_MAX]
    for path in CXX:
        problems += [f"{path}:{line}: a function of {length} lines, the limit is {FUNCTION_LINES_MAX}" for line, length in long_functions(path)]
    return problems


# --- words, READMEs ----------------------------------------------------------------------------------------------------

WORDS = {
    "an unfinished mark": re.compile(r"\b(TOD[O]|FIXM[E]|XX[X]|HAC[K])\b"),
    "a path of one machine": re.compile(r"/(wor[k]|far[m]|roo[t])/|/home/[a-z]"),
    "how the work is organised": re.compile(r"\.\./share[d]\b|\bissue [0-9]"),
    "a switched-off test": re.compile(r"TEST_CASE\([^)]*\[(\.|!mayfail)[^)]*\)|@unittest\.expectedFailure"),
}


def check_words():
    problems = []
    for path in FILES:
        raw = (ROOT / path).read_bytes()
        if b"\0" in raw or "corpus" in path.parts:
            continue
        for number, line in enumerate(raw.decode("utf-8", "replace").splitlines(), 1):
            problems += [f"{path}:{number}: {what}: {line.strip()[:100]}" for what, pattern in WORDS.items() if pattern.search(line)]
    return problems


def check_readmes():
    folders = {path.parent for path in FILES if path.name == "CMakeLists.txt"}
    folders |= {path.parent for path in FILES if len(path.parts) == 3 and path.parts[0] in ("examples", "runtimes")}
    folders |= {pathlib.Path(path.parts[0]) for path in FILES if len(path.parts) > 1 and not path.parts[0].startswith(".")}
    return [f"{folder}: no README.md" for folder in sorted(folders) if not (ROOT / folder / "README.md").is_file()]


def check_catalogue():
    """The hostile catalogue has every number, and the README of sandbox/ shows it as it is."""
    sys.path.insert(0, str(ROOT / "tests/hostile"))
    import catalogue  # pylint: disable=import-outside-toplevel,import-error
    return catalogue.table_problems()


# --- formatting, headers -----------------------------------------------------------------------------------------------

class Skip(Exception):
    pass


def check_format():
    tool = shutil.which("clang-format-14")
    if tool is None:
        raise Skip("clang-format-14 is not installed: tests/install_packages test")
    done = subprocess.run([tool, "--dry-run", "-Werror", "--style=file", *(str(path) for path in CXX if not SET_BY_HAND.fullmatch(str(path)))], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return []
    bad = sorted(set(re.findall(r"^(\S+?):\d+:\d+: error: code should be clang-formatted", done.stderr, re.MULTILINE)))
    return [f"{path}: not formatted (clang-format-14 -i {path})" for path in bad] or [done.stderr[-500:]]


def compile_header(path, build):
    """The compiler's words, or "" when the header compiles alone."""
    languages = [("c++", ".cc", ["-std=c++20"])]
    if path.parts[:2] in (("engine", "include"), ("runtimes", "custom")) and path.suffix == ".h":
        languages.append(("c", ".c", ["-std=c11"]))
    for language, suffix, flags in languages:
        source = build / (str(path).replace("/", "__") + suffix)
        source.write_text(f'#include "{ROOT / path}"\n#include "{ROOT / path}"\n')
        command = ["gcc", "-x", language, *flags, "-Wall", "-Wextra", "-O0", "-I", str(ROOT / "engine"), "-I", str(ROOT),
                   "-I", str(ROOT / "engine/include"), "-isystem", "/usr/share/include/llhttp", "-c", str(source), "-o", str(source) + ".o"]
        if shutil.which("ccache"):
            command.insert(0, "ccache")
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return done.stderr
    return ""


def check_headers():
    build = ROOT / "build/headers"
    build.mkdir(parents=True, exist_ok=True)
    headers = [path for path in CXX if path.suffix in (".h", ".hpp") and not PARTS_OF_A_HEADER.fullmatch(str(path))]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(lambda path: compile_header(path, build), headers))
    return [f"{path}: does not compile alone: {next(line for line in words.splitlines() if 'error' in line)}"
            for path, words in zip(headers, results) if words]


CHECKS = {"dependencies": check_dependencies, "libraries": check_libraries, "sizes": check_sizes, "words": check_words,
          "readmes": check_readmes, "catalogue": check_catalogue, "format": check_format, "headers": check_headers}


def main():
    names = sys.argv[1:] or list(CHECKS)
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for name in names:
        try:
            problems = CHECKS[name]()
        except Skip as reason:
            counts["skipped"] += 1
            print(f"skipped structure {name}: {reason}")
            continue
        counts["failed" if problems else "passed"] += 1
        print(f"{'failed' if problems else 'passed'} structure {name}")
        for problem in problems:
            print(f"    {problem}")
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
