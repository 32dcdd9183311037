#include "sandbox/filter.h"

#include <linux/audit.h>
#include <linux/seccomp.h>

#include <algorithm>
#include <cstddef>

namespace hearth::sandbox {
namespace {

#if defined(__x86_64__)
constexpr uint32_t kArch = AUDIT_ARCH_X86_64;
constexpr uint32_t kX32Bit = 0x40000000;
#elif defined(__aarch64__)
constexpr uint32_t kArch = AUDIT_ARCH_AARCH64;
constexpr uint32_t kX32Bit = 0;
#else
#error "the sandbox knows x86-64 and aarch64 only"
#endif

constexpr uint32_t offset_of_arg(unsigned arg) {
  // Little-endian: the low word comes first.
  return static_cast<uint32_t>(offsetof(seccomp_data, args)) + arg * 8;
}

uint32_t verdict(const Action& action) {
  switch (action.kind) {
    case Action::Kind::kAllow:
      return SECCOMP_RET_ALLOW;
    case Action::Kind::kErrno:
      return SECCOMP_RET_ERRNO | (static_cast<uint32_t>(action.error) & SECCOMP_RET_DATA);
    case Action::Kind::kNotify:
      return SECCOMP_RET_USER_NOTIF;
    case Action::Kind::kKill:
      break;
  }
  return SECCOMP_RET_KILL_PROCESS;
}

// Numbers from `begin` up to the next range's begin, all with one verdict, or one call with rules
// of its own.
struct Range {
  uint32_t begin;
  uint32_t verdict;
  const SyscallRules* rules;  // null: the verdict holds for all arguments
};

class Compiler {
 public:
  explicit Compiler(const Policy& policy) : policy_(policy) {}

  std::vector<sock_filter> compile() {
    emit(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch));
    jump(BPF_JEQ, kArch, 1, 0);
    emit(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    emit(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr));
    if (kX32Bit != 0) {
      jump(BPF_JGE, kX32Bit, 0, 3);
      jump(BPF_JEQ, ~0u, 0, 1);
      emit(BPF_RET | BPF_K, verdict(policy_.default_action));
      emit(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    }
    make_ranges();
    search(0, ranges_.size());
    return std::move(code_);
  }

 private:
  void emit(uint16_t code, size_t k) { code_.push_back({code, 0, 0, static_cast<uint32_t>(k)}); }
  void jump(uint16_t test, uint32_t k, uint8_t if_true, uint8_t if_false) {
    code_.push_back({static_cast<uint16_t>(BPF_JMP | test | BPF_K), if_true, if_false, k});
  }

  void add_range(uint32_t begin, uint32_t result, const SyscallRules* rules) {
    if (!ranges_.empty() && ranges_.back().begin == begin) ranges_.pop_back();
    if (!ranges_.empty() && rules == nullptr && ranges_.back().rules == nullptr &&
        ranges_.back().verdict == result)
      return;
    ranges_.push_back({begin, result, rules});
  }

  void make_ranges() {
    std::vector<const SyscallRules*> calls;
    for (const SyscallRules& call : policy_.calls) calls.push_back(&call);
    std::sort(calls.begin(), calls.end(), [](auto* a, auto* b) { return a->number < b->number; });
    const uint32_t otherwise = verdict(policy_.default_action);
    add_range(0, otherwise, nullptr);
    for (const SyscallRules* call : calls) {
      const bool plain = call->rules.front().conditions.empty();
      add_range(call->number, plain ? verdict(call->rules.front().action) : 0,
                plain ? nullptr : call);
      add_range(call->number + 1, otherwise, nullptr);
    }
  }

  // Ranges [first, last): the number is in the accumulator and is not below ranges_[first].begin.
  void search(size_t first, size_t last) {
    if (last - first == 1) return leaf(ranges_[first]);
    const size_t middle = first + (last - first) / 2;
    jump(BPF_JGE, ranges_[middle].begin, 0, 1);
    const size_t far = code_.size();
    emit(BPF_JMP | BPF_JA, 0);
    search(first, middle);
    code_[far].k = static_cast<uint32_t>(code_.size() - far - 1);
    search(middle, last);
  }

  void leaf(const Range& range) {
    if (range.rules == nullptr) return emit(BPF_RET | BPF_K, range.verdict);
    for (const Rule& rule : range.rules->rules) {
      const size_t begin = code_.size();
      for (const Condition& condition : rule.conditions) test(condition);
      emit(BPF_RET | BPF_K, verdict(rule.action));
      // kMiss marks the jumps that leave the rule; its end is known only now.
      for (size_t at = begin; at < code_.size(); ++at) {
        sock_filter& op = code_[at];
        if (BPF_CLASS(op.code) != BPF_JMP) continue;
        const uint8_t distance = static_cast<uint8_t>(code_.size() - at - 1);
        if (op.jt == kMiss) op.jt = distance;
        if (op.jf == kMiss) op.jf = distance;
      }
    }
    if (!range.rules->rules.back().conditions.empty())
      emit(BPF_RET | BPF_K, verdict(policy_.default_action));
  }

  void test(const Condition& condition) {
    emit(BPF_LD | BPF_W | BPF_ABS, offset_of_arg(condition.arg));
    if (condition.mask != ~0u) emit(BPF_ALU | BPF_AND | BPF_K, condition.mask);
    const size_t count = condition.values.size();
    for (size_t i = 0; i < count; ++i) {
      const bool last = i + 1 == count;
      const uint8_t to_end = static_cast<uint8_t>(count - i - 1);
      const uint8_t hit = condition.negated ? kMiss : to_end;
      const uint8_t no_hit = last && !condition.negated ? kMiss : 0;
      jump(BPF_JEQ, condition.values[i], hit, no_hit);
    }
  }

  // No real distance inside a rule reaches it: kPolicyConditionsMax conditions of kPolicyValuesMax
  // values are 198 + 1 long.
  static constexpr uint8_t kMiss = 255;
  static_assert(kPolicyConditionsMax * (kPolicyValuesMax + 2) + 1 < kMiss);

  const Policy& policy_;
  std::vector<Range> ranges_;
  std::vector<sock_filter> code_;
};

}  // namespace

std::vector<sock_filter> compile_filter(const Policy& policy) {
  if (!policy.has_default) return {};
  std::vector<sock_filter> code = Compiler(policy).compile();
  if (code.size() > BPF_MAXINSNS) code.clear();
  return code;
}

}  // namespace hearth::sandbox
