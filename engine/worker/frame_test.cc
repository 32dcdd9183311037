#include "worker/frame.h"

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/catch.h"

using namespace hearth;
using namespace hearth::worker;

namespace {

std::string golden(const std::string& name) {
  std::ifstream file(std::string(HEARTH_GOLDEN_FRAMES) + "/" + name, std::ios::binary);
  REQUIRE(file);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

bool from_worker(int type) { return type >= 0x80; }

}  // namespace

TEST_CASE("golden frames have the headers that the index tells") {
  const auto index = nlohmann::json::parse(golden("index.json"));
  REQUIRE(index.size() >= 20);
  for (const auto& [name, expected] : index.items()) {
    const std::string bytes = golden(name + ".bin");
    REQUIRE(bytes.size() >= kHeaderSize);
    const FrameHeader header = decode_header(bytes.data());
    CHECK(header.length == expected["length"]);
    CHECK(static_cast<int>(header.type) == expected["type"]);
    CHECK(header.flags == expected["flags"]);
    CHECK(header.aux == expected["aux"]);
    CHECK(header.id.slot == expected["slot"]);
    CHECK(header.id.generation == expected["generation"]);
    char encoded[kHeaderSize];
    encode_header(encoded, header);
    CHECK(std::string_view(encoded, kHeaderSize) == std::string_view(bytes).substr(0, kHeaderSize));
  }
}

TEST_CASE("every golden frame of a worker is taken whole and at no shorter length") {
  const auto index = nlohmann::json::parse(golden("index.json"));
  for (const auto& [name, expected] : index.items()) {
    const std::string bytes = golden(name + ".bin");
    Frame frame;
    std::string_view what;
    for (size_t cut = 0; cut < bytes.size(); ++cut) {
      std::string_view part(bytes.data(), cut);
      const Take take = take_worker_frame(part, frame, what);
      CHECK(take == (from_worker(expected["type"]) || cut < kHeaderSize ? Take::incomplete
                                                                        : Take::invalid));
    }
    std::string_view whole = bytes;
    const Take take = take_worker_frame(whole, frame, what);
    CHECK(take == (from_worker(expected["type"]) ? Take::frame : Take::invalid));
    if (take == Take::frame) {
      CHECK(whole.empty());
      CHECK(frame.payload == std::string_view(bytes).substr(kHeaderSize));
    }
  }
}

TEST_CASE("frames that a worker may not send are invalid from their header on") {
  const auto taken = [](FrameHeader header) {
    char bytes[kHeaderSize];
    encode_header(bytes, header);
    std::string_view view(bytes, kHeaderSize);
    Frame frame;
    std::string_view what;
    return take_worker_frame(view, frame, what);
  };
  CHECK(taken({0xFFFFFFFF, FrameType::reply, 0, 0, {1, 1}}) == Take::invalid);
  CHECK(taken({kFrameMax + 1, FrameType::hello, 0, 0, {}}) == Take::invalid);
  CHECK(taken({0, FrameType::reply, 0, 0, {1, 1}}) == Take::invalid);
  CHECK(taken({4, FrameType::reply, kFlagHttp, 0, {1, 1}}) == Take::invalid);
  CHECK(taken({4, FrameType::reply, 0x80, 0, {1, 1}}) == Take::invalid);
  CHECK(taken({4, FrameType::reply, kFlagStream, 1, {1, 1}}) == Take::invalid);
  CHECK(taken({4, FrameType::reply, kFlagMore, 1, {1, 1}}) == Take::invalid);
  CHECK(taken({4, FrameType::reply, kFlagStream | kFlagMore, 3, {1, 1}}) == Take::invalid);
  CHECK(taken({4, FrameType::reply, kFlagStream | kFlagMore, 2, {1, 1}}) == Take::incomplete);
  CHECK(taken({5, FrameType::ready, 0, 0, {}}) == Take::invalid);
  CHECK(taken({1, FrameType::pong, 0, 0, {}}) == Take::invalid);
  CHECK(taken({0, static_cast<FrameType>(0x8B), 0, 0, {}}) == Take::invalid);
  CHECK(taken({0, FrameType::fork, 0, 0, {1, 1}}) == Take::invalid);
  CHECK(taken({0, FrameType::zygote, 0, 0, {}}) == Take::invalid);
  CHECK(taken({4, FrameType::zygote, kFlagMore, 0, {}}) == Take::invalid);
  CHECK(taken({4, FrameType::forked, 0, 0, {1, 1}}) == Take::invalid);
  CHECK(taken({4, FrameType::forked, kFlagError | kFlagLast, 0, {1, 1}}) == Take::invalid);
  CHECK(taken({0, static_cast<FrameType>(0), 0, 0, {}}) == Take::invalid);
  CHECK(taken({0, FrameType::chunk, kFlagMore | kFlagError, 0, {1, 1}}) == Take::invalid);
  CHECK(taken({kPartMax + 4, FrameType::reply, 0, 0, {1, 1}}) == Take::incomplete);
}
