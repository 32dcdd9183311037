#include "store/unpack_message.h"

#include <algorithm>
#include <cstring>

#include "store/utf8.h"

namespace hearth {
namespace {

constexpr std::string_view kLayerNames[kUnpackLayersCount] = {
    "no_new_privs", "no_capabilities", "limits", "seccomp", "chroot", "landlock"};
constexpr uint64_t kMemoryBase = mebibytes(32);
constexpr uint64_t kMemoryCeiling = gibibytes(1);
constexpr uint64_t kTreeNode = 256;  // of ArchiveNames, beside its two names
constexpr uint64_t kNameUsual = 512;

Error untrue(std::string_view why) {
  return Error{Code::unpack_failed, "its report can't be trusted: " + std::string(why)};
}

// Text from the unpacker, which may be the archive's: no control characters, whole characters.
std::string clean_text(const char (&text)[sizeof UnpackMessage::detail]) {
  std::string out(text, strnlen(text, sizeof text));
  if (!valid_utf8(out)) return "(unreadable)";
  std::replace_if(
      out.begin(), out.end(),
      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }, '?');
  return out;
}

Error error_of(const UnpackMessage& message) {
  for (const Code code : {Code::archive_invalid, Code::disk_full, Code::io_failed,
                          Code::sandbox_unavailable, Code::unpack_failed}) {
    if (message.code == static_cast<uint32_t>(code)) return {code, clean_text(message.detail)};
  }
  return untrue("an error that it can't have");
}

}  // namespace

std::string_view unpack_layer_name(uint32_t index) {
  return index < kUnpackLayersCount ? kLayerNames[index] : "";
}

uint64_t unpack_memory(const UnpackLimits& limits) {
  const uint64_t entry = kTreeNode + 2 * std::min<uint64_t>(limits.name_max, kNameUsual);
  return std::min(kMemoryBase + limits.files_max * entry, kMemoryCeiling);
}

Result<UnpackMessage> check_message(UnpackMessage message, UnpackStep expected,
                                    const UnpackLimits& limits) {
  if (message.magic != kUnpackMagic) return untrue("it is no report");
  if (message.step == UnpackStep::failed) return error_of(message);
  if (message.step != expected) return untrue("it is not the one that was due");
  if (message.layers >> kUnpackLayersCount != 0) return untrue("unknown layers");
  if (expected == UnpackStep::done && (message.bytes > limits.bytes_max ||
                                       message.files > limits.files_max || message.files == 0)) {
    return untrue("numbers above the limits");
  }
  message.detail[sizeof message.detail - 1] = '\0';
  const std::string text = clean_text(message.detail);
  std::memset(message.detail, 0, sizeof message.detail);
  text.copy(message.detail, sizeof message.detail - 1);
  return message;
}

}  // namespace hearth
