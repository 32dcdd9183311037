// hearth-unpacker: takes one archive apart that nobody vouches for. Started by unpack_process.cc
// with the descriptors of unpack_message.h; confines itself, hashes the archive, waits for the word
// to go on, unpacks. Ends with the engine. What it says is in unpack_message.h; its exit status
// says nothing.
#define OPENSSL_SUPPRESS_DEPRECATED  // the plain hash: EVP would bring all of OpenSSL with it
#include <errno.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <vector>

#include "sandbox/confine.h"
#include "store/files.h"
#include "store/unpack.h"
#include "store/unpack_confine.h"
#include "store/unpack_message.h"

namespace {

using namespace hearth;

constexpr int kNice = 10;  // calls go first
constexpr size_t kChunk = 128 * 1024;

UnpackMessage message_of(UnpackStep step) {
  UnpackMessage message{};
  message.magic = kUnpackMagic;
  message.step = step;
  return message;
}

void set_detail(UnpackMessage& message, std::string_view text) {
  text.copy(message.detail, sizeof message.detail - 1);
}

// A report that nobody takes: the engine is gone.
void report(const UnpackMessage& message) {
  if (::write(kReportFd, &message, sizeof message) != static_cast<ssize_t>(sizeof message))
    ::_exit(1);
}

[[noreturn]] void fail(Code code, std::string_view detail) {
  UnpackMessage message = message_of(UnpackStep::failed);
  message.code = static_cast<uint32_t>(code);
  set_detail(message, detail);
  report(message);
  ::_exit(1);
}

[[noreturn]] void out_of_memory() { fail(Code::unpack_failed, "it ran out of memory"); }

bool read_order(UnpackOrder& order) {
  return ::read(kLifelineFd, &order, sizeof order) == static_cast<ssize_t>(sizeof order) &&
         order.magic == kUnpackMagic;
}

void confine(const UnpackOrder& order) {
  const Confinement state = confine_unpacker(order);
  if (order.confined != 0 && !unpack_confined(state.layers)) {
    fail(Code::sandbox_unavailable,
         "the unpacker of archives can't confine itself: " + state.missing +
             "; sandbox.mode degraded or off goes without");
  }
  UnpackMessage message = message_of(UnpackStep::confined);
  message.layers = state.layers;
  set_detail(message, state.missing);
  report(message);
}

void hash() {
  SHA256_CTX context;
  SHA256_Init(&context);
  std::vector<char> chunk(kChunk);
  for (off_t at = 0;;) {
    const ssize_t n = ::pread(kArchiveFd, chunk.data(), chunk.size(), at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail(Code::io_failed, os_error("read the archive").detail);
    if (n == 0) break;
    SHA256_Update(&context, chunk.data(), static_cast<size_t>(n));
    at += n;
  }
  UnpackMessage message = message_of(UnpackStep::hashed);
  SHA256_Final(message.sha256, &context);
  report(message);
}

// SIGIO: the lifeline's other side has ended, or a sender was slow to tell of bytes that were read
// long ago.
void on_lifeline(int) {
  const int error = errno;
  char word = 0;
  if (::read(kLifelineFd, &word, 1) == 0) ::_exit(0);
  errno = error;
}

// From here on the end of the lifeline's other side raises SIGIO.
void wait_for_word() {
  char word = 0;
  if (::read(kLifelineFd, &word, 1) != 1) ::_exit(0);
  if (::fcntl(kLifelineFd, F_SETFL, O_ASYNC | O_NONBLOCK) != 0)
    fail(Code::io_failed, "watch the lifeline");
  if (::read(kLifelineFd, &word, 1) == 0) ::_exit(0);  // it ended before the signal was armed
}

void unpack(const UnpackLimits& limits) {
  const auto result = unpack_zip(kArchiveFd, kFolderFd, limits);
  if (!result) fail(result.error().code, result.error().detail);
  UnpackMessage message = message_of(UnpackStep::done);
  message.files = result->files;
  message.bytes = result->bytes;
  report(message);
}

}  // namespace

int main() {
  ::prctl(PR_SET_NAME, "hearth-unpacker", 0, 0, 0);
  // The lifeline is what counts: this one fires when the thread that started us ends.
  if (sandbox::die_with_parent(SIGKILL)) return 1;
  ::signal(SIGPIPE, SIG_IGN);
  ::setpriority(PRIO_PROCESS, 0, kNice);
  ::umask(0);
  std::set_new_handler(out_of_memory);
  UnpackOrder order{};
  if (!read_order(order)) return 1;
  struct sigaction action {};
  action.sa_handler = on_lifeline;
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGIO, &action, nullptr);
  ::fcntl(kLifelineFd, F_SETOWN, ::getpid());
  confine(order);
  hash();
  wait_for_word();
  unpack(order.limits);
  ::_exit(0);
}
