#include "config/yaml_document.h"

#include <fmt/core.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <istream>
#include <map>
#include <streambuf>

#include "base/assert.h"
#include "config/units_text.h"

namespace hearth {
namespace {

constexpr std::string_view kStringTag = "tag:yaml.org,2002:str";

// Builds the tree from yaml-cpp's events. yaml-cpp has no way to be stopped, so after the first
// problem the rest is let through unread.
class TreeBuilder final : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) fail(mark, "a second document starts here; one is allowed");
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    YamlNode node;
    node.line = mark.line + 1;
    add(mark, std::move(node), anchor);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) return fail(mark, "an alias stands inside of what it names");
    nodes_ += found->second.size - 1;
    alias_bytes_ += found->second.bytes;
    if (too_many(mark)) return;
    text_bytes_ += found->second.bytes;
    put(mark, YamlNode(found->second.node), 0, 1, 0);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    if (!tag.empty() && tag != "?" && tag != "!" && tag != kStringTag)
      return fail(mark, fmt::format("the tag '{}' is not known here", tag));
    YamlNode node;
    node.kind = YamlNode::Kind::scalar;
    node.quoted = tag == "!" || tag == kStringTag;
    node.line = mark.line + 1;
    node.text = value;
    add(mark, std::move(node), anchor);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, YamlNode::Kind::list);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, YamlNode::Kind::map);
  }
  void OnMapEnd() override { close(); }

  bool failed() const { return failed_; }
  int line() const { return line_; }
  const std::string& problem() const { return problem_; }
  YamlNode take() { return std::move(root_); }

 private:
  struct Open {
    YamlNode node;
    YAML::anchor_t anchor = 0;
    size_t nodes_before = 0;
    size_t bytes_before = 0;
    bool has_key = false;  // a map's key was read, its value comes next
    std::string key;
    int key_line = 0;
  };
  struct Anchored {
    YamlNode node;
    size_t size = 1;
    size_t bytes = 0;
  };

  void fail(const YAML::Mark& mark, std::string problem) {
    if (failed_) return;
    failed_ = true;
    line_ = mark.line + 1;
    problem_ = std::move(problem);
  }

  bool too_many(const YAML::Mark& mark) {
    if (nodes_ > kYamlNodesMax)
      fail(mark,
           fmt::format("there are more than {} values, aliases counted in full", kYamlNodesMax));
    if (alias_bytes_ > kYamlAliasBytesMax)
      fail(mark, fmt::format("aliases stand for more than {} bytes", kYamlAliasBytesMax));
    return failed_;
  }

  void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
            YamlNode::Kind kind) {
    if (failed_) return;
    if (!tag.empty() && tag != "?")
      return fail(mark, fmt::format("the tag '{}' is not known here", tag));
    if (open_.size() == kYamlDepthMax)
      return fail(mark, fmt::format("more than {} levels inside each other", kYamlDepthMax));
    if (!open_.empty() && awaits_key()) return fail(mark, "a key has to be a plain word");
    Open level;
    level.node.kind = kind;
    level.node.line = mark.line + 1;
    level.anchor = anchor;
    level.nodes_before = nodes_;
    level.bytes_before = text_bytes_;
    open_.push_back(std::move(level));
  }

  void close() {
    if (failed_) return;
    HEARTH_ASSERT(!open_.empty());
    Open level = std::move(open_.back());
    open_.pop_back();
    YAML::Mark mark;
    mark.line = level.node.line - 1;
    put(mark, std::move(level.node), level.anchor, nodes_ - level.nodes_before + 1,
        text_bytes_ - level.bytes_before);
  }

  void add(const YAML::Mark& mark, YamlNode node, YAML::anchor_t anchor) {
    const size_t bytes = node.text.size();
    text_bytes_ += bytes;
    put(mark, std::move(node), anchor, 1, bytes);
  }

  void put(const YAML::Mark& mark, YamlNode node, YAML::anchor_t anchor, size_t size,
           size_t bytes) {
    if (failed_) return;
    ++nodes_;
    if (too_many(mark)) return;
    if (anchor != 0) anchors_[anchor] = Anchored{node, size, bytes};
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    if (awaits_key()) return take_key(mark, std::move(node));
    Open& parent = open_.back();
    if (parent.node.kind == YamlNode::Kind::list) {
      parent.node.items.push_back(std::move(node));
    } else {
      parent.node.entries.push_back(
          YamlEntry{std::move(parent.key), parent.key_line, std::move(node)});
      parent.has_key = false;
    }
  }

  bool awaits_key() const {
    return open_.back().node.kind == YamlNode::Kind::map && !open_.back().has_key;
  }

  void take_key(const YAML::Mark& mark, YamlNode node) {
    if (node.kind != YamlNode::Kind::scalar) return fail(mark, "a key has to be a plain word");
    Open& map = open_.back();
    for (const YamlEntry& entry : map.node.entries) {
      if (entry.key == node.text)
        return fail(mark, fmt::format("the key '{}' is there twice (first in line {})", entry.key,
                                      entry.line));
    }
    map.has_key = true;
    map.key = std::move(node.text);
    map.key_line = mark.line + 1;
  }

  YamlNode root_;
  std::vector<Open> open_;
  std::map<YAML::anchor_t, Anchored> anchors_;
  size_t nodes_ = 0;
  size_t text_bytes_ = 0;   // of all scalars so far
  size_t alias_bytes_ = 0;  // of those that aliases repeated
  int documents_ = 0;
  bool failed_ = false;
  int line_ = 0;
  std::string problem_;
};

// Reads from a view without a copy.
class ViewBuffer final : public std::streambuf {
 public:
  explicit ViewBuffer(std::string_view text) {
    char* begin = const_cast<char*>(text.data());  // the get area is never written
    setg(begin, begin, begin + text.size());
  }
};

size_t sequence_length(unsigned char lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return 2;
  if (lead >= 0xE0 && lead <= 0xEF) return 3;
  return lead >= 0xF0 && lead <= 0xF4 ? 4 : 0;
}

// yaml-cpp takes byte 4 for the end of the text and guesses UTF-16 from the first bytes: neither
// gets that far.
const char* bad_bytes(std::string_view text, int& line) {
  line = 1;
  for (size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c == '\n') ++line;
    if ((c < 0x20 && c != '\n' && c != '\t' && c != '\r') || c == 0x7F)
      return "a control character";
    const size_t length = sequence_length(c);
    if (length == 0 || i + length > text.size()) return "a byte that is not UTF-8";
    for (size_t k = 1; k < length; ++k) {
      if ((static_cast<unsigned char>(text[i + k]) & 0xC0) != 0x80)
        return "a byte that is not UTF-8";
    }
    i += length;
  }
  return nullptr;
}

}  // namespace

Result<YamlNode> parse_yaml(std::string_view text, std::string_view file, size_t bytes_max,
                            Code code) {
  if (text.size() > bytes_max) {
    return Error{code, fmt::format("{} has {} bytes; at most {} are read", file, text.size(),
                                   format_size(bytes_max))};
  }
  int line = 0;
  if (const char* what = bad_bytes(text, line))
    return Error{code, fmt::format("{}:{}: {}", file, line, what)};
  TreeBuilder tree;
  // The engine's only try: yaml-cpp reports what it can't read by throwing.
  try {
    ViewBuffer buffer(text);
    std::istream stream(&buffer);
    YAML::Parser parser(stream);
    while (!tree.failed() && parser.HandleNextDocument(tree)) {
    }
  } catch (const YAML::Exception& e) {
    return Error{code, fmt::format("{}:{}: this is not YAML: {}", file, e.mark.line + 1, e.msg)};
  }
  if (tree.failed())
    return Error{code, fmt::format("{}:{}: {}", file, tree.line(), tree.problem())};
  return tree.take();
}

}  // namespace hearth
