#include "sandbox/egress/stub.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

namespace hearth::sandbox::egress {
namespace {

constexpr int kQuestionsPerTurn = 16;
constexpr uint32_t kRounds = 2;  // over all resolvers

dns::Found nothing(dns::Rcode rcode) {
  dns::Found found{};
  found.rcode = rcode;
  return found;
}

}  // namespace

void Stub::on_readable(int64_t now_ms) {
  for (int i = 0; i < kQuestionsPerTurn; ++i) {
    uint8_t packet[dns::kUdpMax + 1];
    sockaddr_storage from;
    socklen_t size = sizeof from;
    const ssize_t n = recvfrom(socket_, packet, sizeof packet, MSG_DONTWAIT,
                               reinterpret_cast<sockaddr*>(&from), &size);
    if (n < 0) return;
    take({packet, static_cast<size_t>(n)}, from, size, now_ms);
  }
}

void Stub::take(std::span<const uint8_t> packet, const sockaddr_storage& from, socklen_t size,
                int64_t now_ms) {
  dns::Question question;
  const dns::Rcode rcode = dns::parse_question(packet, question);
  if (question.end == 0) return;
  if (rcode != dns::Rcode::kNoError) return reply(packet, question, nothing(rcode), from, size);
  if (!rules_.permits_name(question.name)) {
    // Not REFUSED, which libraries take for a passing trouble and ask again.
    reporter_.refused(Outcome::kDeniedName, question.name, now_ms);
    return reply(packet, question, nothing(dns::Rcode::kNoName), from, size);
  }
  // Other records of an allowed name: there are none.
  if (question.type != dns::kTypeA && question.type != dns::kTypeAaaa)
    return reply(packet, question, nothing(dns::Rcode::kNoError), from, size);
  dns::Found found{};
  if (from_hosts(question, found)) {
    for (size_t i = 0; i < found.count; ++i)
      rules_.remember(question.name, found.addresses[i], found.ttl, now_ms);
    reporter_.count(Outcome::kResolved);
    return reply(packet, question, found, from, size);
  }
  for (uint32_t i = 0; i < kQuestionsMax; ++i) {
    Asked& asked = asked_[i];
    if (asked.used) continue;
    asked.used = true;
    asked.tcp = false;
    asked.tries = 0;
    asked.from = from;
    asked.from_size = size;
    asked.question = question;
    memcpy(asked.packet, packet.data(), packet.size());
    asked.packet_size = packet.size();
    return ask(asked, i, now_ms);
  }
  reporter_.count(Outcome::kResolveFailed);
  reply(packet, question, nothing(dns::Rcode::kServerFailure), from, size);
}

void Stub::reply(std::span<const uint8_t> packet, const dns::Question& question,
                 const dns::Found& found, const sockaddr_storage& to, socklen_t size) {
  uint8_t out[dns::kUdpMax];
  const size_t length = dns::build_answer(packet, question, found, out);
  if (length == 0) return;
  // A worker that does not read loses its answers.
  (void)!sendto(socket_, out, length, MSG_DONTWAIT | MSG_NOSIGNAL,
                reinterpret_cast<const sockaddr*>(&to), size);
}

// The name is in the host's /etc/hosts: that is all there is of it.
bool Stub::from_hosts(const dns::Question& question, dns::Found& found) const {
  const Config& config = rules_.config();
  bool known = false;
  found.ttl = config.answer_seconds_min;
  for (size_t i = 0; i < config.hosts_count; ++i) {
    if (strcmp(config.hosts[i].name, question.name) != 0) continue;
    known = true;
    const Address& address = config.hosts[i].address;
    if (is_v4(address) == (question.type == dns::kTypeA) && found.count < dns::kAddressesMax)
      found.addresses[found.count++] = address;
  }
  return known;
}

void Stub::ask(Asked& asked, uint32_t index, int64_t now_ms) {
  const Config& config = rules_.config();
  asked.deadline_ms = now_ms + config.question_timeout_ms;
  if (config.resolvers_count == 0 || getrandom(&asked.id, sizeof asked.id, 0) != sizeof asked.id)
    return finish(asked, nothing(dns::Rcode::kServerFailure), now_ms);
  // A resolver that can't be reached at all: its time passes, and the next one is asked.
  if (!open_upstream(asked, index)) asked.socket.reset();
}

bool Stub::open_upstream(Asked& asked, uint32_t index) {
  const Config& config = rules_.config();
  const Resolver& resolver = config.resolvers[asked.tries % config.resolvers_count];
  const int family = is_v4(resolver.address) ? AF_INET : AF_INET6;
  asked.buffered = 0;
  asked.socket.reset(
      socket(family, (asked.tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!asked.socket.valid()) return false;
  sockaddr_storage to;
  const socklen_t size = to_sockaddr({resolver.address, resolver.port, 0}, family, to);
  // A connected socket takes answers from the resolver alone, on a port that the kernel chose at
  // random.
  if (connect(asked.socket.get(), reinterpret_cast<sockaddr*>(&to), size) != 0 &&
      errno != EINPROGRESS)
    return false;
  const uint32_t events = asked.tcp ? EPOLLOUT : EPOLLIN;
  if (!poller_.add(asked.socket.get(), Source::kQuestion, index, events)) return false;
  return asked.tcp || send_question(asked);
}

bool Stub::send_question(Asked& asked) {
  uint8_t out[dns::kUdpMax + 2];
  const size_t length = dns::build_question(asked.id, asked.question.name, asked.question.type,
                                            std::span(out).subspan(2));
  out[0] = static_cast<uint8_t>(length >> 8);
  out[1] = static_cast<uint8_t>(length);
  const size_t skip = asked.tcp ? 0 : 2;
  const ssize_t all = static_cast<ssize_t>(length + 2 - skip);
  return send(asked.socket.get(), out + skip, static_cast<size_t>(all),
              MSG_DONTWAIT | MSG_NOSIGNAL) == all;
}

void Stub::next_try(Asked& asked, uint32_t index, int64_t now_ms) {
  asked.socket.reset();
  asked.tcp = false;
  if (++asked.tries >= kRounds * rules_.config().resolvers_count)
    return finish(asked, nothing(dns::Rcode::kServerFailure), now_ms);
  ask(asked, index, now_ms);
}

void Stub::on_upstream(uint32_t index, uint32_t events, int64_t now_ms) {
  if (index >= kQuestionsMax) return;
  Asked& asked = asked_[index];
  // An event of a socket that this turn has closed already.
  if (!asked.used || !asked.socket.valid()) return;
  if (asked.tcp && (events & EPOLLOUT) != 0) {
    if (!send_question(asked)) return next_try(asked, index, now_ms);
    poller_.change(asked.socket.get(), Source::kQuestion, index, EPOLLIN);
    return;
  }
  if (asked.tcp) return read_stream(asked, index, now_ms);
  const ssize_t n = recv(asked.socket.get(), asked.buffer, dns::kAnswerMax, MSG_DONTWAIT);
  if (n < 0 && errno == EAGAIN) return;
  if (n < 0) return next_try(asked, index, now_ms);
  take_answer(asked, index, {asked.buffer, static_cast<size_t>(n)}, now_ms);
}

void Stub::read_stream(Asked& asked, uint32_t index, int64_t now_ms) {
  const ssize_t n = recv(asked.socket.get(), asked.buffer + asked.buffered,
                         sizeof asked.buffer - asked.buffered, MSG_DONTWAIT);
  if (n < 0 && errno == EAGAIN) return;
  if (n <= 0) return next_try(asked, index, now_ms);
  asked.buffered += static_cast<size_t>(n);
  if (asked.buffered < 2) return;
  const size_t wanted = static_cast<size_t>(asked.buffer[0]) << 8 | asked.buffer[1];
  if (wanted > dns::kAnswerMax) return next_try(asked, index, now_ms);
  if (asked.buffered < wanted + 2) return;
  take_answer(asked, index, {asked.buffer + 2, wanted}, now_ms);
}

void Stub::take_answer(Asked& asked, uint32_t index, std::span<const uint8_t> answer,
                       int64_t now_ms) {
  dns::Found found;
  if (!dns::parse_answer(answer, asked.id, asked.question.name, asked.question.type, found)) {
    // Over UDP it may be forged: the real one may still come. A stream brings nothing better.
    if (asked.tcp) next_try(asked, index, now_ms);
    return;
  }
  if (found.truncated) {
    if (asked.tcp) return next_try(asked, index, now_ms);
    asked.tcp = true;
    return ask(asked, index, now_ms);
  }
  const bool final = found.rcode == dns::Rcode::kNoError || found.rcode == dns::Rcode::kNoName;
  if (!final) return next_try(asked, index, now_ms);
  finish(asked, found, now_ms);
}

void Stub::finish(Asked& asked, const dns::Found& found, int64_t now_ms) {
  for (size_t i = 0; i < found.count; ++i)
    rules_.remember(asked.question.name, found.addresses[i], found.ttl, now_ms);
  reporter_.count(found.rcode == dns::Rcode::kNoError ? Outcome::kResolved
                                                      : Outcome::kResolveFailed);
  reply({asked.packet, asked.packet_size}, asked.question, found, asked.from, asked.from_size);
  asked.socket.reset();
  asked.used = false;
}

int Stub::check_deadlines(int64_t now_ms) {
  int64_t nearest = -1;
  for (uint32_t i = 0; i < kQuestionsMax; ++i) {
    if (asked_[i].used && asked_[i].deadline_ms <= now_ms) next_try(asked_[i], i, now_ms);
    if (!asked_[i].used) continue;
    const int64_t left = asked_[i].deadline_ms - now_ms;
    if (nearest < 0 || left < nearest) nearest = left;
  }
  return static_cast<int>(nearest);
}

}  // namespace hearth::sandbox::egress
