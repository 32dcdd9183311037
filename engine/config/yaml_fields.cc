#include "config/yaml_fields.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "config/nearest.h"

namespace hearth {
namespace {

constexpr size_t kShownMax = 80;  // bytes of a value that a message repeats
const YamlNode kEmpty;

std::string shown(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::null:
      return "nothing";
    case YamlNode::Kind::list:
      return "a list";
    case YamlNode::Kind::map:
      return "a map";
    case YamlNode::Kind::scalar:
      break;
  }
  if (node.text.size() <= kShownMax) return fmt::format("'{}'", node.text);
  size_t cut = kShownMax;
  while (cut > 0 && (static_cast<unsigned char>(node.text[cut]) & 0xC0) == 0x80) --cut;
  return fmt::format("'{}...'", node.text.substr(0, cut));
}

}  // namespace

void YamlErrors::report(int line, std::string_view key, std::string_view problem) {
  if (failed_) return;
  failed_ = true;
  detail_ = key.empty() ? fmt::format("{}:{}: {}", file_, line, problem)
                        : fmt::format("{}:{}: {}: {}", file_, line, key, problem);
}

Status YamlErrors::status() const {
  if (failed_) return Error{code_, detail_};
  return ok();
}

YamlFields::YamlFields(const YamlNode& node, std::string path, YamlErrors& errors)
    : node_(&node), path_(std::move(path)), errors_(&errors) {
  if (node.kind == YamlNode::Kind::map || node.kind == YamlNode::Kind::null) return;
  errors.report(
      node.line, path_,
      fmt::format("{} is not allowed here; write a map of `key: value` lines", shown(node)));
  node_ = &kEmpty;
}

std::string YamlFields::full_key(std::string_view key) const {
  return path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
}

const YamlEntry* YamlFields::entry(std::string_view key) {
  known_.push_back(key);
  for (const YamlEntry& entry : node_->entries) {
    if (entry.key == key) return &entry;
  }
  return nullptr;
}

void YamlFields::wrong(const YamlEntry& entry, std::string_view allowed) {
  errors_->report(entry.line, full_key(entry.key),
                  fmt::format("{} is not allowed; write {}", shown(entry.value), allowed));
}

void YamlFields::report(std::string_view key, std::string_view problem) {
  int line = node_->line;
  for (const YamlEntry& entry : node_->entries) {
    if (entry.key == key) line = entry.line;
  }
  errors_->report(std::max(line, 1), full_key(key), problem);
}

const std::string* YamlFields::scalar(std::string_view key, std::string_view allowed) {
  const YamlEntry* found = entry(key);
  if (found == nullptr) return nullptr;
  if (found->value.kind == YamlNode::Kind::scalar) return &found->value.text;
  wrong(*found, allowed);
  return nullptr;
}

void YamlFields::text(std::string_view key, std::string& out) {
  if (const std::string* value = scalar(key, "text (\"\" for none)")) out = *value;
}

void YamlFields::boolean(std::string_view key, bool& out) {
  const YamlEntry* found = entry(key);
  if (found == nullptr) return;
  constexpr std::array<std::string_view, 3> kTrue = {"true", "yes", "on"};
  constexpr std::array<std::string_view, 3> kFalse = {"false", "no", "off"};
  const YamlNode& value = found->value;
  if (value.kind == YamlNode::Kind::scalar && !value.quoted) {
    if (std::find(kTrue.begin(), kTrue.end(), value.text) != kTrue.end()) return void(out = true);
    if (std::find(kFalse.begin(), kFalse.end(), value.text) != kFalse.end())
      return void(out = false);
  }
  wrong(*found, "true or false");
}

void YamlFields::whole(std::string_view key, uint32_t& out, uint64_t least, uint64_t most) {
  const std::string allowed = fmt::format("a whole number from {} to {}", least, most);
  const std::string* value = scalar(key, allowed);
  if (value == nullptr) return;
  const auto number = parse_whole(*value);
  if (number && *number >= least && *number <= most) {
    out = static_cast<uint32_t>(*number);
    return;
  }
  const bool octal = value->size() > 1 && (*value)[0] == '0';
  report(key, fmt::format("'{}' is not allowed; write {}{}", *value, allowed,
                          octal ? " without a leading zero (YAML would read it as octal)" : ""));
}

void YamlFields::size(std::string_view key, uint64_t& out, uint64_t least, uint64_t most,
                      Bare bare) {
  const std::string allowed =
      fmt::format("{}, from {} to {}", kSizeForm, format_size(least), format_size(most));
  const std::string* value = scalar(key, allowed);
  if (value == nullptr) return;
  const auto bytes = parse_size(*value, bare);
  if (!bytes || *bytes < least || *bytes > most)
    return report(key, fmt::format("'{}' is not allowed; write {}", *value, allowed));
  out = *bytes;
}

void YamlFields::read_duration(std::string_view key, nanoseconds& out, nanoseconds least,
                               nanoseconds most, Bare bare, nanoseconds step) {
  const std::string allowed = fmt::format("{}, from {} to {}", kDurationForm,
                                          format_duration(least), format_duration(most));
  const std::string* value = scalar(key, allowed);
  if (value == nullptr) return;
  const auto time = parse_duration(*value, bare);
  if (!time || *time < least || *time > most)
    return report(key, fmt::format("'{}' is not allowed; write {}", *value, allowed));
  if (*time % step != nanoseconds(0)) {
    return report(key, fmt::format("'{}' is not allowed; write a multiple of {}", *value,
                                   format_duration(step)));
  }
  out = *time;
}

void YamlFields::list(std::string_view key, std::vector<std::string>& out) {
  const YamlEntry* found = entry(key);
  if (found == nullptr) return;
  if (found->value.kind == YamlNode::Kind::scalar) return wrong(*found, "a list, as in [a, b]");
  if (found->value.kind == YamlNode::Kind::map) return wrong(*found, "a list, as in [a, b]");
  out.clear();
  for (const YamlNode& item : found->value.items) {
    if (item.kind != YamlNode::Kind::scalar) {
      return errors_->report(
          item.line, full_key(key),
          fmt::format("{} is not allowed in this list; write text", shown(item)));
    }
    out.push_back(item.text);
  }
}

YamlFields YamlFields::section(std::string_view key) {
  const YamlEntry* found = entry(key);
  return YamlFields(found != nullptr ? found->value : kEmpty, full_key(key), *errors_);
}

void YamlFields::finish() {
  for (const YamlEntry& entry : node_->entries) {
    if (std::find(known_.begin(), known_.end(), entry.key) != known_.end()) continue;
    YamlNode key;
    key.kind = YamlNode::Kind::scalar;
    key.text = entry.key;
    const std::string where = path_.empty() ? "" : fmt::format(" in {}", path_);
    return errors_->report(entry.line, "",
                           fmt::format("unknown key {}{}; the nearest known one is '{}'",
                                       shown(key), where, nearest(entry.key, known_)));
  }
}

}  // namespace hearth
