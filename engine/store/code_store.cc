#include "store/code_store.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <vector>

#include "store/files.h"

namespace hearth {
namespace {

constexpr const char* kArchive = "code.zip";
constexpr const char* kCode = "code";
constexpr size_t kChunk = 256 * 1024;
constexpr int kRemoveTries = 50;
constexpr useconds_t kRemovePauseUs = 1'000;

Status rename_into(int from, const char* name, int to, const std::string& new_name) {
  if (::renameat(from, name, to, new_name.c_str()) != 0) {
    return os_error(fmt::format("rename to '{}'", new_name));
  }
  return sync_file(to, new_name);
}

// The unpacker of an engine that was killed dies with it, but may still end the system call in
// which that finds it: a file more than the folder had when it was listed.
Status remove_staged(int staging, const std::string& name) {
  for (int tries = 1;; ++tries) {
    Status removed = remove_tree(staging, name);
    if (removed || tries == kRemoveTries) return removed;
    ::usleep(kRemovePauseUs);
  }
}

}  // namespace

StagedCode::~StagedCode() {
  // What can't be removed here is removed at the next start.
  if (folder_.valid()) static_cast<void>(remove_tree(staging_, name_));
}

CodeStore::CodeStore(const StateFolder& folder, const UnpackOptions& options)
    : folder_(folder), options_(options), stop_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  HEARTH_ASSERT(stop_.valid());
}

void CodeStore::stop() {
  const uint64_t one = 1;
  static_cast<void>(::write(stop_.get(), &one, sizeof one) == 0);
}

Result<StagedCode> CodeStore::stage(int archive, uint64_t bytes_max) const {
  StagedCode staged;
  staged.staging_ = folder_.staging();
  const std::string name = random_name();
  staged.folder_ = HEARTH_TRY(make_folder(folder_.staging(), name, 0700));
  staged.name_ = name;
  staged.archive_ =
      HEARTH_TRY(open_at(staged.folder_.get(), kArchive, O_RDWR | O_CREAT | O_EXCL, 0600));
  std::vector<char> chunk(kChunk);
  for (;;) {
    const ssize_t n =
        ::pread(archive, chunk.data(), chunk.size(), static_cast<off_t>(staged.archive_bytes_));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return os_error("read the archive");
    if (n == 0) break;
    staged.archive_bytes_ += static_cast<uint64_t>(n);
    if (staged.archive_bytes_ > bytes_max) {
      return Error{Code::archive_invalid,
                   fmt::format("the archive is larger than {} bytes", bytes_max)};
    }
    HEARTH_TRY(write_all(staged.archive_.get(), {chunk.data(), static_cast<size_t>(n)}));
  }
  return staged;
}

Result<StagedCode> CodeStore::prepare(int archive, uint64_t bytes_max) const {
  StagedCode staged = HEARTH_TRY(stage(archive, bytes_max));
  UnpackProcess process = HEARTH_TRY(counted(start_unpacker(staged)));
  staged.sha256_ = to_hex(HEARTH_TRY(counted(process.hash())));
  if (::faccessat(folder_.code(), staged.sha256_.c_str(), F_OK, 0) == 0) return staged;
  HEARTH_TRY(counted(finish_unpacker(staged, process)));
  HEARTH_TRY(sync_tree(staged.folder_.get()));
  staged.synced_ = true;
  return staged;
}

Status CodeStore::unpack(StagedCode& staged) const {
  UnpackProcess process = HEARTH_TRY(counted(start_unpacker(staged)));
  if (to_hex(HEARTH_TRY(counted(process.hash()))) != staged.sha256_)
    return Error{Code::io_failed, "the staged archive has changed"};
  return counted(finish_unpacker(staged, process));
}

Result<UnpackProcess> CodeStore::start_unpacker(StagedCode& staged) const {
  const UniqueFd archive = HEARTH_TRY(open_at(staged.folder_.get(), kArchive, O_RDONLY));
  const UniqueFd code = HEARTH_TRY(make_folder(staged.folder_.get(), kCode, 0755));
  ++stats_.runs;
  UnpackProcess process =
      HEARTH_TRY(UnpackProcess::start(archive.get(), code.get(), options_, stop_.get()));
  stats_.layers = process.layers();
  if (on_layers_ && !process.missing().empty()) on_layers_(process.layers(), process.missing());
  return process;
}

Status CodeStore::finish_unpacker(StagedCode& staged, UnpackProcess& process) const {
  UniqueFd code = HEARTH_TRY(open_at(staged.folder_.get(), kCode, O_RDONLY | O_DIRECTORY));
  staged.unpacked_ = HEARTH_TRY(process.unpack(code.get()));
  staged.code_ = std::move(code);
  return ok();
}

template <class T>
Result<T> CodeStore::counted(Result<T> result) const {
  if (result) return result;
  const Code code = result.error().code;
  if (code == Code::archive_invalid) ++stats_.refused;
  if (code != Code::archive_invalid && code != Code::shutting_down) ++stats_.failed;
  return result;
}

Status CodeStore::publish(StagedCode& staged) {
  HEARTH_ASSERT(staged.is_unpacked());
  HEARTH_TRY(remove(staged.sha256_));
  if (!staged.synced_) HEARTH_TRY(sync_tree(staged.folder_.get()));
  HEARTH_TRY(
      rename_into(staged.folder_.get(), kArchive, folder_.archives(), staged.sha256_ + ".zip"));
  return rename_into(staged.folder_.get(), kCode, folder_.code(), staged.sha256_);
}

Result<UniqueFd> CodeStore::open_code(const std::string& sha256) const {
  auto fd = open_at(folder_.code(), sha256, O_RDONLY | O_DIRECTORY);
  if (!fd) return Error{Code::store_failed, fmt::format("code {}: {}", sha256, fd.error().detail)};
  return fd;
}

Result<UniqueFd> CodeStore::open_archive(const std::string& sha256) const {
  auto fd = open_at(folder_.archives(), sha256 + ".zip", O_RDONLY);
  if (!fd) {
    return Error{Code::store_failed, fmt::format("archive {}: {}", sha256, fd.error().detail)};
  }
  return fd;
}

Status CodeStore::remove(const std::string& sha256) {
  HEARTH_TRY(remove_tree(folder_.code(), sha256));
  return remove_tree(folder_.archives(), sha256 + ".zip");
}

Status CodeStore::collect(const std::function<bool(const std::string&)>& wanted) {
  for (const auto& name : HEARTH_TRY(list_names(folder_.staging()))) {
    HEARTH_TRY(remove_staged(folder_.staging(), name));
  }
  for (const auto& name : HEARTH_TRY(list_names(folder_.code()))) {
    if (!wanted(name)) HEARTH_TRY(remove_tree(folder_.code(), name));
  }
  for (const auto& name : HEARTH_TRY(list_names(folder_.archives()))) {
    const bool archive = name.ends_with(".zip");
    if (!archive || !wanted(name.substr(0, name.size() - 4))) {
      HEARTH_TRY(remove_tree(folder_.archives(), name));
    }
  }
  return ok();
}

}  // namespace hearth
