// Where a function's files are looked up while its manifest is completed: a folder, or memory.
#pragma once
#include <string>
#include <string_view>

#include "base/result.h"

namespace hearth {

class SourceFiles {
 public:
  virtual ~SourceFiles() = default;
  // `file` is relative, with '/'.
  virtual bool has(std::string_view file) const = 0;
  virtual bool is_executable(std::string_view file) const = 0;
  // Errors: io_failed; manifest_invalid for more than `bytes_max`.
  virtual Result<std::string> read(std::string_view file, size_t bytes_max) const = 0;
  // How messages name the whole and one file of it.
  virtual std::string label() const = 0;
  virtual std::string label(std::string_view file) const = 0;
};

// The files below a folder of this machine.
class FolderFiles final : public SourceFiles {
 public:
  explicit FolderFiles(std::string folder) : folder_(std::move(folder)) {}
  bool has(std::string_view file) const override;
  bool is_executable(std::string_view file) const override;
  Result<std::string> read(std::string_view file, size_t bytes_max) const override;
  std::string label() const override { return folder_; }
  std::string label(std::string_view file) const override;

 private:
  std::string folder_;
};

}  // namespace hearth
