// A folder, or files in memory, to a package; and its way through the store's threads.
#include "package/package.h"

#include <fcntl.h>

#include "package/deploy.h"
#include "store/test_rig.h"
#include "tests/catch.h"
#include "tests/test_folder.h"

using namespace hearth;
using Catch::Matchers::Contains;
using hearth_test::FunctionFolder;

namespace {

constexpr const char* kPython = "def handler(event, context):\n  return event\n";

PackageSource in_memory(std::string name = "echo") {
  PackageSource source;
  source.name = std::move(name);
  source.files = {{"app.py", kPython, false}};
  return source;
}

// A store on its threads, and the loop that hears of its changes.
struct StoreRig {
  StoreRig() : loop(clock), mailbox(loop, 64), store(mailbox, clock, Log(), options()) {
    store.set_listener([this](const FunctionChange& change) { heard.push_back(change.name); });
    REQUIRE(store.open());
    store.start();
  }
  StoreThread::Options options() const {
    StoreThread::Options o;
    o.state_folder = folder.path() + "/state";
    o.runtimes = test::python_and_node();
    return o;
  }
  Result<Deployed> put(const PackageSource& source) {
    auto package = make_package(source);
    REQUIRE(package);
    std::optional<Result<Deployed>> out;
    REQUIRE(deploy(store, std::move(*package), [&](Result<Deployed> r) { out = std::move(r); }));
    for (int i = 0; i < 1'000 && !out; ++i) loop.step(milliseconds(10));
    REQUIRE(out);
    return std::move(*out);
  }
  test::TempFolder folder;
  SystemClock clock;
  Loop loop;
  Mailbox mailbox;
  StoreThread store;
  std::vector<std::string> heard;
};

}  // namespace

TEST_CASE("files in memory make the package that the same folder makes") {
  FunctionFolder folder;
  folder.write("app.py", kPython);
  folder.write("lib/x.txt", "x");
  PackageSource on_disk;
  on_disk.folder = folder.path;
  PackageSource memory = in_memory("hello");
  memory.files.push_back({"lib/x.txt", "x", false});
  const auto a = make_package(on_disk);
  const auto b = make_package(memory);
  REQUIRE((a && b));
  CHECK(a->spec == b->spec);
  CHECK(a->spec.name == "hello");
  CHECK(a->spec.handler == "app.handler");
  CHECK(a->archive_bytes == b->archive_bytes);
  CHECK(b->files == 2);
  std::string first(a->archive_bytes, '\0'), second(b->archive_bytes, '\0');
  CHECK(::pread(a->archive.get(), first.data(), first.size(), 0) ==
        static_cast<ssize_t>(first.size()));
  CHECK(::pread(b->archive.get(), second.data(), second.size(), 0) ==
        static_cast<ssize_t>(second.size()));
  CHECK(first == second);
  CHECK((::fcntl(a->archive.get(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("the text of a manifest wins over a file, and a name over both") {
  FunctionFolder folder;
  folder.write("app.py", kPython);
  folder.write("function.yaml", "name: own\ntimeout: 1s\n");
  folder.write("other.yaml", "name: other\ntimeout: 2s\n");
  PackageSource source;
  source.folder = folder.path;
  CHECK(read_spec(source)->name == "own");
  source.manifest_path = folder.path + "/other.yaml";
  CHECK(read_spec(source)->timeout == milliseconds(2'000));
  source.manifest_text = "timeout: 3s";
  CHECK(read_spec(source)->name == "hello");
  CHECK(read_spec(source)->timeout == milliseconds(3'000));
  source.name = "mine";
  CHECK(read_spec(source)->name == "mine");
}

TEST_CASE("a manifest among the files in memory is read") {
  PackageSource source = in_memory("");
  CHECK_THAT(read_spec(source).error().detail, Contains("no name"));
  source.files.push_back({"function.yaml", "name: m\nmemory: 256MB\n", false});
  REQUIRE(read_spec(source));
  CHECK(read_spec(source)->name == "m");
  CHECK(read_spec(source)->memory_bytes == mebibytes(256));
  source.files.back().content = "nme: m";
  CHECK(read_spec(source).error().code == Code::manifest_invalid);
  CHECK_THAT(read_spec(source).error().detail, Contains("function.yaml"));
}

TEST_CASE("what can't be packed is refused, with its name") {
  PackageSource source = in_memory();
  const auto problem = [&](const char* path) {
    source.files = {{"app.py", kPython, false}, {path, "", false}};
    const auto package = make_package(source);
    REQUIRE_FALSE(package);
    CHECK(package.error().code == Code::archive_invalid);
    return package.error().detail;
  };
  for (const char* path : {"", "/etc/x", "../x", "a/../b", "a//b", "a/", "app.py", "app.py/x"})
    CHECK_FALSE(problem(path).empty());
  source.files.clear();
  CHECK(make_package(source).error().code == Code::manifest_invalid);
  source.folder = "/nonexistent";
  CHECK(make_package(source).error().code == Code::io_failed);
  source = in_memory();
  source.limits.unpacked_max = 4;
  CHECK_THAT(make_package(source).error().detail, Contains("limits.code_unpacked"));
}

TEST_CASE("a native function in memory needs its executable") {
  PackageSource source;
  source.name = "n";
  source.manifest_text = "runtime: native\nhandler: run";
  source.files = {{"run",
                   "\x7f"
                   "ELF",
                   false}};
  CHECK_THAT(read_spec(source).error().detail, Contains("not executable"));
  source.files[0].executable = true;
  CHECK(read_spec(source));
}

TEST_CASE("deploying creates, updates, and says when nothing changed") {
  StoreRig rig;
  const auto first = rig.put(in_memory());
  REQUIRE(first);
  CHECK(first->action == Deployed::Action::created);
  const auto again = rig.put(in_memory());
  REQUIRE(again);
  CHECK(again->action == Deployed::Action::unchanged);
  CHECK(again->record.spec.revision == first->record.spec.revision);
  PackageSource changed = in_memory();
  changed.manifest_text = "timeout: 9s";
  const auto third = rig.put(changed);
  REQUIRE(third);
  CHECK(third->action == Deployed::Action::updated);
  CHECK(third->record.spec.timeout == milliseconds(9'000));
  CHECK(third->record.spec.revision != first->record.spec.revision);
  // What the manifest does not say any more goes back to its default.
  CHECK(rig.put(in_memory())->record.spec.revision == first->record.spec.revision);
  CHECK(rig.heard == std::vector<std::string>(4, "echo"));
}

TEST_CASE("what the store refuses comes back") {
  StoreRig rig;
  PackageSource source = in_memory();
  source.manifest_text = "handler: gone.handler\nruntime: python3";
  const auto refused = rig.put(source);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Code::invalid_parameter);
  CHECK(rig.heard.empty());
}
