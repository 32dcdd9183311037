// Durations and sizes: exact values in, anything else refused.
#include "config/units_text.h"

#include "base/units.h"
#include "config/nearest.h"
#include "tests/catch.h"

using namespace hearth;

TEST_CASE("durations carry their unit") {
  CHECK(parse_duration("500us", Bare::refused) == microseconds(500));
  CHECK(parse_duration("500ms", Bare::refused) == milliseconds(500));
  CHECK(parse_duration("5s", Bare::refused) == seconds(5));
  CHECK(parse_duration("5 s", Bare::refused) == seconds(5));
  CHECK(parse_duration("2m", Bare::refused) == seconds(120));
  CHECK(parse_duration("1h", Bare::refused) == seconds(3600));
  CHECK(parse_duration("1.5s", Bare::refused) == milliseconds(1500));
  CHECK(parse_duration("0", Bare::refused) == nanoseconds(0));
}

TEST_CASE("a bare number is seconds or MB only where that is said") {
  CHECK(parse_duration("3", Bare::unit) == seconds(3));
  CHECK(parse_duration("0.5", Bare::unit) == milliseconds(500));
  CHECK_FALSE(parse_duration("3", Bare::refused));
  CHECK(parse_size("128", Bare::unit) == mebibytes(128));
  CHECK_FALSE(parse_size("128", Bare::refused));
}

TEST_CASE("what is no duration is refused") {
  for (const char* text : {"",
                           "s",
                           "-5s",
                           "+5s",
                           "5 sec",
                           "5S",
                           "05s",
                           "1.s",
                           ".5s",
                           "1e3s",
                           "5s ",
                           " 5s",
                           "0x5s",
                           "5  s",
                           "1,5s",
                           "5 ",
                           "0.1us0",
                           "0.0000000001s",
                           "99999999999999999999s",
                           "877000h",
                           "1:30"}) {
    INFO(text);
    CHECK_FALSE(parse_duration(text, Bare::unit));
  }
}

TEST_CASE("sizes are powers of 1024") {
  CHECK(parse_size("64KB", Bare::refused) == 65'536u);
  CHECK(parse_size("128MB", Bare::refused) == mebibytes(128));
  CHECK(parse_size("128MiB", Bare::refused) == mebibytes(128));
  CHECK(parse_size("1.5GB", Bare::refused) == mebibytes(1536));
  CHECK(parse_size("7B", Bare::refused) == 7u);
  CHECK(parse_size("0", Bare::refused) == 0u);
}

TEST_CASE("what is no size is refused") {
  for (const char* text :
       {"", "MB", "-1MB", "128mb", "128Mb", "0.3B", "1.1KB", "999999999999999TB", "1PB", "012MB"}) {
    INFO(text);
    CHECK_FALSE(parse_size(text, Bare::refused));
  }
}

TEST_CASE("whole numbers have no sign and no leading zero") {
  CHECK(parse_whole("0") == 0u);
  CHECK(parse_whole("12") == 12u);
  CHECK(parse_whole("18446744073709551615") == UINT64_MAX);
  for (const char* text :
       {"", "012", "-1", "+1", "0x10", "1 ", "1.0", "18446744073709551616", "1e3"}) {
    INFO(text);
    CHECK_FALSE(parse_whole(text));
  }
}

TEST_CASE("what is formatted reads back as the same value") {
  CHECK(format_duration(milliseconds(1500)) == "1500ms");
  CHECK(format_duration(seconds(120)) == "2m");
  CHECK(format_duration(nanoseconds(0)) == "0s");
  CHECK(format_size(mebibytes(128)) == "128MB");
  CHECK(format_size(1000) == "1000B");
  CHECK(format_size(0) == "0B");
  for (const int64_t ms : {1, 999, 1'000, 60'000, 61'000, 3'600'000}) {
    CHECK(parse_duration(format_duration(milliseconds(ms)), Bare::refused) == milliseconds(ms));
  }
}

TEST_CASE("the nearest word is found across slips of the finger") {
  constexpr std::string_view kWords[] = {"timeout", "memory", "handler", "runtime"};
  CHECK(nearest("timout", kWords) == "timeout");
  CHECK(nearest("Timeout", kWords) == "timeout");
  CHECK(nearest("tiemout", kWords) == "timeout");
  CHECK(nearest("runtimes", kWords) == "runtime");
  CHECK(nearest("anything", {}).empty());
  CHECK(edit_distance("ab", "ba") == 1);
  CHECK(edit_distance("", "abc") == 3);
  CHECK(edit_distance("kitten", "sitting") == 3);
  CHECK(edit_distance(std::string(1'000, 'a'), std::string(900, 'a')) == 0);
}
