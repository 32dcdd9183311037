// Function code on disk, by the SHA-256 of the archive that brought it. What has a name under code/
// is complete: it was made in staging/, synced, and renamed. One thread, but for prepare().
#pragma once
#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "store/state_folder.h"
#include "store/unpack_process.h"

namespace hearth {

// An archive on its way into the store: a folder of its own in staging/, removed with this object.
class StagedCode {
 public:
  StagedCode(StagedCode&& other) noexcept = default;
  StagedCode& operator=(StagedCode&&) = delete;
  ~StagedCode();

  const std::string& sha256() const { return sha256_; }
  uint64_t archive_bytes() const { return archive_bytes_; }
  bool is_unpacked() const { return code_.valid(); }
  // When it is unpacked: the folder and what is in it.
  int folder() const { return code_.get(); }
  const Unpacked& unpacked() const { return unpacked_; }

 private:
  friend class CodeStore;
  StagedCode() = default;
  int staging_ = -1;
  UniqueFd folder_;   // staging/NAME
  UniqueFd archive_;  // staging/NAME/code.zip
  UniqueFd code_;     // staging/NAME/code
  std::string name_;
  std::string sha256_;
  uint64_t archive_bytes_ = 0;
  Unpacked unpacked_;
  bool synced_ = false;
};

class CodeStore {
 public:
  // Hears of each run of the unpacker that has less than all layers, with the reason; on the thread
  // that unpacks.
  using LayersFn = std::function<void(uint32_t layers, const std::string& missing)>;

  // `folder` must outlive this.
  CodeStore(const StateFolder& folder, const UnpackOptions& options);
  // Before the first use.
  void set_layers_listener(LayersFn listener) { on_layers_ = std::move(listener); }

  // THREAD-SAFE. What takes long of a deploy: copies the archive (from its begin) into staging/,
  // has it hashed and unpacked by a process of its own, and makes both durable. Code that the store
  // seems to have is not unpacked again. An archive above `bytes_max` is archive_invalid; else the
  // errors of UnpackProcess.
  Result<StagedCode> prepare(int archive, uint64_t bytes_max) const;
  // Unpacks what prepare() left packed. Errors: those of UnpackProcess.
  Status unpack(StagedCode& staged) const;
  // Gives it its name, once durable; replaces a left-over of the same name. It is unpacked.
  Status publish(StagedCode& staged);
  // THREAD-SAFE. Gives up the unpacking that runs, with shutting_down, and all that would follow.
  void stop();
  // THREAD-SAFE.
  const UnpackStats& stats() const { return stats_; }

  // The unpacked folder, the archive. Errors: store_failed when it is not there.
  Result<UniqueFd> open_code(const std::string& sha256) const;
  Result<UniqueFd> open_archive(const std::string& sha256) const;

  Status remove(const std::string& sha256);
  // Empties staging/ and removes the code for which `wanted` says no.
  Status collect(const std::function<bool(const std::string& sha256)>& wanted);

 private:
  Result<StagedCode> stage(int archive, uint64_t bytes_max) const;
  Result<UnpackProcess> start_unpacker(StagedCode& staged) const;
  Status finish_unpacker(StagedCode& staged, UnpackProcess& process) const;
  // Counts how it went.
  template <class T>
  Result<T> counted(Result<T> result) const;

  const StateFolder& folder_;
  const UnpackOptions options_;
  LayersFn on_layers_;
  UniqueFd stop_;  // an eventfd
  mutable UnpackStats stats_;
};

}  // namespace hearth
