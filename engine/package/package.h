// A function's folder, or its files in memory, as what the store takes: a specification and an
// archive. Any thread; blocks on the disk; no shared state.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "core/function_spec.h"
#include "package/archive.h"

namespace hearth {

struct PackageSource {
  // The code: a folder; empty: `files`.
  std::string folder;
  std::vector<MemoryFile> files;
  // The manifest: this text, else this file, else function.yaml among the code, else none.
  std::optional<std::string> manifest_text;
  std::string manifest_path;
  // Wins over the manifest's name. Files without a manifest need it; a folder has its own name.
  std::string name;
  ArchiveLimits limits;
};

struct Package {
  FunctionSpec spec;  // without revision and code_*, which the store makes
  UniqueFd archive;   // a zip in a memfd, close-on-exec; read it from its begin
  uint64_t archive_bytes = 0;
  uint64_t unpacked_bytes = 0;
  uint32_t files = 0;
};

// Errors: manifest_invalid, archive_invalid, io_failed.
Result<Package> make_package(const PackageSource& source);

// The specification alone: what the code and the manifest say.
Result<FunctionSpec> read_spec(const PackageSource& source);

}  // namespace hearth
