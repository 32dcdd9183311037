#include "spawner_config.h"

#include <fmt/core.h>
#include <sys/stat.h>

#include <fcntl.h>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/unique_fd.h"
#include "runtimes/blob.h"
#include "sandbox/start.h"
#include "store/digest.h"

namespace hearth {
namespace {

// Slot n of a strict sandbox runs as kUidBase + n: a range that no distribution's ranges (subuid,
// nspawn, DynamicUser) touch.
constexpr uint32_t kUidBase = 0x70000000;
constexpr uint64_t kTmpBytes = mebibytes(64);
constexpr uint32_t kFilesMax = 1'024;

Status write_file(const std::string& path, std::string_view bytes) {
  const UniqueFd fd(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0444));
  if (!fd.valid())
    return Error{Code::state_unusable, fmt::format("{}: {}", path, std::strerror(errno))};
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t n = ::write(fd.get(), bytes.data() + done, bytes.size() - done);
    if (n <= 0)
      return Error{errno == ENOSPC ? Code::disk_full : Code::state_unusable,
                   fmt::format("{}: {}", path, std::strerror(errno))};
    done += static_cast<size_t>(n);
  }
  return ok();
}

Status make_folder(const std::string& path, mode_t mode) {
  if (::mkdir(path.c_str(), mode) == 0 || errno == EEXIST) {
    ::chmod(path.c_str(), mode);
    return ok();
  }
  return Error{Code::state_unusable, fmt::format("{}: {}", path, std::strerror(errno))};
}

template <size_t N>
Status copy_text(char (&field)[N], std::string_view text, std::string_view what) {
  if (sandbox::set_text(field, text)) return ok();
  return Error{Code::config_invalid,
               fmt::format("{} is longer than {} bytes: {}", what, N - 1, text)};
}

// `environment_skips`: of the arguments, those in front that contradict an environment.
Status add_entry(sandbox::SpawnerConfig& config, std::string_view name, std::string_view path,
                 std::initializer_list<std::string_view> args, uint8_t environment_skips) {
  sandbox::RuntimeEntry& entry = config.runtimes[config.runtimes_count++];
  HEARTH_TRY(copy_text(entry.name, name, "the name of a runtime"));
  HEARTH_TRY(copy_text(entry.path, path, "the path of a runtime"));
  for (const std::string_view arg : args) {
    HEARTH_TRY(copy_text(entry.args[entry.args_count++], arg, "an argument of a runtime"));
  }
  entry.environment_skips = environment_skips;
  return ok();
}

Status add_runtime(sandbox::SpawnerConfig& config, Runtime runtime, std::string_view path) {
  const std::string_view name = runtime_name(runtime);
  switch (runtime) {
    case Runtime::python3:
      return add_entry(config, name, path, {"-I", "/var/runtime/python/bootstrap.py"}, 1);
    case Runtime::nodejs:
      return add_entry(config, name, path,
                       {"--max-old-space-size={heap_mb}", "--max-semi-space-size={young_mb}",
                        "/var/runtime/node/bootstrap.cjs"},
                       1);
    case Runtime::custom:
      config.runtimes[config.runtimes_count].api = 1;
      break;
    case Runtime::native:
    case Runtime::host:
      break;
  }
  return add_entry(config, name, path, {}, 0);
}

}  // namespace

Result<std::string> write_shims(const std::string& state_dir) {
  Sha256 digest;
  for (const auto& file : runtimes::embedded_files()) {
    digest.update_field(file.path);
    digest.update_field(file.bytes);
  }
  const std::string hash = to_hex(digest.finish());
  const std::string base = state_dir + "/runtimes";
  HEARTH_TRY(make_folder(base, 0755));
  std::error_code ignored;
  for (const auto& other : std::filesystem::directory_iterator(base, ignored)) {
    if (other.path().filename() != hash) std::filesystem::remove_all(other.path(), ignored);
  }
  const std::string folder = base + "/" + hash;
  if (std::filesystem::exists(folder, ignored)) return folder;
  // Complete or absent: the folder gets its name when everything is in it.
  const std::string staging = folder + ".new";
  std::filesystem::remove_all(staging, ignored);
  HEARTH_TRY(make_folder(staging, 0755));
  for (const auto& file : runtimes::embedded_files()) {
    const std::string path = staging + "/" + std::string(file.path);
    HEARTH_TRY(make_folder(path.substr(0, path.rfind('/')), 0755));
    HEARTH_TRY(write_file(path, file.bytes));
  }
  if (::rename(staging.c_str(), folder.c_str()) != 0) {
    return Error{Code::state_unusable, fmt::format("{}: {}", folder, std::strerror(errno))};
  }
  return folder;
}

Result<sandbox::SpawnerConfig> spawner_config(const Config& config,
                                              const std::vector<RuntimeInfo>& runtimes,
                                              const std::string& shim_dir, sandbox::Mode mode) {
  sandbox::SpawnerConfig out{};
  out.mode = mode;
  out.uid_base = kUidBase;
  out.slots_max = std::min<uint32_t>(config.limits.workers_max, sandbox::kSlotsMax);
  out.memory_max = config.limits.function_memory_max;
  out.tmp_bytes = kTmpBytes;
  out.tmp_max = std::max<uint64_t>(kTmpBytes, config.limits.function_memory_max);
  out.nofile = kFilesMax;
  out.nproc = config.limits.pids_max;
  out.zygote_forks = config.limits.pool_zygote_forks;
  out.allow_host_network = config.network.allow_host ? 1 : 0;
  HEARTH_TRY(copy_text(out.code_dir, config.state_dir + "/code", "the state folder's path"));
  HEARTH_TRY(copy_text(out.shim_dir, shim_dir, "the state folder's path"));
  // A runtime that is not there keeps its place in the table; nothing can be deployed for it, so it
  // is never started.
  for (const RuntimeInfo& info : runtimes) {
    const std::string path = !has_interpreter(info.runtime) ? ""
                             : info.usable()                ? info.real_path
                                                            : "/nonexistent";
    HEARTH_TRY(add_runtime(out, info.runtime, path));
  }
  out.runtimes[0].zygote = 1;
  return out;
}

}  // namespace hearth
