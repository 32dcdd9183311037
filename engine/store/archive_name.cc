#include "store/archive_name.h"

#include <fmt/core.h>

#include <algorithm>

#include "store/utf8.h"

namespace hearth {
namespace {

Error invalid(std::string_view name, std::string_view why) {
  return Error{Code::archive_invalid, fmt::format("entry {}: {}", shown_name(name), why)};
}

Status check_part(std::string_view name, std::string_view part, const UnpackLimits& limits) {
  if (part.empty()) return invalid(name, "the name has an empty component");
  if (part == ".." || part == ".") return invalid(name, "the name has a '.' or '..' component");
  if (part.size() > limits.part_max) {
    return invalid(name, fmt::format("a component is longer than {} bytes", limits.part_max));
  }
  return ok();
}

}  // namespace

std::string shown_name(std::string_view name) {
  std::string text = "'";
  for (const char c : name.substr(0, 200)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7F) {
      text += c;
    } else {
      text += fmt::format("\\x{:02x}", byte);
    }
  }
  return text + (name.size() > 200 ? "...'" : "'");
}

Status check_archive_name(std::string_view name, const UnpackLimits& limits) {
  if (name.empty()) return invalid(name, "the name is empty");
  if (name.size() > limits.name_max) {
    return invalid(name, fmt::format("the name is longer than {} bytes", limits.name_max));
  }
  if (name.front() == '/') return invalid(name, "the name is absolute");
  if (name.find('\\') != name.npos) return invalid(name, "the name has a backslash");
  const auto control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; };
  if (std::any_of(name.begin(), name.end(), control)) {
    return invalid(name, "the name has a NUL or another control character");
  }
  if (!valid_utf8(name)) return invalid(name, "the name is not UTF-8");
  std::string_view rest = name;
  if (rest.ends_with('/')) rest.remove_suffix(1);
  uint32_t depth = 0;
  for (size_t start = 0; start <= rest.size(); ++depth) {
    const size_t end = std::min(rest.find('/', start), rest.size());
    HEARTH_TRY(check_part(name, rest.substr(start, end - start), limits));
    start = end + 1;
  }
  if (depth > limits.depth_max) {
    return invalid(name, fmt::format("the name has more than {} components", limits.depth_max));
  }
  return ok();
}

Result<bool> ArchiveNames::insert(const std::string& name, Kind kind, Implied implied) {
  std::string folded = name;
  for (char& c : folded) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  const auto [it, fresh] = seen_.try_emplace(folded, Entry{name, kind, implied == Implied::yes});
  if (fresh) {
    if (seen_.size() <= limits_.files_max) return true;
    return Error{Code::archive_invalid,
                 fmt::format("the archive has more than {} files and folders (limits.code_files)",
                             limits_.files_max)};
  }
  Entry& old = it->second;
  if (old.name != name) {
    return invalid(name, fmt::format("differs from {} in case only", shown_name(old.name)));
  }
  if (old.kind != kind) return invalid(name, "is there as a file and as a folder");
  if (implied == Implied::yes) return false;
  if (!old.implied) return invalid(name, "is there twice");
  old.implied = false;
  return false;
}

}  // namespace hearth
