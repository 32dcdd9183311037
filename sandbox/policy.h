// A seccomp policy as read from a readable text (policies/*.policy). One system call a line:
//
//   NAME  ACTION [when CONDITION [and CONDITION]]  | CLASS | REASON
//
// CLASS is `needed RUNTIME:CHECK` (without the line that check of testcases/ fails; a test takes
// each such line out and sees it fail), `compat` (harmless; REASON names the third-party code that
// uses it), `filtered` (arguments decide) or `refused`.
// ACTION is `allow`, `errno E...`, `kill` (the whole process, by SIGSYS) or `notify` (the holder of
// the filter's listener answers). A CONDITION is `argN [& MASK] ==|!= VALUE` or `argN [& MASK] in
// VALUE,VALUE`; only the low 32 bits of an argument are compared, because the calls in question
// take an int and the kernel drops the rest. A call may have several lines: the first that matches
// decides, and if none does, the default. NAME may be `name=number` for a call that is newer than
// the name table. Further lines: `default ACTION` (once), `include NAME`, and `override NAME ...`,
// which forgets the lines that the call had so far.
//
// Used once, at the start of the spawner, and by tests; may allocate.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::sandbox {

struct Action {
  enum class Kind : uint8_t { kAllow, kErrno, kKill, kNotify };
  Kind kind = Kind::kErrno;
  int error = 0;  // kErrno only

  bool operator==(const Action&) const = default;
};

struct Condition {
  unsigned arg = 0;      // 0..5
  uint32_t mask = ~0u;   // applied to the argument's low 32 bits
  bool negated = false;  // holds when the masked argument is none of `values`
  std::vector<uint32_t> values;
};

struct Rule {
  Action action;
  std::vector<Condition> conditions;  // all must hold; none = always
};

struct SyscallRules {
  std::string name;
  uint32_t number;
  std::vector<Rule> rules;
};

struct Policy {
  Action default_action;
  bool has_default = false;
  std::vector<SyscallRules> calls;  // no two of one number; in the order of the text

  const SyscallRules* find(uint32_t number) const;
};

inline constexpr size_t kPolicyValuesMax = 64;  // of one condition
inline constexpr size_t kPolicyConditionsMax =
    3;  // of one line: keeps every jump of the filter within 8 bits
inline constexpr size_t kPolicyIncludesMax = 4;  // depth

// Finds the text of an included policy; an empty view = there is none.
using PolicyLookup = std::string_view (*)(std::string_view name);

// Adds the lines of `text` to `policy`. False: `error` says the line and what is wrong with it, and
// `policy` is not to be used. Calls that another architecture has and this one has not are left
// out.
bool parse_policy(std::string_view text, PolicyLookup lookup, Policy& policy, std::string& error);

// The texts that are compiled in (policies/NAME.policy); empty = there is none.
std::string_view policy_text(std::string_view name);

}  // namespace hearth::sandbox
