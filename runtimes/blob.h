// The shims, byte for byte, as they stand in this folder: the daemon writes them to its state
// folder when it starts.
#pragma once
#include <span>
#include <string_view>

namespace hearth::runtimes {

// `path` is relative to the folder that all shims go to ("python/bootstrap.py"). Static storage.
struct EmbeddedFile {
  std::string_view path;
  std::string_view bytes;
};

// In a fixed order. A runtime starts from python/bootstrap.py or node/bootstrap.cjs; the other
// files belong to these.
std::span<const EmbeddedFile> embedded_files();

}  // namespace hearth::runtimes
