#include "sandbox/cgroup_find.h"

#include <fcntl.h>
#include <unistd.h>

#include <optional>

#include "base/unique_fd.h"

namespace hearth::sandbox {
namespace {

std::string_view take_until(std::string_view& text, char end) {
  const size_t at = text.find(end);
  const std::string_view word = text.substr(0, at);
  text.remove_prefix(at == std::string_view::npos ? text.size() : at + 1);
  return word;
}

bool lists(std::string_view comma_list, std::string_view word) {
  while (!comma_list.empty())
    if (take_until(comma_list, ',') == word) return true;
  return false;
}

uint8_t controllers_in(std::string_view comma_list) {
  uint8_t bits = 0;
  if (lists(comma_list, "memory")) bits |= bit(Controller::kMemory);
  if (lists(comma_list, "cpu")) bits |= bit(Controller::kCpu);
  if (lists(comma_list, "pids")) bits |= bit(Controller::kPids);
  if (lists(comma_list, "freezer")) bits |= bit(Controller::kFreezer);
  return bits;
}

// mountinfo writes blanks and backslashes as three octal digits.
std::string unescape(std::string_view text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto octal = [&](size_t at) { return text[at] >= '0' && text[at] <= '7'; };
    if (text[i] == '\\' && i + 3 < text.size() && octal(i + 1) && octal(i + 2) && octal(i + 3)) {
      plain +=
          static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + text[i + 3] - '0');
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

struct Mount {
  std::string root, point;
  bool v2 = false;
  std::string_view options;  // of the file system: names the controllers of version 1
};

// "36 35 98:0 /root /point options optional... - type source fs-options"
std::optional<Mount> parse_mount(std::string_view line) {
  Mount mount;
  for (int skipped = 0; skipped < 3; ++skipped) take_until(line, ' ');
  mount.root = unescape(take_until(line, ' '));
  mount.point = unescape(take_until(line, ' '));
  const size_t dash = line.find(" - ");
  if (dash == std::string_view::npos) return std::nullopt;
  line.remove_prefix(dash + 3);
  const std::string_view type = take_until(line, ' ');
  if (type != "cgroup" && type != "cgroup2") return std::nullopt;
  mount.v2 = type == "cgroup2";
  take_until(line, ' ');
  mount.options = line;
  return mount;
}

// The folder of the group `path` below a mount that shows the hierarchy from `root` on.
std::optional<std::string> folder_of(const Mount& mount, std::string_view path) {
  if (!path.starts_with('/') || path.find("/..") != std::string_view::npos) return std::nullopt;
  if (mount.root != "/") {
    if (!path.starts_with(mount.root)) return std::nullopt;
    path.remove_prefix(mount.root.size());
    if (!path.empty() && path[0] != '/') return std::nullopt;
  }
  if (path.ends_with(kCgroupHostName) &&
      path.substr(0, path.size() - kCgroupHostName.size()).ends_with('/'))
    path.remove_suffix(kCgroupHostName.size() + 1);
  return mount.point + std::string(path == "/" ? "" : path);
}

std::string read_all(const char* path) {
  const UniqueFd fd(open(path, O_RDONLY | O_CLOEXEC));
  std::string text;
  char buffer[4096];
  ssize_t n;
  while (fd.valid() && (n = read(fd.get(), buffer, sizeof buffer)) > 0)
    text.append(buffer, static_cast<size_t>(n));
  return text;
}

}  // namespace

std::vector<CgroupPlace> find_cgroups(std::string_view self, std::string_view mounts) {
  std::vector<CgroupPlace> places;
  while (!self.empty()) {
    std::string_view line = take_until(self, '\n');  // "4:memory:/path", version 2: "0::/path"
    const std::string_view id = take_until(line, ':');
    const std::string_view names = take_until(line, ':');
    const bool v2 = id == "0" && names.empty();
    const uint8_t wanted = v2 ? 0 : controllers_in(names);
    if (!v2 && wanted == 0) continue;
    std::string_view rest = mounts;
    while (!rest.empty()) {
      const auto mount = parse_mount(take_until(rest, '\n'));
      if (!mount || mount->v2 != v2) continue;
      if (!v2 && (controllers_in(mount->options) & wanted) == 0) continue;
      const auto folder = folder_of(*mount, line);
      if (!folder) continue;
      places.push_back({*folder, v2, wanted});
      break;
    }
  }
  return places;
}

std::vector<CgroupPlace> find_own_cgroups() {
  return find_cgroups(read_all("/proc/self/cgroup"), read_all("/proc/self/mountinfo"));
}

}  // namespace hearth::sandbox
