#include "sandbox/runtime_checks.h"

#include <filesystem>

#include "sandbox/probe.h"
#include "sandbox/test_rig.h"

namespace hearth::sandbox {

bool mode_works_here(Mode mode) {
  static const Result<ProbeReport> report = probe();
  return report && report->mode_works(mode);
}

std::string interpreter(const std::string& name) {
  for (const char* folder : {"/usr/bin/", "/usr/local/bin/"})
    if (std::filesystem::exists(folder + name)) return folder + name;
  return {};
}

std::map<std::string, std::string> run_checks(Mode mode, const std::string& runtime,
                                              const PolicyLine& without) {
  const bool python = runtime == "python3";
  const std::string script = python ? "check.py" : "check.cjs";
  Rig rig(mode);
  std::filesystem::copy_file(std::string(HEARTH_TESTCASES) + "/" + script,
                             rig.folder.path() + "/shims/" + script);
  const uint32_t index = rig.add_runtime(
      runtime.c_str(), interpreter(python ? "python3" : "node"),
      {python ? "-I" : "--max-old-space-size={memory_mb}", "/var/runtime/" + script});
  rig.config.nproc = 256;
  rig.without_line = {without.policy, without.text};
  rig.start();
  std::map<std::string, std::string> results;
  if (!rig.ready_error.empty()) {
    results["start"] = rig.ready_error;
    return results;
  }
  TestWorker worker = rig.spawn(0, index, 128u << 20);
  if (worker.error != 0 || worker.line() != "HELLO") {
    results["start"] = "no hello: " + worker.detail;
    return results;
  }
  for (std::string line = worker.line(); !line.empty(); line = worker.line()) {
    if (line == "END") {
      results["end"] = "0";
      break;
    }
    const size_t equals = line.find('=');
    results[line.substr(0, equals)] = equals == std::string::npos ? "" : line.substr(equals + 1);
  }
  return results;
}

}  // namespace hearth::sandbox
