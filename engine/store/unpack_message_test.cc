// The unpacker is not trusted: every field of its messages, and what lies in its folder. Its
// policy, evaluated rule by rule.
#include "store/unpack_message.h"

#include <cstring>
#include <random>

#include "store/folder_check.h"
#include "store/test_rig.h"
#include "tests/catch.h"

using namespace hearth;
using namespace hearth::test;

namespace {

UnpackMessage message(UnpackStep step) {
  UnpackMessage m{};
  m.magic = kUnpackMagic;
  m.step = step;
  m.files = 1;
  return m;
}

Code code_of(const UnpackMessage& m, UnpackStep expected) {
  const auto result = check_message(m, expected, UnpackLimits{});
  return result ? Code{} : result.error().code;
}

Code found(const TempFolder& folder, Unpacked said) {
  const UniqueFd fd = folder.open();
  const Status status = check_folder(fd.get(), said, UnpackLimits{});
  return status ? Code{} : status.error().code;
}

}  // namespace

TEST_CASE("messages are taken only as what is due, within the limits") {
  CHECK(code_of(message(UnpackStep::done), UnpackStep::done) == Code{});
  CHECK(code_of(message(UnpackStep::done), UnpackStep::hashed) == Code::unpack_failed);
  CHECK(code_of(message(UnpackStep::confined), UnpackStep::done) == Code::unpack_failed);
  UnpackMessage m = message(UnpackStep::done);
  m.magic = 0;
  CHECK(code_of(m, UnpackStep::done) == Code::unpack_failed);
  m = message(UnpackStep::done);
  m.bytes = UnpackLimits{}.bytes_max + 1;
  CHECK(code_of(m, UnpackStep::done) == Code::unpack_failed);
  m = message(UnpackStep::done);
  m.files = UnpackLimits{}.files_max + 1;
  CHECK(code_of(m, UnpackStep::done) == Code::unpack_failed);
  m = message(UnpackStep::confined);
  m.layers = 1u << kUnpackLayersCount;
  CHECK(code_of(m, UnpackStep::confined) == Code::unpack_failed);
}

TEST_CASE("a failure carries a code that it may have and clean text") {
  UnpackMessage m = message(UnpackStep::failed);
  m.code = static_cast<uint32_t>(Code::archive_invalid);
  std::memset(m.detail, 'x', sizeof m.detail);
  auto result = check_message(m, UnpackStep::done, UnpackLimits{});
  REQUIRE_FALSE(result);
  CHECK(result.error().code == Code::archive_invalid);
  CHECK(result.error().detail == std::string(sizeof m.detail, 'x'));
  std::strcpy(m.detail, "a\x1b[31m\nb");
  CHECK(check_message(m, UnpackStep::done, UnpackLimits{}).error().detail == "a?[31m?b");
  std::strcpy(m.detail, "\xFF\xFE");
  CHECK(check_message(m, UnpackStep::done, UnpackLimits{}).error().detail == "(unreadable)");
  m.code = static_cast<uint32_t>(Code::shutting_down);
  CHECK(code_of(m, UnpackStep::done) == Code::unpack_failed);
  m.code = 0;
  CHECK(code_of(m, UnpackStep::done) == Code::unpack_failed);
}

TEST_CASE("no bytes of a report get through as anything but a checked message") {
  std::mt19937_64 random(1);
  const UnpackLimits limits;
  for (int round = 0; round < 20'000; ++round) {
    UnpackMessage m{};
    auto* bytes = reinterpret_cast<unsigned char*>(&m);
    for (size_t i = 0; i < sizeof m; ++i) bytes[i] = static_cast<unsigned char>(random());
    if (round % 2 == 0) m.magic = kUnpackMagic;
    if (round % 4 == 0) m.step = static_cast<UnpackStep>(random() % 6);
    const auto result = check_message(m, UnpackStep::done, limits);
    if (result) CHECK((result->bytes <= limits.bytes_max && result->files <= limits.files_max));
  }
}

TEST_CASE("what lies in the folder is looked at") {
  const TempFolder good;
  write_file(good.path() + "/a", "12345");
  CHECK(found(good, {5, 1}) == Code{});
  CHECK(found(good, {4, 1}) == Code::unpack_failed);
  CHECK(found(good, {5, 2}) == Code::unpack_failed);
  const TempFolder link;
  REQUIRE(::symlink("/etc/passwd", (link.path() + "/a").c_str()) == 0);
  CHECK(found(link, {0, 1}) == Code::unpack_failed);
  const TempFolder twice;
  write_file(twice.path() + "/a", "1");
  REQUIRE(::link((twice.path() + "/a").c_str(), (twice.path() + "/b").c_str()) == 0);
  CHECK(found(twice, {2, 2}) == Code::unpack_failed);
  const TempFolder setuid;
  write_file(setuid.path() + "/a", "1");
  REQUIRE(::chmod((setuid.path() + "/a").c_str(), 04755) == 0);
  CHECK(found(setuid, {1, 1}) == Code::unpack_failed);
  const TempFolder fifo;
  REQUIRE(::mkfifo((fifo.path() + "/a").c_str(), 0644) == 0);
  CHECK(found(fifo, {0, 1}) == Code::unpack_failed);
}
