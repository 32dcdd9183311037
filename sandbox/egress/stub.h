// The name server on 127.0.0.1:53 of the sandbox. Takes questions of the worker, asks the resolvers
// of the host for names that the rules permit, and remembers in the rules what it answered.
#pragma once
#include "base/unique_fd.h"
#include "sandbox/egress/dns.h"
#include "sandbox/egress/poller.h"
#include "sandbox/egress/reporter.h"
#include "sandbox/egress/rules.h"

namespace hearth::sandbox::egress {

class Stub {
 public:
  // `socket`: UDP, non-blocking, bound in the sandbox's network namespace; stays the caller's.
  Stub(int socket, const Poller& poller, Rules& rules, Reporter& reporter)
      : socket_(socket), poller_(poller), rules_(rules), reporter_(reporter) {}

  void on_readable(int64_t now_ms);
  void on_upstream(uint32_t index, uint32_t events, int64_t now_ms);
  // Ends what waited too long. Returns the milliseconds to the next such end, or -1.
  int check_deadlines(int64_t now_ms);

 private:
  struct Asked {
    bool used = false;
    bool tcp = false;
    uint16_t id = 0;
    uint32_t tries = 0;
    int64_t deadline_ms = 0;
    UniqueFd socket;
    sockaddr_storage from;  // of the worker's question
    socklen_t from_size = 0;
    dns::Question question;
    uint8_t packet[dns::kUdpMax];  // the worker's question
    size_t packet_size = 0;
    uint8_t buffer[dns::kAnswerMax + 2];  // tcp: what came so far
    size_t buffered = 0;
  };

  void take(std::span<const uint8_t> packet, const sockaddr_storage& from, socklen_t size,
            int64_t now_ms);
  void reply(std::span<const uint8_t> packet, const dns::Question& question,
             const dns::Found& found, const sockaddr_storage& to, socklen_t size);
  bool from_hosts(const dns::Question& question, dns::Found& found) const;
  void ask(Asked& asked, uint32_t index, int64_t now_ms);
  bool open_upstream(Asked& asked, uint32_t index);
  bool send_question(Asked& asked);
  void next_try(Asked& asked, uint32_t index, int64_t now_ms);
  void take_answer(Asked& asked, uint32_t index, std::span<const uint8_t> answer, int64_t now_ms);
  void read_stream(Asked& asked, uint32_t index, int64_t now_ms);
  void finish(Asked& asked, const dns::Found& found, int64_t now_ms);

  int socket_;
  const Poller& poller_;
  Rules& rules_;
  Reporter& reporter_;
  Asked asked_[kQuestionsMax];
};

}  // namespace hearth::sandbox::egress
