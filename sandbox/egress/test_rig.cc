#include "sandbox/egress/test_rig.h"

#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <chrono>

#include "sandbox/confine.h"
#include "sandbox/egress/allow.h"
#include "sandbox/egress/hook.h"
#include "sandbox/filter.h"
#include "sandbox/policy.h"

extern "C" const std::byte hearth_blob_egress_agent_begin[], hearth_blob_egress_agent_end[];

namespace hearth::sandbox::egress {
namespace {

constexpr int kPatienceMs = 10'000;
constexpr int kWorkerPatienceMs = 60'000;
constexpr uint32_t kUid = 0x7000fff0;
// Whether the agent takes the worker's uid; else its user namespace.
bool g_real_root = true;

constexpr int kSentFds = 4;  // listener, stub, mounts, user namespace

[[noreturn]] void die(const char* what) {
  perror(what);
  abort();
}

std::vector<sock_filter> compiled(std::initializer_list<const char*> names) {
  Policy policy;
  std::string error;
  for (const char* name : names)
    if (!parse_policy(policy_text(name), policy_text, policy, error)) die(error.c_str());
  return compile_filter(policy);
}

bool readable(int fd, int timeout_ms) {
  pollfd poll_fd{fd, POLLIN, 0};
  return poll(&poll_fd, 1, timeout_ms) > 0;
}

void write_map(const char* path, unsigned inside, unsigned outside) {
  char text[32];
  const int length = snprintf(text, sizeof text, "%u %u 1", inside, outside);
  UniqueFd fd(open(path, O_WRONLY | O_CLOEXEC));
  if (write(fd.get(), text, static_cast<size_t>(length)) != length) die(path);
}

void run(const char* command) {
  if (system(command) != 0) die(command);
}

void start_world(int* ready) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) die("socketpair");
  const pid_t pid = fork();
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    close(ends[0]);
    if (unshare(CLONE_NEWNET) != 0 || write(ends[1], "n", 1) != 1) _exit(1);
    char number[16];
    snprintf(number, sizeof number, "%d", ends[1]);
    execlp("python3", "python3", HEARTH_INTERNET, number, nullptr);
    _exit(127);
  }
  close(ends[1]);
  fcntl(ends[0], F_SETFD, FD_CLOEXEC);
  char byte;
  if (read(ends[0], &byte, 1) != 1) die("the world outside");
  char command[128];
  snprintf(command, sizeof command,
           "ip link add inside type veth peer name outside && ip link set outside netns %d", pid);
  run(command);
  if (write(ends[0], "l", 1) != 1 || read(ends[0], &byte, 1) != 1) die("the world outside");
  *ready = ends[0];
}

void send_fds(int socket, const int (&fds)[kSentFds]) {
  char byte = 'x';
  iovec data{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof fds)] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof fds);
  memcpy(CMSG_DATA(header), fds, sizeof fds);
  if (sendmsg(socket, &message, 0) != 1) _exit(121);
}

void receive_fds(int socket, UniqueFd (&fds)[kSentFds]) {
  char byte;
  iovec data{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kSentFds)];
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) != 1 || CMSG_FIRSTHDR(&message) == nullptr)
    die("the worker did not start");
  int numbers[kSentFds];
  memcpy(numbers, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof numbers);
  for (int i = 0; i < kSentFds; ++i) fds[i].reset(numbers[i]);
}

// As launch.cc does, without what the broker can't see.
[[noreturn]] void be_worker(int gate, const std::vector<sock_filter>& code, bool host_network,
                            const std::function<int(Notes&)>& work, Notes& notes) {
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (unshare(CLONE_NEWNS | (host_network ? 0 : CLONE_NEWNET)) != 0) _exit(101);
  UniqueFd probe(socket(AF_INET, SOCK_DGRAM, 0)), stub, listener;
  ifreq request{};
  strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  if (host_network)
    stub.reset(open("/dev/null", O_RDONLY | O_CLOEXEC));
  else if (ioctl(probe.get(), SIOCSIFFLAGS, &request) != 0 || open_stub_socket(stub))
    _exit(102);
  UniqueFd mounts(open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC));
  if (!g_real_root && enter_own_user_namespace()) _exit(103);
  if (drop_privileges(g_real_root ? kUid : 0)) _exit(104);
  // Other ids clear it. A worker that outlived a dead test would hold the test's output open.
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  // exec does so; here there is none.
  prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
  UniqueFd user(open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC));
  const sock_fprog program{static_cast<unsigned short>(code.size()),
                           const_cast<sock_filter*>(code.data())};
  if (load_filter_with_listener(program, listener)) _exit(105);
  send_fds(gate, {listener.get(), stub.get(), mounts.get(), user.get()});
  for (UniqueFd* fd : {&probe, &stub, &listener, &mounts, &user}) fd->reset();
  char byte;
  if (read(gate, &byte, 1) != 1) _exit(106);
  close(gate);
  _exit(work(notes));
}

}  // namespace

bool is_real_root() { return g_real_root; }

bool enter_test_network() {
  static int ready = 0;
  if (ready != 0) return ready > 0;
  const unsigned uid = geteuid(), gid = getegid();
  if (uid != 0) {
    g_real_root = false;
    if (unshare(CLONE_NEWUSER) != 0) return ready = -1, false;
    UniqueFd deny(open("/proc/self/setgroups", O_WRONLY));
    if (write(deny.get(), "deny", 4) != 4) die("setgroups");
    write_map("/proc/self/uid_map", 0, uid);
    write_map("/proc/self/gid_map", 0, gid);
  }
  if (unshare(CLONE_NEWNET) != 0) return ready = -1, false;
  start_world(&ready);
  run("ip link set lo up && ip addr add 93.184.215.1/24 dev inside && ip addr add 10.9.0.1/24 dev "
      "inside && ip addr add 192.0.2.1/24 dev inside && ip -6 addr add 2606:2800:21f::1/64 dev "
      "inside nodad && ip link set inside up && ip route add default via 93.184.215.14");
  // Nobody answers there: packets arrive in the world outside and are dropped.
  run("ip neigh replace 93.184.215.66 lladdr 02:00:00:00:00:66 dev inside nud permanent");
  return true;
}

Rule rule(const char* text) {
  Rule out;
  const std::string wrong = parse_allow(text, out);
  if (!wrong.empty()) die(wrong.c_str());
  return out;
}

Config make_config(std::initializer_list<const char*> allow) {
  Config config = default_config();
  for (const char* text : allow) config.rules[config.rules_count++] = rule(text);
  if (!add_resolver("192.0.2.53", config).empty()) die("resolver");
  config.question_timeout_ms = 200;
  return config;
}

Rig::Rig(std::function<int(Notes&)> work, bool host_network) {
  static const std::vector<sock_filter> egress_code = compiled({"native", "egress"});
  static const std::vector<sock_filter> host_code = compiled({"native", "host"});
  static const std::vector<sock_filter> agent_code = compiled({"egress_agent"});
  static UniqueFd image, filter;
  if (!image.valid() &&
      (make_sealed("agent", {hearth_blob_egress_agent_begin, hearth_blob_egress_agent_end},
                   image) ||
       make_sealed("filter", std::as_bytes(std::span(agent_code)), filter)))
    die("memfd");
  notes = static_cast<Notes*>(
      mmap(nullptr, sizeof *notes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  int gate[2], engine[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, gate) != 0 ||
      socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, engine) != 0)
    die("socketpair");
  gate_.reset(gate[0]);
  engine_.reset(engine[0]);
  UniqueFd agent_end(engine[1]);
  worker_ = fork();
  if (worker_ == 0) {
    close(gate[0]);
    be_worker(gate[1], host_network ? host_code : egress_code, host_network, work, *notes);
  }
  close(gate[1]);
  UniqueFd fds[kSentFds];
  receive_fds(gate_.get(), fds);
  agent_ = start_agent({image.get(), filter.get(), fds[0].get(), host_network ? -1 : fds[1].get(),
                        agent_end.get(), fds[2].get(), !g_real_root ? fds[3].get() : -1,
                        g_real_root ? kUid : 0});
}

Rig::~Rig() {
  if (worker_ > 0) {
    ::kill(worker_, SIGKILL);
    waitpid(worker_, nullptr, 0);
  }
  if (agent_ > 0) {
    kill_agent();
  }
  munmap(notes, sizeof *notes);
}

void Rig::configure(const Config& config) {
  if (send(engine_.get(), &config, sizeof config, MSG_NOSIGNAL) != sizeof config) die("configure");
  go();
}

void Rig::go() {
  if (!gate_.valid()) return;
  if (send(gate_.get(), "g", 1, MSG_NOSIGNAL) != 1) die("go");
  gate_.reset();  // the worker closes its end: a second byte would be a SIGPIPE
}

int Rig::wait() {
  UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, worker_, 0)));
  if (!readable(pidfd.get(), kWorkerPatienceMs)) return -1;
  int status = 0;
  waitpid(worker_, &status, 0);
  worker_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

void Rig::kill_agent() {
  ::kill(agent_, SIGKILL);
  waitpid(agent_, nullptr, 0);
  agent_ = -1;
}

bool Rig::agent_ends() {
  UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, agent_, 0)));
  if (!readable(pidfd.get(), kPatienceMs)) return false;
  waitpid(agent_, nullptr, 0);
  agent_ = -1;
  return true;
}

Report Rig::report(const std::function<bool(const Report&)>& done) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatienceMs);
  while (std::chrono::steady_clock::now() < end && readable(engine_.get(), kPatienceMs)) {
    Report next;
    if (recv(engine_.get(), &next, sizeof next, 0) != sizeof next) break;
    last_ = next;
    if (done(next)) break;
  }
  return last_;
}

uint64_t Rig::counted(Outcome outcome, uint64_t least) {
  const auto value = [outcome](const Report& r) {
    return r.counters[static_cast<size_t>(outcome)];
  };
  if (value(last_) >= least) return value(last_);
  return value(report([&](const Report& r) { return value(r) >= least; }));
}

}  // namespace hearth::sandbox::egress
