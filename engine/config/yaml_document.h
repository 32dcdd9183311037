// A YAML text as a plain tree, with the traps of YAML taken out. The only place that knows
// yaml-cpp.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hearth {

struct YamlEntry;

// Scalars keep their text as it was written: what `012` or `yes` means is for the reader of the
// field to say.
struct YamlNode {
  enum class Kind : uint8_t { null, scalar, list, map } kind = Kind::null;
  bool quoted = false;          // scalar: "…", '…' or a block, so it is text and nothing else
  int line = 0;                 // from 1
  std::string text;             // scalar
  std::vector<YamlNode> items;  // list
  std::vector<YamlEntry> entries;  // map, in the order of the file; keys are unique
};

struct YamlEntry {
  std::string key;
  int line = 0;
  YamlNode value;
};

inline constexpr size_t kYamlDepthMax = 16;  // lists and maps inside each other
inline constexpr size_t kYamlNodesMax =
    5'000;  // nodes of the tree, each alias counted with all that it stands for
inline constexpr size_t kYamlAliasBytesMax = 1u << 20;  // of text that aliases repeat

// An empty text, or one of comments only, is a null node. `bytes_max`: larger texts are refused
// unread. The error's code is `code`; it names `file` and the line. Refused: control characters,
// bytes that are not UTF-8, duplicate keys, keys that are not scalars, tags, a second document, and
// what passes the limits above.
Result<YamlNode> parse_yaml(std::string_view text, std::string_view file, size_t bytes_max,
                            Code code);

}  // namespace hearth
