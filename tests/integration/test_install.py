"""`cmake --install` and the Debian packages: what is in them, and programs that are built and run with them, away from where they were made."""
import os
import re
import shutil
import subprocess
import unittest

from embedding import BUILD, MOVED_FROM, EmbeddingTest, Installed, run
from harness import ROOT

FILES = ["bin/hearth", "include/hearth/hearth.h", "include/hearth/hearth.hpp", "include/hearth/hearth_worker.h", "LIB/libhearth.a", "LIB/libhearth.so",
         "LIB/libhearth.so.1", "LIB/pkgconfig/hearth.pc", "LIB/cmake/hearth/hearthConfig.cmake", "LIB/cmake/hearth/hearthConfigVersion.cmake",
         "share/man/man1/hearth.1.gz", "share/bash-completion/completions/hearth", "share/zsh/vendor-completions/_hearth",
         "share/fish/vendor_completions.d/hearth.fish", "share/licenses/hearth/LICENSE"]
PACKAGES = {"hearth": ["usr/bin/hearth", "usr/share/man/man1/hearth.1.gz", "usr/share/doc/hearth/copyright"],
            "libhearth1": ["LIB/libhearth.so.1", "usr/share/doc/libhearth1/copyright"],
            "libhearth-dev": ["LIB/libhearth.so", "LIB/libhearth.a", "usr/include/hearth/hearth.h", "LIB/pkgconfig/hearth.pc"]}
# What lintian finds and we mean. The packages are built from our own tree, not from a Debian source package; the libraries that we build on
# are inside, so that a host does not have to have them; the calls of ldconfig beside its trigger are CPack's; and folders of one architecture
# are what a build for the prefix /usr has.
LINTIAN_MEANT = ["initial-upload-closes-no-bugs", "embedded-library", "maintscript-calls-ldconfig", "pkg-config-unavailable-for-cross-compilation"]

PROJECT = """
cmake_minimum_required(VERSION 3.16)
project(finds LANGUAGES C CXX)
find_package(hearth 0.1 REQUIRED)
find_package(hearth REQUIRED)
find_package(Threads REQUIRED)
foreach(kind shared static)
  add_executable(finds_${kind} ${EXAMPLE})
endforeach()
target_link_libraries(finds_shared hearth::hearth Threads::Threads)
target_link_libraries(finds_static hearth::hearth_static Threads::Threads)
"""

PLUG_IN = r"""
#include <hearth/hearth.h>
#include <stdio.h>
#include <string.h>
const char *call(const char *python) {
  static char out[256];
  hearth_engine_t *engine = NULL;
  hearth_reply_t *reply = NULL;
  hearth_options_t options;
  hearth_file_t file;
  hearth_source_t source;
  hearth_request_t request;
  HEARTH_INIT(&options);
  HEARTH_INIT(&file);
  HEARTH_INIT(&source);
  HEARTH_INIT(&request);
  options.config_yaml = "pool: {python3: 1, nodejs: 0}";
  file.path = "app.py";
  file.content = (hearth_bytes_t){python, strlen(python)};
  source.files = &file;
  source.file_count = 1;
  source.name = request.function = "f";
  request.payload = (hearth_bytes_t){"[1]", 3};
  hearth_error_t *error = hearth_engine_open(&options, &engine);
  if (error == NULL) error = hearth_function_load(engine, &source, 0, NULL);
  if (error == NULL) error = hearth_invoke(engine, &request, &reply);
  hearth_bytes_t payload = {"", 0};
  if (error == NULL) payload = hearth_reply_payload(reply);
  snprintf(out, sizeof out, "%.*s%s", (int)payload.size, (const char *)payload.data, error != NULL ? hearth_error_message(error) : "");
  if (reply != NULL) hearth_reply_release(reply);
  hearth_error_free(error);
  hearth_error_free(hearth_engine_close(engine, 0));
  return out;
}
"""
PLUG_IN_HOST = r"""
#include <dlfcn.h>
#include <stdio.h>
int main(int argc, char **argv) {
  for (int round = 0; round < 2; ++round) {
    void *library = dlopen(argv[argc - 1], RTLD_NOW | RTLD_LOCAL);
    const char *(*call)(const char *) = library != NULL ? (const char *(*)(const char *))dlsym(library, "call") : NULL;
    puts(call != NULL ? call("def handler(event, context):\n    return event\n") : dlerror());
    if (library != NULL) dlclose(library);
  }
  return 0;
}
"""


def needed(program):
    return set(re.findall(r"\(NEEDED\).*\[(.+?)\]", run(["readelf", "-dW", program]).stdout))


class Programs:
    """Tests of an installation, wherever it came from."""

    def check_program(self, program, shared):
        self.assertEqual("libhearth.so.1" in needed(program), shared)
        self.assertLessEqual(needed(program) - {"libhearth.so.1"}, {"libc.so.6", "libm.so.6", "libstdc++.so.6", "libgcc_s.so.1", "ld-linux-x86-64.so.2"})
        said = self.installed.run([program, self.example("embed_c") / "greet"]).stdout
        self.assertIn("Hello C", said)
        self.assertIn("4 of 4 succeeded", said)

    def test_pkg_config(self):
        for name, options, shared in (("shared", [], True), ("static", ["STATIC=1"], False)):
            build = self.work / f"{type(self).__name__}-{name}"
            self.installed.run(["make", "-C", self.example("embed_c"), f"BUILD={build}", *options])
            self.check_program(build / "embed_c", shared)

    def test_find_package(self):
        source = self.work / f"{type(self).__name__}-finds"
        source.mkdir()
        (source / "CMakeLists.txt").write_text(PROJECT)
        self.installed.cmake(source, source / "build", f"-DEXAMPLE={self.example('embed_c')}/main.c")
        self.check_program(source / "build/finds_shared", True)
        self.check_program(source / "build/finds_static", False)

    def test_the_archive_inside_of_a_plug_in(self):
        """libhearth.a in a shared library that is loaded at run time, as the design says that it is linked."""
        work = self.work / f"{type(self).__name__}-plug-in"
        work.mkdir()
        (work / "plugin.c").write_text(PLUG_IN)
        (work / "host.c").write_text(PLUG_IN_HOST)
        self.installed.run(["gcc", "-Wall", "-Werror", "-fPIC", f"-I{self.installed.prefix / 'include'}", "-c", "plugin.c"], cwd=work)
        self.installed.run(["g++", "-shared", "plugin.o", self.installed.libraries / "libhearth.a", "-o", "plugin.so", "-static-libstdc++",
                            "-static-libgcc", "-lm", "-lpthread", "-ldl", "-Wl,--exclude-libs,ALL", "-Wl,-z,nodelete", "-Wl,-z,defs"], cwd=work)
        self.installed.run(["gcc", "-Wall", "-Werror", "host.c", "-o", "host", "-ldl"], cwd=work)
        shown = run(["nm", "-D", "--defined-only", work / "plugin.so"]).stdout.split()
        self.assertEqual([name for name in shown[2::3]], ["call"], "nothing of ours is shown")
        self.assertNotIn("TEXTREL", run(["readelf", "-dW", work / "plugin.so"]).stdout)
        self.assertEqual(self.installed.run([work / "host", work / "plugin.so"], cwd=work).stdout, '[1]\n[1]\n')

    def test_nothing_names_the_place_of_its_making(self):
        for file in ("pkgconfig/hearth.pc", "cmake/hearth/hearthConfig.cmake"):
            text = (self.installed.libraries / file).read_text()
            for place in (MOVED_FROM, str(BUILD), str(ROOT)):
                self.assertNotIn(place, text, file)

    def test_the_program(self):
        said = self.installed.run([self.installed.prefix / "bin/hearth", "version"]).stdout
        self.assertRegex(said, r"\d+\.\d+\.\d+")


class Prefix(Programs, EmbeddingTest):
    def test_every_file_is_there(self):
        library = str(self.installed.libraries.relative_to(self.installed.prefix))
        for file in FILES:
            self.assertTrue((self.installed.prefix / file.replace("LIB", library)).is_file(), file)
        self.assertTrue(os.access(self.installed.prefix / "bin/hearth", os.X_OK))

    def test_a_future_version_is_not_found(self):
        source = self.work / "future"
        source.mkdir()
        (source / "CMakeLists.txt").write_text("cmake_minimum_required(VERSION 3.16)\nproject(future C)\nfind_package(hearth 99 REQUIRED)\n")
        done = subprocess.run(["cmake", "-S", source, "-B", source / "build"], capture_output=True, text=True, check=False,
                              env={**os.environ, **self.installed.environment})
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("99", done.stderr)


class Debian(Programs, EmbeddingTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if not shutil.which("dpkg-shlibdeps"):
            raise unittest.SkipTest("dpkg-dev is not installed: tests/install_packages test")
        made = cls.work / "debs"
        run(["cpack", "-G", "DEB", "--config", BUILD / "CPackConfig.cmake", "-B", made], cwd=cls.work, timeout=300)
        cls.packages = {re.match(r"[^_]+", path.name).group(0): path for path in made.glob("*.deb")}
        for path in cls.packages.values():
            run(["dpkg-deb", "-x", path, cls.work / "debian"])
        cls.installed = Installed(cls.work / "debian/usr")

    def field(self, package, name):
        return run(["dpkg-deb", "-f", self.packages[package], name]).stdout.strip()

    def test_contents(self):
        self.assertEqual(set(self.packages), set(PACKAGES))
        library = "usr/" + str(self.installed.libraries.relative_to(self.installed.prefix))
        for package, files in PACKAGES.items():
            listed = run(["dpkg-deb", "-c", self.packages[package]]).stdout
            self.assertNotIn("/licenses/", listed)
            for line in listed.splitlines():
                self.assertEqual(line.split()[1], "root/root", line)
            names = {re.sub(r"^\./", "", line.split()[5]) for line in listed.splitlines()}
            for file in files:
                self.assertIn(file.replace("LIB", library), names)

    def test_dependencies(self):
        for package in ("hearth", "libhearth1"):
            self.assertIn("libc6 (>= ", self.field(package, "Depends"))
            self.assertNotIn("libuv", self.field(package, "Depends"))
        version = self.field("libhearth1", "Version")
        self.assertEqual(self.field("libhearth-dev", "Depends"), f"libhearth1 (= {version})")
        for package in PACKAGES:
            self.assertEqual(self.field(package, "Version"), version)
            self.assertTrue(self.field(package, "Description"))
            self.assertTrue(self.field(package, "Maintainer"))

    def test_lintian(self):
        if not shutil.which("lintian"):
            self.skipTest("lintian is not installed: tests/install_packages test")
        done = subprocess.run(["lintian", "--allow-root", "--no-cfg", "--suppress-tags", ",".join(LINTIAN_MEANT), *map(str, self.packages.values())],
                              capture_output=True, text=True, check=False)
        self.assertEqual([line for line in done.stdout.splitlines() if line[:2] in ("E:", "W:")], [], done.stderr)


if __name__ == "__main__":
    unittest.main()
