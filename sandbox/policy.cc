#include "sandbox/policy.h"

#include <errno.h>
#include <seccomp.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "sandbox/policy_names.h"

namespace hearth::sandbox {
namespace {

// Words of one line, taken from the left.
class Words {
 public:
  explicit Words(std::string_view text) : rest_(text) {}

  std::string_view next() {
    const size_t begin = rest_.find_first_not_of(" \t");
    if (begin == std::string_view::npos) {
      rest_ = {};
      return {};
    }
    rest_.remove_prefix(begin);
    const std::string_view word = rest_.substr(0, rest_.find_first_of(" \t"));
    rest_.remove_prefix(word.size());
    return word;
  }

 private:
  std::string_view rest_;
};

std::optional<uint32_t> parse_number(std::string_view word) {
  int base = 10;
  if (word.starts_with("0x")) {
    word.remove_prefix(2);
    base = 16;
  }
  uint32_t value = 0;
  const auto [end, status] = std::from_chars(word.data(), word.data() + word.size(), value, base);
  if (status != std::errc() || end != word.data() + word.size()) return std::nullopt;
  return value;
}

std::optional<uint32_t> parse_value(std::string_view word) {
  const auto number = parse_number(word);
  return number ? number : constant_value(word);
}

bool parse_values(std::string_view list, std::vector<uint32_t>& values) {
  while (true) {
    const size_t comma = list.find(',');
    const auto value = parse_value(list.substr(0, comma));
    if (!value || values.size() == kPolicyValuesMax) return false;
    values.push_back(*value);
    if (comma == std::string_view::npos) return true;
    list.remove_prefix(comma + 1);
  }
}

bool parse_condition(Words& words, std::string_view arg, Condition& condition) {
  if (arg.size() != 4 || !arg.starts_with("arg") || arg[3] < '0' || arg[3] > '5') return false;
  condition.arg = static_cast<unsigned>(arg[3] - '0');
  std::string_view op = words.next();
  if (op == "&") {
    const auto mask = parse_value(words.next());
    if (!mask) return false;
    condition.mask = *mask;
    op = words.next();
  }
  const std::string_view values = words.next();
  if (op == "in") return parse_values(values, condition.values);
  if (op != "==" && op != "!=") return false;
  condition.negated = op == "!=";
  const auto value = parse_value(values);
  if (!value) return false;
  condition.values.push_back(*value);
  return true;
}

// The number of a call: nothing = the name is unknown; negative = it belongs to another
// architecture.
std::optional<int> resolve(std::string_view& name) {
  const size_t equals = name.find('=');
  if (equals != std::string_view::npos) {
    const auto number = parse_number(name.substr(equals + 1));
    name = name.substr(0, equals);
    if (!number || *number > 4095 || name.empty()) return std::nullopt;
    return static_cast<int>(*number);
  }
  const int number = seccomp_syscall_resolve_name(std::string(name).c_str());
  if (number == __NR_SCMP_ERROR) return std::nullopt;
  return number;
}

class Parser {
 public:
  Parser(PolicyLookup lookup, Policy& policy, std::string& error)
      : lookup_(lookup), policy_(policy), error_(error) {}

  bool parse(std::string_view text, size_t depth) {
    size_t line_number = 0;
    while (!text.empty()) {
      const size_t end = text.find('\n');
      std::string_view line = text.substr(0, end);
      text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
      ++line_number;
      const char* problem = parse_line(line, depth);
      if (problem == nullptr) continue;
      if (error_.empty()) error_ = "line " + std::to_string(line_number) + ": " + problem;
      return false;
    }
    return true;
  }

 private:
  const char* parse_line(std::string_view line, size_t depth) {
    const size_t first = line.find_first_not_of(" \t\r");
    if (first == std::string_view::npos || line[first] == '#') return nullptr;
    const size_t bar = line.find('|');
    Words words(line.substr(0, bar));
    std::string_view word = words.next();
    if (word == "include") return include(words, depth);
    if (word == "default") return set_default(words);
    const bool override_call = word == "override";
    if (override_call) word = words.next();
    if (const char* problem =
            check_class_and_reason(bar == std::string_view::npos ? "" : line.substr(bar + 1)))
      return problem;
    return call(word, override_call, words);
  }

  static const char* check_class_and_reason(std::string_view text) {
    const size_t bar = text.find('|');
    if (bar == std::string_view::npos ||
        text.find_first_not_of(" \t\r", bar + 1) == std::string_view::npos)
      return "a call needs its class and its reason: | class | reason";
    Words words(text.substr(0, bar));
    const std::string_view name = words.next();
    const std::string_view test = words.next();
    if (name == "needed") {
      const size_t colon = test.find(':');
      const bool whole = colon != 0 && colon != std::string_view::npos && colon + 1 < test.size();
      if (!whole || !words.next().empty())
        return "needed: name the check that fails without it, as in python3:files";
      return nullptr;
    }
    if ((name != "compat" && name != "filtered" && name != "refused") || !test.empty())
      return "the class is one of needed RUNTIME:CHECK, compat, filtered, refused";
    return nullptr;
  }

  const char* include(Words& words, size_t depth) {
    const std::string_view text = lookup_(words.next());
    if (text.empty()) return "include: there is no such policy";
    if (!words.next().empty()) return "include: one name only";
    if (depth == kPolicyIncludesMax) return "include: nested too deeply";
    return parse(text, depth + 1) ? nullptr : "an included policy is wrong";
  }

  const char* set_default(Words& words) {
    if (policy_.has_default) return "default: given twice";
    const char* problem = parse_action(words, policy_.default_action);
    if (problem != nullptr) return problem;
    policy_.has_default = true;
    return words.next().empty() ? nullptr : "default: takes an action only";
  }

  static const char* parse_action(Words& words, Action& action) {
    const std::string_view kind = words.next();
    action.error = 0;
    if (kind == "allow") {
      action.kind = Action::Kind::kAllow;
    } else if (kind == "kill") {
      action.kind = Action::Kind::kKill;
    } else if (kind == "notify") {
      action.kind = Action::Kind::kNotify;
    } else if (kind == "errno") {
      action.kind = Action::Kind::kErrno;
      const auto error = errno_value(words.next());
      if (!error) return "errno: unknown name";
      action.error = *error;
    } else {
      return "the action must be allow, errno, kill or notify";
    }
    return nullptr;
  }

  static const char* parse_rule(Words& words, Rule& rule) {
    if (const char* problem = parse_action(words, rule.action)) return problem;
    std::string_view word = words.next();
    if (word.empty()) return nullptr;
    if (word != "when") return "expected when, or the end of the rule";
    while (true) {
      if (rule.conditions.size() == kPolicyConditionsMax) return "too many conditions";
      if (!parse_condition(words, words.next(), rule.conditions.emplace_back()))
        return "the condition can't be read";
      word = words.next();
      if (word.empty()) return nullptr;
      if (word != "and") return "expected and, or the end of the rule";
    }
  }

  const char* call(std::string_view name, bool override_call, Words& words) {
    const auto number = resolve(name);
    if (!number) return "unknown system call";
    Rule rule;
    if (const char* problem = parse_rule(words, rule)) return problem;
    if (*number < 0) return nullptr;
    SyscallRules& entry = entry_of(name, static_cast<uint32_t>(*number));
    if (override_call) {
      entry.rules.clear();
    } else if (!entry.rules.empty() && entry.rules.back().conditions.empty()) {
      return "a line before this one decides already: use override to replace it";
    }
    entry.rules.push_back(std::move(rule));
    return nullptr;
  }

  SyscallRules& entry_of(std::string_view name, uint32_t number) {
    for (SyscallRules& entry : policy_.calls)
      if (entry.number == number) return entry;
    return policy_.calls.emplace_back(SyscallRules{std::string(name), number, {}});
  }

  PolicyLookup lookup_;
  Policy& policy_;
  std::string& error_;
};

}  // namespace

const SyscallRules* Policy::find(uint32_t number) const {
  const auto found = std::find_if(calls.begin(), calls.end(), [number](const SyscallRules& call) {
    return call.number == number;
  });
  return found == calls.end() ? nullptr : &*found;
}

bool parse_policy(std::string_view text, PolicyLookup lookup, Policy& policy, std::string& error) {
  error.clear();
  return Parser(lookup, policy, error).parse(text, 0);
}

}  // namespace hearth::sandbox
