// Any bytes as a question of the worker and as an answer of a resolver; what is built from them is
// read again.
#include <stdlib.h>
#include <string.h>

#include "sandbox/egress/dns.h"
#include "sandbox/egress/rules.h"

using namespace hearth::sandbox::egress;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const uint8_t> packet(data, size);
  dns::Question question;
  const dns::Rcode rcode = dns::parse_question(packet, question);
  if (rcode == dns::Rcode::kNoError && !is_name(question.name)) abort();
  if (question.end > size) abort();
  static dns::Found found;
  uint8_t out[dns::kUdpMax];
  for (const uint16_t type : {dns::kTypeA, dns::kTypeAaaa}) {
    if (size < 2) break;
    const uint16_t id = static_cast<uint16_t>(data[0] << 8 | data[1]);
    const char* name = rcode == dns::Rcode::kNoError ? question.name : "www.example.com";
    if (!dns::parse_answer(packet, id, name, type, found)) continue;
    if (found.count > dns::kAddressesMax) abort();
    // An answer holds its question: with it, one to the worker can be made.
    uint8_t asked[dns::kUdpMax];
    const size_t asked_size = dns::build_question(id, name, type, asked);
    dns::Question own;
    if (dns::parse_question({asked, asked_size}, own) != dns::Rcode::kNoError) abort();
    const size_t length = dns::build_answer({asked, asked_size}, own, found, out);
    if (length == 0 || length > sizeof out) abort();
    dns::Found again;
    if (!dns::parse_answer({out, length}, id, name, type, again)) abort();
    if (again.count > found.count) abort();
  }
  if (question.end != 0) {
    found = {};
    found.rcode = rcode;
    if (dns::build_answer(packet, question, found, out) > sizeof out) abort();
  }
  return 0;
}
