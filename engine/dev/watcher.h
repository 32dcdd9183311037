// Which files below a folder have changed, by inotify. One thread. Knows nothing of functions.
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace hearth::dev {

class Watcher {
 public:
  struct Changes {
    std::vector<std::string> paths;  // each once; folders that came or went are named themselves
    bool everything = false;         // anything may have changed: the kernel dropped events, or
                                     // the root went or came
  };

  // Watches `root` (absolute) and its folders, but those that tree.h ignores. A root that goes and
  // comes back is watched again; both are told as a change of everything. Errors: io_failed, which
  // says which limit of the kernel was met and how to raise it.
  static Result<Watcher> open(const std::string& root);

  // Watches one more file, wherever it is; it may come later, its folder may not. Errors:
  // io_failed.
  Status add_file(const std::string& path);

  // Readable when read() has something to tell.
  int fd() const { return fd_.get(); }
  // Reads what has come, without waiting. A save counts once it is complete: when the file that was
  // written to is closed, or when another was renamed to its name.
  Changes read();

  // Those that are watched whole.
  size_t folders() const;

 private:
  struct Watched {
    std::string path;
    std::vector<std::string> only;  // names of files; empty: all, and folders too
  };
  explicit Watcher(UniqueFd fd) : fd_(std::move(fd)) {}
  Status add_tree(const std::string& folder, int depth);
  Status add_folder(const std::string& folder, const std::string& only);
  void forget_below(const std::string& folder);
  void on_root(uint32_t mask, Changes& changes);
  void handle(int watch, uint32_t mask, std::string_view name, Changes& changes);

  UniqueFd fd_;
  std::string root_;
  std::map<int, Watched> watched_;
};

}  // namespace hearth::dev
