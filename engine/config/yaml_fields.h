// Reads the fields of a YAML map into plain variables, strictly: a wrong type, unit or range, and a
// key that nobody asked for, are errors that name the file, the line, the key, its value and what
// is allowed.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "config/units_text.h"
#include "config/yaml_document.h"

namespace hearth {

// What the fields of one file share: the first error wins, later ones are dropped.
class YamlErrors {
 public:
  // `file` must outlive this.
  YamlErrors(std::string_view file, Code code) : file_(file), code_(code) {}
  void report(int line, std::string_view key, std::string_view problem);
  bool failed() const { return failed_; }
  Status status() const;

 private:
  std::string_view file_;
  Code code_;
  bool failed_ = false;
  std::string detail_;
};

// One map of the file. Each reader leaves its variable alone when the key is missing or the value
// is not allowed. Ask for every key, then call finish().
class YamlFields {
 public:
  // `node` is a map or null (= an empty map); anything else is reported. `path` is the map's own
  // key, "" at the top. `node` and `errors` must outlive this.
  YamlFields(const YamlNode& node, std::string path, YamlErrors& errors);

  void text(std::string_view key, std::string& out);
  void boolean(std::string_view key, bool& out);
  void whole(std::string_view key, uint32_t& out, uint64_t least, uint64_t most);
  void size(std::string_view key, uint64_t& out, uint64_t least, uint64_t most,
            Bare bare = Bare::refused);
  template <class Duration>
  void duration(std::string_view key, Duration& out, nanoseconds least, nanoseconds most,
                Bare bare = Bare::refused) {
    nanoseconds value = out;
    read_duration(key, value, least, most, bare,
                  std::chrono::duration_cast<nanoseconds>(Duration(1)));
    out = std::chrono::duration_cast<Duration>(value);
  }
  void list(std::string_view key, std::vector<std::string>& out);
  // The value behind `key` for a reader of its own, or null. Counts as asked for.
  const YamlEntry* entry(std::string_view key);
  // The map behind `key`; an empty one when the key is missing.
  YamlFields section(std::string_view key);

  // "limits.queue" for the key "queue" of the section "limits".
  std::string full_key(std::string_view key) const;
  // Reports a problem with the value of `key`.
  void report(std::string_view key, std::string_view problem);
  // Reports the first key that was not asked for, with the nearest of those that were.
  void finish();

 private:
  const std::string* scalar(std::string_view key, std::string_view allowed);
  void read_duration(std::string_view key, nanoseconds& out, nanoseconds least, nanoseconds most,
                     Bare bare, nanoseconds step);
  void wrong(const YamlEntry& entry, std::string_view allowed);

  const YamlNode* node_;
  std::string path_;
  YamlErrors* errors_;
  std::vector<std::string_view> known_;
};

}  // namespace hearth
