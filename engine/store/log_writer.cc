#include "store/log_writer.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "store/files.h"
#include "store/log_segments.h"

namespace hearth {

void LogWriter::remove(std::string_view function) {
  known_.erase(std::string(function));
  open_.erase(std::string(function));
  // What stays now is a stranger at the next start.
  static_cast<void>(remove_tree(folder_, std::string(function)));
}

Status LogWriter::remove_strangers() {
  for (const auto& name : HEARTH_TRY(list_names(folder_))) {
    if (!known_.contains(name)) HEARTH_TRY(remove_tree(folder_, name));
  }
  return ok();
}

bool LogWriter::write(std::string_view function, std::string_view lines) {
  if (!known_.contains(function)) return true;
  auto opened = open(function);
  if (opened && write_lines(**opened, lines)) return true;
  // Half a line may have been written: opening again puts an end to it.
  open_.erase(std::string(function));
  return false;
}

Result<LogWriter::Open*> LogWriter::open(std::string_view function) {
  if (const auto it = open_.find(function); it != open_.end()) {
    it->second.used = ++uses_;
    return &it->second;
  }
  if (open_.size() >= kOpenMax) {
    const auto older = [](const auto& a, const auto& b) { return a.second.used < b.second.used; };
    open_.erase(std::min_element(open_.begin(), open_.end(), older));
  }
  Open fresh;
  fresh.used = ++uses_;
  fresh.folder = HEARTH_TRY(make_folder(folder_, std::string(function), 0700));
  const auto segments = HEARTH_TRY(list_segments(fresh.folder.get()));
  HEARTH_TRY(start_segment(fresh, segments.empty() ? 1 : segments.back()));
  char last = '\n';
  if (fresh.size > 0 &&
      (::pread(fresh.file.get(), &last, 1, static_cast<off_t>(fresh.size - 1)) != 1 ||
       last != '\n')) {
    HEARTH_TRY(write_all(fresh.file.get(), "\n"));
    ++fresh.size;
  }
  return &open_.emplace(std::string(function), std::move(fresh)).first->second;
}

Status LogWriter::start_segment(Open& open, uint64_t number) {
  open.file = HEARTH_TRY(
      open_at(open.folder.get(), segment_name(number), O_RDWR | O_APPEND | O_CREAT, 0600));
  struct stat status {};
  if (::fstat(open.file.get(), &status) != 0) return os_error("stat a log file");
  open.segment = number;
  open.size = static_cast<uint64_t>(status.st_size);
  for (const uint64_t old : HEARTH_TRY(list_segments(open.folder.get()))) {
    if (old + segments_ > number) break;
    HEARTH_TRY(remove_tree(open.folder.get(), segment_name(old)));
  }
  return ok();
}

Status LogWriter::write_lines(Open& open, std::string_view lines) {
  while (!lines.empty()) {
    // As many whole lines as the segment has room for.
    size_t take = 0;
    while (take < lines.size()) {
      const size_t line_end = lines.find('\n', take) + 1;
      if (open.size + line_end > segment_bytes_ && open.size + take > 0) break;
      take = line_end;
    }
    if (take == 0) {
      HEARTH_TRY(start_segment(open, open.segment + 1));
      continue;
    }
    HEARTH_TRY(write_all(open.file.get(), lines.substr(0, take)));
    open.size += take;
    lines.remove_prefix(take);
  }
  return ok();
}

}  // namespace hearth
