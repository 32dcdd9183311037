// The state folder: one daemon's, mode 0700 (0711: let_others_pass), with a lock that lives as long
// as this object. Layout:
//   lock            flock; holds the owner's pid as text
//   hearth.db       SQLite (with -wal and -shm)
//   code/SHA256/    unpacked code, read-only input of sandboxes; code/ itself can be passed, not
//                   listed, by others
//   archives/SHA256.zip  what was uploaded
//   staging/        unfinished work and spooled uploads; emptied at start
//   logs/NAME/      the functions' logs
#pragma once
#include <string>
#include <utility>

#include "base/result.h"
#include "base/unique_fd.h"

namespace hearth {

// The right to use a state folder, from the first look at it on: nothing in the folder changes
// before the lock is held, so that a second daemon does no harm to the first. Lives as long as this
// object; may be taken as root and kept when root is given up.
class StateLock {
 public:
  // Makes the folder when it is missing (parents too, with 0755), locks it, and then only makes it
  // private (0700). Only root may take a folder that belongs to another user. Errors:
  // state_unusable, which names the folder and, when another daemon has it, that daemon's pid.
  static Result<StateLock> take(const std::string& path);

  // Lets every user pass (0711), and see nothing: for workers that have uids of their own and no
  // mounts, which must walk to their code. Until the next take(). Errors: state_unusable.
  Status let_others_pass();

  // Absolute, without a slash at its end.
  const std::string& path() const { return path_; }

 private:
  friend class StateFolder;
  StateLock() = default;
  std::string path_;
  UniqueFd folder_, lock_;
};

class StateFolder {
 public:
  // Makes what is missing in the folder, which must belong to this process's user by now. Errors:
  // state_unusable, which names the folder.
  static Result<StateFolder> open(StateLock lock);
  // StateLock::take() and then the same.
  static Result<StateFolder> open(const std::string& path);

  const std::string& path() const { return lock_.path(); }
  std::string database_path() const { return path() + "/hearth.db"; }
  std::string code_path(const std::string& sha256) const { return path() + "/code/" + sha256; }
  // For http::Server: on the same file system as the code.
  std::string spool_path() const { return path() + "/staging"; }

  int code() const { return code_.get(); }
  int archives() const { return archives_.get(); }
  int staging() const { return staging_.get(); }
  int logs() const { return logs_.get(); }

 private:
  explicit StateFolder(StateLock lock) : lock_(std::move(lock)) {}
  StateLock lock_;
  UniqueFd code_, archives_, staging_, logs_;
};

}  // namespace hearth
