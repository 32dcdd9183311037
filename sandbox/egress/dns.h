// The little of DNS (RFC 1035, 3596) that the stub needs: questions and answers for A and AAAA.
// Input is any bytes. No I/O, no heap, no recursion; every loop is bounded by the packet.
#pragma once
#include <cstddef>
#include <span>

#include "sandbox/egress/protocol.h"

namespace hearth::sandbox::egress::dns {

inline constexpr uint16_t kTypeA = 1, kTypeCname = 5, kTypeAaaa = 28;
inline constexpr size_t kUdpMax = 512;        // of an answer to the worker, and of a question
inline constexpr size_t kAddressesMax = 16;   // of one answer: the rest is left out
inline constexpr size_t kAnswerMax = 16'384;  // of an upstream answer

enum class Rcode : uint8_t {
  kNoError = 0,
  kFormat = 1,
  kServerFailure = 2,
  kNoName = 3,
  kNotImplemented = 4,
  kRefused = 5
};

struct Question {
  uint16_t id;
  uint16_t type;
  bool recursion_desired;
  char name[kNameMax + 1];  // lower case, without the final dot; see is_name() in rules.h
  size_t end;               // of the question section in the packet
};

// kNoError: `question` is complete. Else what to answer; kFormat with `question.end` 0: nothing, as
// not even the header can be read, or it is no question.
Rcode parse_question(std::span<const uint8_t> packet, Question& question);

struct Found {
  Rcode rcode;
  bool truncated;
  uint32_t ttl;  // the least of the chain, in seconds
  size_t count;
  Address addresses[kAddressesMax];
};

// False: not an answer to this question (`name`, `type`, `id`), or broken. Follows CNAMEs that the
// packet itself holds.
bool parse_answer(std::span<const uint8_t> packet, uint16_t id, const char* name, uint16_t type,
                  Found& found);

// A question for a resolver; returns its length.
size_t build_question(uint16_t id, const char* name, uint16_t type, std::span<uint8_t> out);

// The answer to a question that parse_question() read from `packet`; returns its length. At most
// kUdpMax bytes are written.
size_t build_answer(std::span<const uint8_t> packet, const Question& question, const Found& found,
                    std::span<uint8_t> out);

}  // namespace hearth::sandbox::egress::dns
