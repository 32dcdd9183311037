// Writes a zip into memory, by minizip.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace hearth {

class ZipWriter {
 public:
  ZipWriter();
  ~ZipWriter();
  ZipWriter(const ZipWriter&) = delete;
  ZipWriter& operator=(const ZipWriter&) = delete;

  enum class Executable : bool { kNo, kYes };
  // `name`: relative, with '/'. Errors: archive_invalid.
  Status begin_file(const std::string& name, Executable executable);
  Status write(std::string_view bytes);
  Status end_file();
  // Bytes so far; grows by what compression has let out.
  size_t size() const;
  // Ends the archive; nothing may follow.
  Result<std::string> finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hearth
