// The management service: what a deploy makes, what it refuses, and what is kept and removed.
#include "store/function_service.h"

#include <elf.h>
#include <sys/stat.h>

#include <cstring>

#include "store/test_rig.h"
#include "tests/catch.h"

using namespace hearth;
using namespace hearth::test;

namespace {

Code create_code(ServiceRig& rig, const FunctionSpec& spec, const UniqueFd& zip) {
  const auto result = rig.create(spec, zip);
  return result ? Code{} : result.error().code;
}

std::string create_detail(ServiceRig& rig, const FunctionSpec& spec, const UniqueFd& zip) {
  const auto result = rig.create(spec, zip);
  return result ? "created" : result.error().detail;
}

}  // namespace

TEST_CASE("a function that was created is there after a restart") {
  const TempFolder folder;
  FunctionRecord made;
  {
    ServiceRig rig(ServiceRig::standard(), folder.path() + "/state");
    FunctionSpec spec = python_spec("hello");
    spec.environment = {{"B", "2"}, {"A", "1"}};
    spec.concurrency = {2, 1, 7, 50};
    spec.description = "says hello";
    spec.role = "r";
    spec.cpu_millis = 500;
    spec.recycle = {100, seconds(90), mebibytes(200)};
    spec.zygote = Zygote::off;
    spec.tmp_bytes = mebibytes(16);
    spec.init_timeout = seconds(45);
    spec.runtime_label = "python3.11";
    made = ServiceRig::take(rig.create(spec, python_zip()));
    REQUIRE(rig.changes.size() == 1);
    CHECK(rig.changes[0].kind == FunctionChange::Kind::created);
    CHECK(*rig.changes[0].spec == made.spec);
  }
  ServiceRig rig(ServiceRig::standard(), folder.path() + "/state");
  const auto all = ServiceRig::take(rig.service->load_all());
  REQUIRE(all.size() == 1);
  CHECK(all[0].spec == made.spec);
  CHECK(all[0].spec.runtime_label == "python3.11");
  CHECK(all[0].revision_id == made.revision_id);
  CHECK(all[0].created == made.created);
  CHECK(all[0].modified == made.modified);
  CHECK(all[0].code_sha256_base64 == made.code_sha256_base64);
  CHECK(all[0].code_sha256_base64.size() == 44);
  CHECK(all[0].spec.environment.front().first == "A");
  CHECK(read_file(rig.state.code_path(made.spec.code_sha256) + "/app.py") ==
        "def handler(e, c): return e\n");
}

TEST_CASE("a function that asks for a stronger sandbox than the engine's is not deployed") {
  auto options = ServiceRig::standard();
  options.sandbox = SandboxLeast::user;
  ServiceRig rig(options);
  FunctionSpec spec = python_spec("f");
  spec.least_sandbox = SandboxLeast::strict;
  const auto refused = rig.create(spec, python_zip());
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Code::invalid_parameter);
  spec.least_sandbox = SandboxLeast::user;
  CHECK(ServiceRig::take(rig.create(spec, python_zip())).spec.least_sandbox == SandboxLeast::user);
}

TEST_CASE("the revision depends on code, configuration and name, and on nothing else") {
  ServiceRig rig;
  const FunctionRecord a = rig.create("a");
  const FunctionRecord b = rig.create("b");
  CHECK(a.spec.revision.size() == 64);
  CHECK(a.spec.revision != b.spec.revision);
  ConfigurationPatch patch;
  patch.timeout = milliseconds(9'000);
  const auto changed = ServiceRig::take(rig.service->update_configuration("a", patch, {}));
  CHECK(changed.spec.revision != a.spec.revision);
  patch.timeout = a.spec.timeout;
  const auto back = ServiceRig::take(rig.service->update_configuration("a", patch, {}));
  CHECK(back.spec.revision == a.spec.revision);
  CHECK(back.revision_id != a.revision_id);
}

TEST_CASE("a change with an old revision id is refused") {
  ServiceRig rig;
  const FunctionRecord made = rig.create("f");
  const auto updated = rig.update("f", python_zip("x = 1\n"), made.revision_id);
  REQUIRE(updated);
  CHECK(updated->spec.code_sha256 != made.spec.code_sha256);
  const auto late = rig.service->update_configuration("f", {}, made.revision_id);
  REQUIRE_FALSE(late);
  CHECK(late.error().code == Code::revision_mismatch);
  CHECK(rig.changes.size() == 2);
}

TEST_CASE("a refused deploy leaves nothing behind") {
  ServiceRig rig;
  rig.create("taken");
  const size_t before = entries_in(rig.state.path());
  CHECK(create_code(rig, python_spec("taken"), python_zip("other = 1\n")) == Code::function_exists);
  CHECK(create_code(rig, python_spec("bad name"), python_zip()) == Code::invalid_parameter);
  CHECK(create_code(rig, python_spec("f"), ZipMaker::file_of("no zip")) == Code::archive_invalid);
  CHECK(create_code(rig, python_spec("f"), ZipMaker().add("app.py", "").add("../x", "").file()) ==
        Code::archive_invalid);
  CHECK(create_code(rig, python_spec("f"), ZipMaker().add("other.py", "").file()) ==
        Code::invalid_parameter);
  CHECK(rig.service->remove("nobody").error().code == Code::function_unknown);
  CHECK(rig.update("nobody", python_zip()).error().code == Code::function_unknown);
  CHECK(entries_in(rig.state.path()) == before);
  CHECK(rig.changes.size() == 1);
}

TEST_CASE("a runtime that the machine lacks is named with its key") {
  auto options = ServiceRig::standard();
  options.runtimes =
      RuntimeCatalogue({{Runtime::python3, 0, "3.11.2", "/usr/bin/python3.11"}}, Substitute::never);
  ServiceRig rig(options);
  FunctionSpec spec = python_spec("f");
  spec.runtime = Runtime::nodejs;
  const auto result = rig.create(spec, ZipMaker().add("app.js", "").file());
  REQUIRE_FALSE(result);
  CHECK(result.error().code == Code::runtime_unavailable);
  CHECK(result.error().detail.find("runtimes.nodejs.path") != std::string::npos);
}

TEST_CASE("a version that is not there is refused, or the nearest runs it and that is said") {
  TempFolder folder;
  FunctionSpec spec = python_spec("f");
  spec.runtime_label = "python3.12";
  std::string revision;
  {
    ServiceRig rig(ServiceRig::standard(), folder.path() + "/state");
    const auto refused = rig.create(spec, python_zip());
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Code::runtime_unavailable);
    CHECK(rig.changes.empty());
  }
  auto options = ServiceRig::standard();
  options.runtimes = RuntimeCatalogue({{Runtime::python3, 0, "3.11.2", "/usr/bin/python3.11"},
                                       {Runtime::python3, 1, "3.9.1", "/opt/python3.9"}},
                                      Substitute::nearest);
  {
    ServiceRig rig(options, folder.path() + "/state");
    const FunctionRecord made = ServiceRig::take(rig.create(spec, python_zip()));
    CHECK(made.substituted);
    CHECK(made.interpreter_version == "3.11.2");
    CHECK(made.spec.interpreter == 0);
    REQUIRE(rig.changes.size() == 1);
    CHECK(rig.changes[0].note.find("python3.12") != std::string::npos);
    revision = made.spec.revision;
    // Another version is another revision, and another interpreter.
    ConfigurationPatch patch;
    patch.runtime = Runtime::python3;
    patch.runtime_label = "python3.9";
    const auto changed = ServiceRig::take(rig.service->update_configuration("f", patch, {}));
    CHECK(changed.spec.interpreter == 1);
    CHECK_FALSE(changed.substituted);
    CHECK(changed.spec.revision != revision);
    CHECK(rig.changes[1].note.empty());
  }
  // A machine without it keeps the function, and says why it can't run.
  ServiceRig rig(ServiceRig::standard(), folder.path() + "/state");
  const auto all = ServiceRig::take(rig.service->load_all());
  REQUIRE(all.size() == 1);
  CHECK(all[0].unavailable.find("python3.9") != std::string::npos);
  CHECK(ServiceRig::take(rig.service->get("f")).unavailable == all[0].unavailable);
  CHECK(ServiceRig::take(rig.service->list("", 5)).records[0].unavailable == all[0].unavailable);
}

TEST_CASE("the handler's file must be in the code") {
  ServiceRig rig;
  FunctionSpec spec = python_spec("f");
  CHECK(
      create_detail(rig, spec, ZipMaker().add("x.py", "").file()).find("app.py, app/__init__.py") !=
      std::string::npos);
  spec.name = "package";
  CHECK(create_detail(rig, spec, ZipMaker().add("app/__init__.py", "").file()) == "created");
  spec.name = "dotted";
  spec.handler = "src.pkg.app.handler";
  CHECK(create_detail(rig, spec, ZipMaker().add("src/pkg/app.py", "").file()) == "created");
  spec.name = "binary";
  spec.handler = "fast.handler";
  CHECK(
      create_detail(rig, spec, ZipMaker().add("fast.cpython-311-x86_64-linux-gnu.so", "").file()) ==
      "created");
  spec.name = "node";
  spec.runtime = Runtime::nodejs;
  spec.handler = "src/index.handler";
  CHECK(create_detail(rig, spec, ZipMaker().add("index.mjs", "").file())
            .find("src/index.mjs, src/index.cjs, src/index.js") != std::string::npos);
  CHECK(create_detail(rig, spec, ZipMaker().add("src/index.cjs", "").file()) == "created");
  spec.name = "native";
  spec.runtime = Runtime::native;
  spec.handler = "bin/worker";
  CHECK(create_detail(rig, spec, ZipMaker().add("bin/worker", "x").file()).find("chmod +x") !=
        std::string::npos);
  CHECK(create_detail(rig, spec, ZipMaker().add("bin/worker", "#!/bin/sh\n", 0100755).file()) ==
        "created");
}

TEST_CASE("an executable that this machine can't run is refused with what is wrong with it") {
  auto options = ServiceRig::standard();
  options.sandbox = SandboxLeast::strict;
  ServiceRig rig(options);
  FunctionSpec spec = python_spec("custom");
  spec.runtime = Runtime::custom;
  spec.handler = "bootstrap";
  const auto detail = [&](const std::string& begin) {
    return create_detail(rig, spec, ZipMaker().add("bootstrap", begin, 0100755).file());
  };
  const auto program = [](uint16_t machine, uint16_t type) {
    Elf64_Ehdr head{};
    std::memcpy(head.e_ident, ELFMAG, SELFMAG);
    head.e_machine = machine;
    head.e_type = type;
    return std::string(reinterpret_cast<const char*>(&head), sizeof head);
  };
#ifdef __x86_64__
  constexpr uint16_t kOwn = EM_X86_64, kOther = EM_AARCH64;
  constexpr const char* kOtherName = "arm64";
#else
  constexpr uint16_t kOwn = EM_AARCH64, kOther = EM_X86_64;
  constexpr const char* kOtherName = "x86_64";
#endif
  const auto has = [](const std::string& text, const char* part) {
    CAPTURE(text);
    return text.find(part) != std::string::npos;
  };
  CHECK(has(create_detail(rig, spec, ZipMaker().add("app.py", "").file()),
            "bootstrap: the code has no file"));
  CHECK(
      has(create_detail(rig, spec, ZipMaker().add("bootstrap", "#!/bin/sh\n").file()), "chmod +x"));
  CHECK(has(detail(program(kOther, ET_DYN)), kOtherName));
  CHECK(has(detail(program(kOwn, ET_REL)), "object file"));
  CHECK(has(detail("\x7f"
                   "ELF"),
            "neither"));
  CHECK(has(detail(""), "neither"));
  CHECK(has(detail("echo hello\n"), "neither"));
  CHECK(has(detail("#!/bin/sh\r\nexit\r\n"), "Windows"));
  CHECK(has(detail("#!python3\n"), "no absolute path"));
  CHECK(has(detail("#!/usr/bin/no-such-thing -x\n"), "/usr/bin/no-such-thing"));
  CHECK(detail(program(kOwn, ET_DYN)) == "created");
  for (const char* good : {"#! /bin/sh -e\n", "#!/usr/bin/env python3\n", "#!/opt/bin/mine\n"}) {
    spec.name += "_";
    CHECK(detail(good) == "created");
  }
}

TEST_CASE("the same content is stored once and goes with its last function") {
  auto options = ServiceRig::standard();
  options.code_grace = seconds(60);
  ServiceRig rig(options);
  rig.create("a");
  rig.create("b");
  CHECK(rig.codes() == 1);
  REQUIRE(rig.service->remove("a"));
  rig.clock.advance(seconds(100));
  rig.service->sweep();
  CHECK(rig.codes() == 1);
  REQUIRE(rig.service->remove("b"));
  CHECK(rig.codes() == 1);  // a worker may still execute it
  const auto due = rig.service->sweep();
  REQUIRE(due.has_value());
  CHECK(*due == rig.clock.now() + seconds(60));
  rig.clock.advance(seconds(61));
  CHECK_FALSE(rig.service->sweep().has_value());
  CHECK(rig.codes() == 0);
  CHECK(ServiceRig::take(list_names(rig.state.archives())).empty());
  CHECK(rig.changes.back().kind == FunctionChange::Kind::removed);
}

TEST_CASE("code that is deployed again during its grace stays") {
  auto options = ServiceRig::standard();
  options.code_grace = seconds(60);
  ServiceRig rig(options);
  rig.create("a");
  REQUIRE(rig.service->remove("a"));
  rig.create("b");
  rig.clock.advance(seconds(61));
  rig.service->sweep();
  CHECK(rig.codes() == 1);
}

TEST_CASE("the last ten revisions and their code are kept") {
  ServiceRig rig;
  rig.create("f", "v = 0\n");
  for (int i = 1; i <= 20; ++i) {
    REQUIRE(rig.update("f", python_zip("v = " + std::to_string(i) + "\n")));
  }
  CHECK(rig.codes() == 10);
  Statement count = ServiceRig::take(rig.database.query("SELECT count(*) FROM revisions"));
  REQUIRE(ServiceRig::take(count.step()));
  CHECK(count.integer(0) == 10);
}

TEST_CASE("the list goes page by page") {
  ServiceRig rig;
  for (const char* name : {"c", "a", "e", "b", "d"}) rig.create(name);
  std::string names;
  std::string marker;
  do {
    const auto page = ServiceRig::take(rig.service->list(marker, 2));
    for (const auto& record : page.records) names += record.spec.name;
    names += '|';
    marker = page.next_marker;
  } while (!marker.empty());
  CHECK(names == "ab|cd|e|");
}

TEST_CASE("limits of functions and of all code hold") {
  auto options = ServiceRig::standard();
  options.limits.functions_max = 2;
  options.limits.code_total_max = 2'000;
  ServiceRig rig(options);
  rig.create("a");
  CHECK(create_detail(rig, python_spec("b"), python_zip(std::string(2'000, '#')))
            .find("limits.code_total") != std::string::npos);
  rig.create("b");
  CHECK(create_detail(rig, python_spec("c"), python_zip()).find("limits.functions") !=
        std::string::npos);
}

TEST_CASE("a start removes what a kill left behind") {
  const TempFolder folder;
  const std::string path = folder.path() + "/state";
  std::string kept;
  {
    ServiceRig rig(ServiceRig::standard(), path);
    kept = rig.create("f").spec.code_sha256;
    std::filesystem::create_directories(path + "/staging/abc/code/deep");
    std::filesystem::create_directories(path + "/code/" + std::string(64, '0'));
    std::ofstream(path + "/archives/" + std::string(64, '0') + ".zip") << "x";
    std::ofstream(path + "/archives/stray") << "x";
  }
  const ServiceRig rig(ServiceRig::standard(), path);
  CHECK(ServiceRig::take(list_names(rig.state.staging())).empty());
  CHECK(ServiceRig::take(list_names(rig.state.code())) == std::vector<std::string>{kept});
  CHECK(ServiceRig::take(list_names(rig.state.archives())) ==
        std::vector<std::string>{kept + ".zip"});
}
