// Function logs: the line format, rotation and cursors that survive it, drops that are told,
// removal.
#include "store/log_files.h"

#include "base/json_text.h"
#include "store/log_segments.h"
#include "store/test_rig.h"
#include "tests/catch.h"

using namespace hearth;
using namespace hearth::test;

namespace {

LogRecord record(std::string_view text, std::string_view request_id = {}) {
  return {WallTime(milliseconds(1'795'352'400'123)), request_id, "0123456789abcdef", "stdout",
          text};
}

std::string line_of(const LogRecord& r) {
  std::string line(log_line_max(r), '\0');
  line.resize(static_cast<size_t>(write_log_line(line.data(), r) - line.data()));
  return line;
}

struct Rig {
  explicit Rig(LogFiles::Options options = {}) : logs(fd.get(), clock, options) {}
  LogPage read(LogQuery query = {}) { return ServiceRig::take(logs.read("f", query)); }
  std::vector<std::string> texts(const LogPage& page) {
    std::vector<std::string> out;
    for (const auto& line : page.lines) out.push_back(line.text);
    return out;
  }
  TempFolder folder;
  UniqueFd fd = folder.open();
  SystemClock clock;
  LogFiles logs;
};

LogFiles::Options small(uint64_t segment_bytes, uint32_t segments) {
  LogFiles::Options options;
  options.segment_bytes = segment_bytes;
  options.segments = segments;
  return options;
}

}  // namespace

TEST_CASE("a line has five fields and any text comes back") {
  CHECK(line_of(record("hello")) == "2026-11-22T13:00:00.123Z\t-\t01234567\tstdout\thello\n");
  const std::string nasty("a\tb\nc\rd\\e\x01\x1b[31m\x7f \\n \\x01 gr\xC3\xBC\xC3\x9F", 32);
  for (const std::string& text : {nasty, std::string(), std::string("\\"), std::string(3, '\0')}) {
    const std::string line = line_of(record(text, "id-1"));
    CHECK(std::count(line.begin(), line.end(), '\n') == 1);
    const auto parsed = parse_log_line(std::string_view(line).substr(0, line.size() - 1));
    REQUIRE(parsed.has_value());
    CHECK(parsed->request_id == "id-1");
    CHECK(unescape_log_text(parsed->text) == text);
  }
  CHECK(line_of(record("x\xFFy")).ends_with("x\xEF\xBF\xBDy\n"));
  CHECK_FALSE(parse_log_line("garbage").has_value());
  CHECK_FALSE(parse_log_line("2026-11-22T13:00:00.123Z\t\t-\tinfo\tx").has_value());
}

TEST_CASE("what is appended can be read and filtered") {
  Rig rig;
  rig.logs.add("f");
  rig.logs.start();
  rig.logs.append("f", record("one", "r1"));
  rig.logs.append("f", record("two", "r2"));
  rig.logs.append("stranger", record("nobody knows it"));
  LogPage page = rig.read();
  CHECK(rig.texts(page) == std::vector<std::string>{"one", "two"});
  CHECK(page.lines[0].revision == "01234567");
  CHECK_FALSE(page.lost);
  LogQuery only;
  only.request_id = "r2";
  CHECK(rig.texts(rig.read(only)) == std::vector<std::string>{"two"});
  LogQuery on;
  on.cursor = page.cursor;
  CHECK(rig.read(on).lines.empty());
  CHECK(rig.read(on).cursor == page.cursor);
  rig.logs.append("f", record("three"));
  CHECK(rig.texts(rig.read(on)) == std::vector<std::string>{"three"});
  CHECK_FALSE(std::filesystem::exists(rig.folder.path() + "/stranger"));
}

TEST_CASE("a page has at most as many lines as asked for and goes on behind them") {
  Rig rig;
  rig.logs.add("f");
  rig.logs.start();
  for (int i = 0; i < 10; ++i) rig.logs.append("f", record(std::to_string(i)));
  LogQuery query;
  query.lines_max = 4;
  std::string all;
  for (int i = 0; i < 4; ++i) {
    const LogPage page = rig.read(query);
    for (const auto& line : page.lines) all += line.text;
    all += '|';
    query.cursor = page.cursor;
  }
  CHECK(all == "0123|4567|89||");
}

TEST_CASE("rotation keeps the total bounded and tells a reader what it lost") {
  Rig rig(small(1'000, 4));
  rig.logs.add("f");
  rig.logs.start();
  rig.logs.append("f", record("first"));
  LogQuery query;
  query.cursor = rig.read().cursor;
  for (int i = 0; i < 10; ++i) rig.logs.append("f", record("a" + std::to_string(i)));
  const LogPage kept = rig.read(query);
  CHECK_FALSE(kept.lost);
  CHECK(kept.lines.size() == 10);
  for (int i = 0; i < 500; ++i) rig.logs.append("f", record("b" + std::to_string(i)));
  const LogPage late = rig.read(query);
  CHECK(late.lost);
  CHECK(late.lines.back().text == "b499");
  uint64_t total = 0;
  size_t files = 0;
  for (const auto& file : std::filesystem::directory_iterator(rig.folder.path() + "/f")) {
    total += file.file_size();
    ++files;
    CHECK(file.file_size() <= 1'000);
  }
  CHECK(files == 4);
  CHECK(total <= 4'000);
  query.cursor = late.cursor;
  CHECK(rig.read(query).lines.empty());
}

TEST_CASE("a cursor can start at the end or shortly before") {
  Rig rig(small(1'000, 8));
  rig.logs.add("f");
  rig.logs.start();
  for (int i = 0; i < 40; ++i) rig.logs.append("f", record("line " + std::to_string(i)));
  LogQuery query;
  query.cursor = "end";
  const LogPage end = rig.read(query);
  CHECK(end.lines.empty());
  query.cursor = "tail:150";
  const LogPage tail = rig.read(query);
  REQUIRE(tail.lines.size() == 2);
  CHECK(tail.lines.back().text == "line 39");
  CHECK(tail.cursor == end.cursor);
  query.cursor = "tail:1000000";
  CHECK(rig.read(query).lines.size() == 40);
  query.cursor = "tail:" + std::to_string(line_of(record("line 39")).size());
  CHECK(rig.read(query).lines.size() == 1);
  for (const char* bad : {"x", "1", "1:", ":1", "tail:", "tail:x", "1:2:3", "-1:0"}) {
    query.cursor = bad;
    CHECK(rig.logs.read("f", query).error().code == Code::invalid_parameter);
  }
  query.cursor = "1:999999";
  CHECK(rig.read(query).lost);
}

TEST_CASE("a removed function's log goes and a new one of that name starts anew") {
  Rig rig;
  rig.logs.add("f");
  rig.logs.start();
  rig.logs.append("f", record("old"));
  LogQuery query;
  query.cursor = rig.read().cursor;
  rig.logs.remove("f");
  rig.logs.append("f", record("from a worker on its way out"));
  rig.logs.flush();
  CHECK_FALSE(std::filesystem::exists(rig.folder.path() + "/f"));
  rig.logs.add("f");
  rig.logs.append("f", record("n"));
  const LogPage page = rig.read(query);
  CHECK(page.lost);
  CHECK(rig.texts(page) == std::vector<std::string>{"n"});
}

TEST_CASE("what does not fit is dropped and a line tells how much") {
  LogFiles::Options options;
  options.pending_max = 2'000;
  Rig rig(options);
  rig.logs.add("f");
  // The writer has not started: nothing is taken away.
  for (int i = 0; i < 100; ++i) rig.logs.append("f", record("0123456789"));
  const uint64_t dropped = rig.logs.dropped();
  CHECK(dropped > 0);
  CHECK(dropped < 100);
  rig.logs.start();
  const LogPage page = rig.read();
  CHECK(page.lines.size() == 100 - dropped + 1);
  CHECK(page.lines.back().text ==
        "[hearth] " + std::to_string(dropped) + " log lines dropped: the disk is slow or full");
}

TEST_CASE("what the disk does not take is told when it takes lines again") {
  Rig rig;
  rig.logs.add("f");
  rig.logs.start();
  // A file where the function's folder would be: every write fails.
  std::ofstream(rig.folder.path() + "/f") << "x";
  for (int i = 0; i < 3; ++i) rig.logs.append("f", record("lost"));
  rig.logs.flush();
  CHECK(rig.logs.dropped() == 3);
  std::filesystem::remove(rig.folder.path() + "/f");
  rig.logs.append("f", record("kept"));
  CHECK(rig.texts(rig.read()) ==
        std::vector<std::string>{"[hearth] 3 log lines dropped: the disk is slow or full", "kept"});
  CHECK(rig.logs.dropped() == 3);
}

TEST_CASE("logs of functions that are gone are removed at the start and half a line is ended") {
  const TempFolder folder;
  const UniqueFd fd = folder.open();
  std::filesystem::create_directories(folder.path() + "/gone");
  std::filesystem::create_directories(folder.path() + "/f");
  std::ofstream(folder.path() + "/f/00000007.log")
      << line_of(record("whole")) << "2026-11-22T13:00:00.1";
  const SystemClock clock;
  LogFiles logs(fd.get(), clock, {});
  logs.add("f");
  REQUIRE(logs.remove_strangers());
  CHECK_FALSE(std::filesystem::exists(folder.path() + "/gone"));
  logs.start();
  logs.append("f", record("after"));
  const auto page = ServiceRig::take(logs.read("f", {}));
  REQUIRE(page.lines.size() == 2);
  CHECK(page.lines[0].text == "whole");
  CHECK(page.lines[1].text == "after");
}

TEST_CASE("appending and reading from two threads loses nothing") {
  Rig rig(small(1 << 20, 8));
  rig.logs.add("f");
  rig.logs.start();
  constexpr int kLines = 5'000;
  std::thread appender([&] {
    for (int i = 0; i < kLines; ++i) rig.logs.append("f", record(std::to_string(i)));
  });
  int next = 0;
  LogQuery query;
  query.lines_max = 100;
  while (next < kLines) {
    const LogPage page = rig.read(query);
    for (const auto& line : page.lines) CHECK(line.text == std::to_string(next++));
    REQUIRE_FALSE(page.lost);
    query.cursor = page.cursor;
  }
  appender.join();
  rig.logs.stop();
  rig.logs.append("f", record("too late"));
  CHECK(rig.logs.dropped() == 1);
}
