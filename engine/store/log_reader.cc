#include "store/log_reader.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "store/files.h"
#include "store/log_record.h"
#include "store/log_segments.h"

namespace hearth {
namespace {

constexpr std::string_view kTail = "tail:";
constexpr size_t kChunk = 256 * 1024;  // above the longest line: limits.log_line, escaped

class Reader {
 public:
  // `segments` is not empty.
  Reader(UniqueFd folder, std::vector<uint64_t> segments)
      : folder_(std::move(folder)), segments_(std::move(segments)) {}

  Status seek(std::string_view cursor);
  Result<LogPage> read(const LogQuery& query);

 private:
  Status seek_tail(uint64_t bytes);
  Result<uint64_t> size_of(uint64_t segment) const;
  Result<std::string> read_chunk(uint64_t segment, uint64_t offset) const;
  bool next_segment();

  UniqueFd folder_;
  std::vector<uint64_t> segments_;  // as they were before anything was read
  LogCursor at_;
  bool lost_ = false;
};

Result<uint64_t> Reader::size_of(uint64_t segment) const {
  struct stat status {};
  if (::fstatat(folder_.get(), segment_name(segment).c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    return os_error("stat a log file");
  }
  return static_cast<uint64_t>(status.st_size);
}

Result<std::string> Reader::read_chunk(uint64_t segment, uint64_t offset) const {
  const UniqueFd file = HEARTH_TRY(open_at(folder_.get(), segment_name(segment), O_RDONLY));
  std::string chunk(kChunk, '\0');
  const ssize_t n = ::pread(file.get(), chunk.data(), chunk.size(), static_cast<off_t>(offset));
  if (n < 0) return os_error("read a log file");
  chunk.resize(static_cast<size_t>(n));
  return chunk;
}

Status Reader::seek_tail(uint64_t bytes) {
  uint64_t left = bytes;
  for (size_t i = segments_.size(); i-- > 0;) {
    const uint64_t size = HEARTH_TRY(size_of(segments_[i]));
    at_ = LogCursor{segments_[i], 0};
    if (left > size) {
      left -= size;
      continue;
    }
    at_.offset = size - left;
    if (at_.offset == 0) return ok();
    // To the begin of a line: behind the newline at or after the byte before.
    const std::string chunk = HEARTH_TRY(read_chunk(at_.segment, at_.offset - 1));
    const size_t newline = chunk.find('\n');
    at_.offset += newline == chunk.npos ? chunk.size() - 1 : newline;
    return ok();
  }
  return ok();
}

Status Reader::seek(std::string_view cursor) {
  at_ = LogCursor{segments_.front(), 0};
  if (cursor.empty()) return ok();
  if (cursor == "end") return seek_tail(0);
  if (cursor.starts_with(kTail)) {
    uint64_t bytes = 0;
    const std::string_view number = cursor.substr(kTail.size());
    const auto result = std::from_chars(number.data(), number.data() + number.size(), bytes);
    if (result.ec == std::errc() && result.ptr == number.data() + number.size()) {
      return seek_tail(bytes);
    }
  }
  const auto parsed = parse_log_cursor(cursor);
  if (!parsed) {
    return Error{Code::invalid_parameter,
                 fmt::format("cursor '{}': give an earlier page's cursor, 'end', 'tail:BYTES' or "
                             "nothing",
                             cursor.substr(0, 64))};
  }
  const bool there = std::binary_search(segments_.begin(), segments_.end(), parsed->segment);
  const auto size = size_of(parsed->segment);
  if (there && size && parsed->offset <= *size) {
    at_ = *parsed;
  } else {
    // Rotated away, or the log of an earlier function of that name.
    lost_ = true;
  }
  return ok();
}

bool Reader::next_segment() {
  const auto next = std::upper_bound(segments_.begin(), segments_.end(), at_.segment);
  if (next == segments_.end()) return false;
  // A gap: the segment between was removed while this one was read.
  if (*next != at_.segment + 1) lost_ = true;
  at_ = LogCursor{*next, 0};
  return true;
}

Result<LogPage> Reader::read(const LogQuery& query) {
  LogPage page;
  size_t scanned = 0;
  const auto full = [&] {
    return scanned >= query.bytes_max || page.lines.size() >= query.lines_max;
  };
  while (!full()) {
    const auto chunk = read_chunk(at_.segment, at_.offset);
    if (!chunk) {
      // Rotated away since the list was made.
      if (!next_segment()) break;
      lost_ = true;
      continue;
    }
    const size_t whole = chunk->rfind('\n') + 1;
    if (whole == 0) {
      // Only a segment that was complete when the list was made may be left: lines may still come
      // to the newest one.
      if (next_segment()) continue;
      break;
    }
    size_t begin = 0;
    while (begin < whole && !full()) {
      const size_t end = chunk->find('\n', begin);
      const auto line = parse_log_line(std::string_view(*chunk).substr(begin, end - begin));
      if (line && (query.request_id.empty() || line->request_id == query.request_id)) {
        page.lines.push_back({std::string(line->time), std::string(line->request_id),
                              std::string(line->revision), std::string(line->level),
                              unescape_log_text(line->text)});
      }
      scanned += end + 1 - begin;
      begin = end + 1;
    }
    at_.offset += begin;
  }
  page.cursor = at_.text();
  page.lost = lost_;
  return page;
}

}  // namespace

Result<LogPage> read_log(int folder, std::string_view function, const LogQuery& query) {
  auto function_folder = open_at(folder, std::string(function), O_RDONLY | O_DIRECTORY);
  if (!function_folder) return LogPage{};
  auto segments = HEARTH_TRY(list_segments(function_folder->get()));
  if (segments.empty()) return LogPage{};
  Reader reader(std::move(*function_folder), std::move(segments));
  HEARTH_TRY(reader.seek(query.cursor));
  return reader.read(query);
}

}  // namespace hearth
