// The state folder: one daemon's, mode 0700, with a lock that lives as long as this object. Layout:
//   lock            flock; holds the owner's pid as text
//   hearth.db       SQLite (with -wal and -shm)
//   code/SHA256/    unpacked code, read-only input of sandboxes
//   archives/SHA256.zip  what was uploaded
//   staging/        unfinished work and spooled uploads; emptied at start
//   logs/NAME/      the functions' logs
#pragma once
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace hearth {

class StateFolder {
 public:
  // Makes what is missing (parents too, with 0755). Errors: state_unusable, which names the folder
  // and, when another daemon has it, that daemon's pid.
  static Result<StateFolder> open(const std::string& path);

  const std::string& path() const { return path_; }
  std::string database_path() const { return path_ + "/hearth.db"; }
  std::string code_path(const std::string& sha256) const { return path_ + "/code/" + sha256; }
  // For http::Server: on the same file system as the code.
  std::string spool_path() const { return path_ + "/staging"; }

  int code() const { return code_.get(); }
  int archives() const { return archives_.get(); }
  int staging() const { return staging_.get(); }
  int logs() const { return logs_.get(); }

 private:
  StateFolder() = default;
  std::string path_;
  UniqueFd folder_, lock_, code_, archives_, staging_, logs_;
};

}  // namespace hearth
