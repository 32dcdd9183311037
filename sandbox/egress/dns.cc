#include "sandbox/egress/dns.h"

#include <string.h>

#include "sandbox/egress/address.h"
#include "sandbox/egress/rules.h"

namespace hearth::sandbox::egress::dns {
namespace {

constexpr size_t kHeader = 12;
constexpr uint16_t kClassIn = 1;
constexpr int kChainMax = 8;   // CNAMEs
constexpr int kJumpsMax = 32;  // of a compressed name
constexpr size_t kRecordsMax = 256;

uint16_t get16(const uint8_t* at) { return static_cast<uint16_t>(at[0] << 8 | at[1]); }
uint32_t get32(const uint8_t* at) { return static_cast<uint32_t>(get16(at)) << 16 | get16(at + 2); }
void put16(uint8_t* at, unsigned value) {
  at[0] = static_cast<uint8_t>(value >> 8);
  at[1] = static_cast<uint8_t>(value);
}
void put32(uint8_t* at, uint32_t value) {
  put16(at, value >> 16);
  put16(at + 2, value & 0xffff);
}

// Reads a name at `at` and moves `at` behind it. A pointer must lead backwards, so that no two can
// form a ring. A byte that no host name has becomes '?', which is part of no allowed name.
bool read_name(std::span<const uint8_t> packet, size_t& at, char (&name)[kNameMax + 1]) {
  size_t from = at, length = 0;
  bool jumped = false;
  for (int jumps = 0; from < packet.size();) {
    const uint8_t head = packet[from];
    if (head >= 0xc0) {
      if (from + 2 > packet.size() || ++jumps > kJumpsMax) return false;
      const size_t target = static_cast<size_t>(get16(&packet[from]) & 0x3fff);
      if (target >= from) return false;
      if (!jumped) at = from + 2;
      jumped = true;
      from = target;
      continue;
    }
    if (head > 63) return false;
    if (head == 0) {
      if (!jumped) at = from + 1;
      name[length] = '\0';
      return true;
    }
    if (from + 1 + head > packet.size()) return false;
    if (length + (length > 0) + head > kNameMax) return false;
    if (length > 0) name[length++] = '.';
    for (size_t i = 1; i <= head; ++i) {
      const uint8_t c = packet[from + i];
      const bool upper = c >= 'A' && c <= 'Z';
      const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
      name[length++] = upper ? static_cast<char>(c + 32) : plain ? static_cast<char>(c) : '?';
    }
    from += 1 + size_t{head};
  }
  return false;
}

struct Record {
  char owner[kNameMax + 1];
  uint16_t type, klass;
  uint32_t ttl;
  size_t data, size;  // of its data in the packet
};

bool read_record(std::span<const uint8_t> packet, size_t& at, Record& record) {
  if (!read_name(packet, at, record.owner) || at + 10 > packet.size()) return false;
  record.type = get16(&packet[at]);
  record.klass = get16(&packet[at + 2]);
  record.ttl = get32(&packet[at + 4]);
  record.size = get16(&packet[at + 8]);
  record.data = at + 10;
  if (record.data + record.size > packet.size()) return false;
  // RFC 2181: the highest bit set means 0.
  if (record.ttl > 0x7fffffff) record.ttl = 0;
  at = record.data + record.size;
  return true;
}

void take_address(std::span<const uint8_t> packet, const Record& record, Found& found) {
  if (found.count == kAddressesMax) return;
  Address& address = found.addresses[found.count];
  if (record.type == kTypeA && record.size == 4)
    address = v4(get32(&packet[record.data]));
  else if (record.type == kTypeAaaa && record.size == 16)
    memcpy(address.bytes, &packet[record.data], 16);
  else
    return;
  ++found.count;
  if (record.ttl < found.ttl) found.ttl = record.ttl;
}

// One pass over the answer section: the addresses of `owner`, or its CNAME. False: it is broken.
bool scan(std::span<const uint8_t> packet, size_t at, size_t count, char (&owner)[kNameMax + 1],
          uint16_t type, bool& moved, Found& found) {
  char next[kNameMax + 1] = "";
  for (size_t i = 0; i < count; ++i) {
    Record record;
    if (!read_record(packet, at, record)) return false;
    if (record.klass != kClassIn || strcmp(record.owner, owner) != 0) continue;
    if (record.type == type) take_address(packet, record, found);
    if (record.type != kTypeCname || next[0] != '\0') continue;
    size_t target = record.data;
    if (!read_name(packet, target, next)) return false;
    if (record.ttl < found.ttl) found.ttl = record.ttl;
  }
  moved = found.count == 0 && next[0] != '\0';
  if (moved) memcpy(owner, next, sizeof owner);
  return true;
}

size_t write_name(const char* name, uint8_t* out) {
  size_t length = 0;
  for (const char* at = name; *at != '\0';) {
    const size_t label = strcspn(at, ".");
    out[length++] = static_cast<uint8_t>(label);
    memcpy(out + length, at, label);
    length += label;
    at += label + (at[label] == '.');
  }
  out[length++] = 0;
  return length;
}

}  // namespace

Rcode parse_question(std::span<const uint8_t> packet, Question& question) {
  question = {};
  if (packet.size() < kHeader || packet.size() > kUdpMax) return Rcode::kFormat;
  const uint16_t flags = get16(&packet[2]);
  if ((flags & 0x8000) != 0) return Rcode::kFormat;
  question.id = get16(packet.data());
  question.recursion_desired = (flags & 0x0100) != 0;
  size_t at = kHeader;
  const bool one = get16(&packet[4]) == 1;
  const bool plain = one && read_name(packet, at, question.name) && at + 4 <= packet.size() &&
                     packet[at - 1] == 0;  // the name is not compressed
  if (!plain) {
    question.end = kHeader;
    return Rcode::kFormat;
  }
  question.type = get16(&packet[at]);
  const uint16_t klass = get16(&packet[at + 2]);
  question.end = at + 4;
  if ((flags & 0x7800) != 0) return Rcode::kNotImplemented;
  if (klass != kClassIn || !is_name(question.name)) return Rcode::kRefused;
  return Rcode::kNoError;
}

bool parse_answer(std::span<const uint8_t> packet, uint16_t id, const char* name, uint16_t type,
                  Found& found) {
  found = {};
  if (packet.size() < kHeader || packet.size() > kAnswerMax) return false;
  const uint16_t flags = get16(&packet[2]);
  if (get16(packet.data()) != id || (flags & 0xf800) != 0x8000 || get16(&packet[4]) != 1)
    return false;
  size_t at = kHeader;
  char owner[kNameMax + 1];
  if (!read_name(packet, at, owner) || strcmp(owner, name) != 0) return false;
  if (at + 4 > packet.size() || get16(&packet[at]) != type || get16(&packet[at + 2]) != kClassIn)
    return false;
  at += 4;
  found.rcode = static_cast<Rcode>(flags & 0xf);
  found.truncated = (flags & 0x0200) != 0;
  found.ttl = 0x7fffffff;
  const size_t records = get16(&packet[6]);
  if (found.truncated || found.rcode != Rcode::kNoError) return true;
  if (records > kRecordsMax) return false;
  bool moved = true;
  for (int hop = 0; hop <= kChainMax && moved; ++hop)
    if (!scan(packet, at, records, owner, type, moved, found)) return false;
  return true;
}

size_t build_question(uint16_t id, const char* name, uint16_t type, std::span<uint8_t> out) {
  static_assert(kHeader + kNameMax + 2 + 4 <= kUdpMax);
  if (out.size() < kUdpMax) return 0;
  memset(out.data(), 0, kHeader);
  put16(&out[0], id);
  put16(&out[2], 0x0100);  // recursion desired
  put16(&out[4], 1);
  size_t length = kHeader + write_name(name, &out[kHeader]);
  put16(&out[length], type);
  put16(&out[length + 2], kClassIn);
  return length + 4;
}

size_t build_answer(std::span<const uint8_t> packet, const Question& question, const Found& found,
                    std::span<uint8_t> out) {
  if (question.end < kHeader || out.size() < kUdpMax || question.end > packet.size()) return 0;
  const bool has_question = question.end > kHeader;
  memcpy(out.data(), packet.data(), question.end);
  // Answer, recursion available.
  put16(&out[2],
        0x8080u | (question.recursion_desired ? 0x0100u : 0u) | static_cast<unsigned>(found.rcode));
  put16(&out[4], has_question ? 1 : 0);
  memset(&out[6], 0, 6);
  size_t length = question.end, count = 0;
  for (size_t i = 0; i < found.count && has_question; ++i) {
    // A mapped address in an AAAA record stays one.
    const size_t data = question.type == kTypeA ? 4 : 16;
    if (data == 4 && !is_v4(found.addresses[i])) continue;
    if (length + 12 + data > kUdpMax) break;
    put16(&out[length], 0xc000 | kHeader);
    put16(&out[length + 2], question.type);
    put16(&out[length + 4], kClassIn);
    put32(&out[length + 6], found.ttl);
    put16(&out[length + 10], static_cast<unsigned>(data));
    memcpy(&out[length + 12], found.addresses[i].bytes + (data == 4 ? 12 : 0), data);
    length += 12 + data;
    ++count;
  }
  put16(&out[6], static_cast<unsigned>(count));
  return length;
}

}  // namespace hearth::sandbox::egress::dns
