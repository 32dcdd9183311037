// Questions and answers, good and broken.
#include "sandbox/egress/dns.h"

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "sandbox/egress/address.h"
#include "tests/catch.h"

namespace hearth::sandbox::egress::dns {
namespace {

using Bytes = std::vector<uint8_t>;

Bytes question(const char* name, uint16_t type = kTypeA, uint16_t id = 0x1234) {
  Bytes out(kUdpMax);
  out.resize(build_question(id, name, type, out));
  return out;
}

struct Record {
  std::string owner;  // as bytes of a name
  uint16_t type;
  uint32_t ttl;
  std::string data;
};

std::string name(const std::string& text) {
  std::string out, label;
  for (const char c : text + ".") {
    if (c != '.') {
      label += c;
      continue;
    }
    out += static_cast<char>(label.size());
    out += label;
    label.clear();
  }
  return out + std::string(1, '\0');
}

Bytes answer(Bytes packet, std::vector<Record> records, unsigned flags = 0x8180) {
  packet[2] = static_cast<uint8_t>(flags >> 8);
  packet[3] = static_cast<uint8_t>(flags);
  packet[7] = static_cast<uint8_t>(records.size());
  for (const Record& record : records) {
    packet.insert(packet.end(), record.owner.begin(), record.owner.end());
    for (const unsigned value : {unsigned{record.type}, 1u, record.ttl >> 16, record.ttl & 0xffff,
                                 static_cast<unsigned>(record.data.size())}) {
      packet.push_back(static_cast<uint8_t>(value >> 8));
      packet.push_back(static_cast<uint8_t>(value));
    }
    packet.insert(packet.end(), record.data.begin(), record.data.end());
  }
  return packet;
}

const std::string kBack{"\xc0\x0c", 2};  // the question's name
const std::string kAddress{"\x01\x02\x03\x04", 4};

TEST_CASE("a question is read as it was built, in lower case") {
  Question q;
  Bytes packet = question("api.example.com", kTypeAaaa);
  packet[13] = 'A';
  REQUIRE(parse_question(packet, q) == Rcode::kNoError);
  CHECK(std::string(q.name) == "api.example.com");
  CHECK(q.type == kTypeAaaa);
  CHECK(q.id == 0x1234);
  CHECK(q.recursion_desired);
  CHECK(q.end == packet.size());
}

TEST_CASE("a broken question is answered with its error, or not at all") {
  Question q;
  const Bytes good = question("api.example.com");
  for (size_t size = 0; size < 12; ++size) {
    CHECK(parse_question({good.data(), size}, q) == Rcode::kFormat);
    CHECK(q.end == 0);
  }
  for (size_t size = 12; size < good.size(); ++size) {
    CHECK(parse_question({good.data(), size}, q) == Rcode::kFormat);
    CHECK(q.end == 12);
  }
  Bytes changed = good;
  changed[2] |= 0x80;  // an answer
  CHECK(parse_question(changed, q) == Rcode::kFormat);
  CHECK(q.end == 0);
  changed = good;
  changed[2] |= 0x20;  // another operation
  CHECK(parse_question(changed, q) == Rcode::kNotImplemented);
  changed = good;
  changed[5] = 2;  // two questions
  CHECK(parse_question(changed, q) == Rcode::kFormat);
  changed = good;
  changed[good.size() - 1] = 3;  // class CHAOS
  CHECK(parse_question(changed, q) == Rcode::kRefused);
  changed = good;
  changed[14] = '*';
  CHECK(parse_question(changed, q) == Rcode::kRefused);
  changed = good;
  changed[14] = '\0';
  CHECK(parse_question(changed, q) == Rcode::kRefused);
}

TEST_CASE("an answer gives its addresses, along the chain in any order, with the least TTL") {
  const Bytes asked = question("www.example.com");
  Found found;
  REQUIRE(parse_answer(answer(asked, {{kBack, kTypeA, 300, kAddress}}), 0x1234, "www.example.com",
                       kTypeA, found));
  CHECK(found.count == 1);
  CHECK(found.ttl == 300);
  CHECK(found.addresses[0] == v4(0x01020304));
  REQUIRE(
      parse_answer(answer(asked, {{name("edge.example.net"), kTypeA, 300, kAddress},
                                  {name("a.example.net"), kTypeCname, 50, name("edge.example.net")},
                                  {kBack, kTypeCname, 70, name("a.example.net")},
                                  {name("other.example"), kTypeA, 1, "\x09\x09\x09\x09"}}),
                   0x1234, "www.example.com", kTypeA, found));
  CHECK(found.count == 1);
  CHECK(found.ttl == 50);
  CHECK(found.addresses[0] == v4(0x01020304));
}

TEST_CASE("an answer to something else, or a broken one, is none") {
  const Bytes asked = question("www.example.com");
  const Bytes good = answer(asked, {{kBack, kTypeA, 300, kAddress}});
  Found found;
  CHECK_FALSE(parse_answer(good, 0x1235, "www.example.com", kTypeA, found));
  CHECK_FALSE(parse_answer(good, 0x1234, "www.example.org", kTypeA, found));
  CHECK_FALSE(parse_answer(good, 0x1234, "www.example.com", kTypeAaaa, found));
  CHECK_FALSE(parse_answer(asked, 0x1234, "www.example.com", kTypeA, found));
  for (size_t size = 0; size < good.size(); ++size)
    CHECK_FALSE(parse_answer({good.data(), size}, 0x1234, "www.example.com", kTypeA, found));
  // An address of the wrong length is none.
  REQUIRE(parse_answer(answer(asked, {{kBack, kTypeA, 1, "abcde"}}), 0x1234, "www.example.com",
                       kTypeA, found));
  CHECK(found.count == 0);
}

TEST_CASE("rings of names end") {
  const Bytes asked = question("www.example.com");
  Found found;
  // A pointer to itself, and one forward.
  const size_t at = asked.size();
  const std::string self{static_cast<char>(0xc0 | at >> 8), static_cast<char>(at)};
  const std::string forward{static_cast<char>(0xc0 | at >> 8), static_cast<char>(at + 2)};
  CHECK_FALSE(parse_answer(answer(asked, {{self, kTypeA, 1, kAddress}}), 0x1234, "www.example.com",
                           kTypeA, found));
  CHECK_FALSE(parse_answer(answer(asked, {{forward, kTypeA, 1, kAddress}}), 0x1234,
                           "www.example.com", kTypeA, found));
  // Two aliases of each other.
  REQUIRE(parse_answer(answer(asked, {{kBack, kTypeCname, 1, name("b.example")},
                                      {name("b.example"), kTypeCname, 1, name("www.example.com")}}),
                       0x1234, "www.example.com", kTypeA, found));
  CHECK(found.count == 0);
}

TEST_CASE("the answer to the worker fits, whatever was found") {
  const Bytes asked = question(("a." + std::string(60, 'b') + "." + std::string(60, 'c') + "." +
                                std::string(60, 'd') + "." + std::string(60, 'e'))
                                   .c_str(),
                               kTypeAaaa);
  Question q;
  REQUIRE(parse_question(asked, q) == Rcode::kNoError);
  Found found{};
  found.count = kAddressesMax;
  found.ttl = 60;
  uint8_t out[kUdpMax];
  const size_t length = build_answer(asked, q, found, out);
  CHECK(length <= kUdpMax);
  Found read;
  REQUIRE(parse_answer({out, length}, q.id, q.name, kTypeAaaa, read));
  CHECK(read.count > 4);
  CHECK(read.count < kAddressesMax);
}

}  // namespace
}  // namespace hearth::sandbox::egress::dns
