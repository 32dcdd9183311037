#include "http/body.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace hearth::http {
namespace {

bool is_disk_full(int error) { return error == ENOSPC || error == EDQUOT; }

int open_unlinked(const std::string& folder) {
  const int fd = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR)) return fd;
  // A file system without O_TMPFILE.
  std::string path = folder + "/body-XXXXXX";
  const int named = ::mkostemp(path.data(), O_CLOEXEC);
  if (named >= 0) ::unlink(path.c_str());
  return named;
}

}  // namespace

void Body::reset() {
  in_place_ = {};
  buffer_.release();
  file_.reset();
  size_ = max_ = 0;
  refusal_ = {};
}

void Body::to_memory(BufferPool& buffers, uint64_t max) {
  buffers_ = &buffers;
  max_ = max;
}

Status Body::to_file(const std::string& folder, uint64_t max) {
  max_ = max;
  file_.reset(open_unlinked(folder));
  if (file_.valid()) return ok();
  return Error{is_disk_full(errno) ? Code::disk_full : Code::io_failed,
               fmt::format("no file can be made in {}: {}", folder, std::strerror(errno))};
}

bool Body::refuse(Code code, std::string_view detail) {
  refusal_ = {code, detail};
  return false;
}

bool Body::add(std::string_view part) {
  if (part.size() > max_ - size_)
    return refuse(Code::body_too_large, "the body is longer than this path takes");
  if (file_.valid()) {
    if (!write_to_file(part)) return false;
  } else if (size_ == 0) {
    in_place_ = part;
  } else if (!settle() || !append(part)) {
    return false;
  }
  size_ += part.size();
  return true;
}

bool Body::settle() {
  if (in_place_.empty()) return true;
  const std::string_view part = std::exchange(in_place_, {});
  return append(part);
}

bool Body::append(std::string_view part) {
  if (!buffers_->grow(buffer_, part.size()))
    return refuse(Code::buffers_full, "no memory for the body");
  buffer_.append(part);
  return true;
}

bool Body::write_to_file(std::string_view part) {
  uint64_t offset = size_;
  while (!part.empty()) {
    const ssize_t n = ::pwrite(file_.get(), part.data(), part.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && is_disk_full(errno)) return refuse(Code::disk_full, "the body can't be stored");
    if (n <= 0) return refuse(Code::io_failed, "the body can't be stored");
    part.remove_prefix(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  return true;
}

void Body::give_to(Request& request) {
  if (file_.valid()) {
    request.spool = &file_;
    request.spool_size = size_;
  } else if (buffer_) {
    request.body = buffer_.view();
    request.body_buffer = &buffer_;
  } else {
    request.body = in_place_;
  }
}

}  // namespace hearth::http
