#include "sandbox/test_rig.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "sandbox/blob.h"
#include "sandbox/policy.h"
#include "sandbox/probe.h"
#include "tests/catch.h"

namespace hearth::sandbox {
namespace {

constexpr int kPatienceMs = 10'000;
constexpr unsigned kNobody = 65534;

bool readable(int fd, int timeout_ms) {
  pollfd poll_fd{fd, POLLIN, 0};
  return poll(&poll_fd, 1, timeout_ms) > 0;
}

}  // namespace

bool running_as_root() { return geteuid() == 0; }

TempFolder::TempFolder() {
  char name[] = "/var/tmp/hearth-sandbox-XXXXXX";
  if (mkdtemp(name) == nullptr) abort();
  path_ = name;
  chmod(name, 0755);
}

TempFolder::~TempFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string code_hash(char digit) { return std::string(kSha256Hex, digit); }

std::string TestWorker::line() {
  std::string text;
  char c;
  while (readable(channel.get(), kPatienceMs) && read(channel.get(), &c, 1) == 1) {
    if (c == '\n') return text;
    text += c;
  }
  return {};
}

void TestWorker::send(const std::string& text) {
  const std::string full = text + "\n";
  if (::send(channel.get(), full.data(), full.size(), MSG_NOSIGNAL) < 0) channel.reset();
}

std::string TestWorker::attempt(const std::string& text) {
  send(text);
  const std::string reply = line();
  const size_t equals = reply.find('=');
  return equals == std::string::npos ? "no answer: " + reply : reply.substr(equals + 1);
}

Rig::Rig(Mode mode, uint32_t slots) {
  config = {};
  config.mode = mode;
  config.uid_base = 0x70000000;
  config.slots_max = slots;
  config.memory_max = 256u << 20;
  config.tmp_bytes = 8u << 20;
  config.tmp_max = 64u << 20;
  config.nofile = 256;
  config.nproc = 64;
  namespace fs = std::filesystem;
  for (const char* name : {"/code", "/shims", "/prefix", "/prefix/bin"})
    fs::create_directory(folder.path() + name);
  set_text(config.code_dir, folder.path() + "/code");
  set_text(config.shim_dir, folder.path() + "/shims");
  const std::string worker = folder.path() + "/prefix/bin/worker";
  fs::copy_file(HEARTH_TEST_WORKER, worker);
  add_runtime("native", worker, {});
  make_code('a', "hello.txt", "hello");
  make_code('b', "other.txt", "other");
}

Rig::~Rig() {
  control_.reset();
  lifeline_.reset();
  if (pidfd_.valid() && !spawner_ends(kPatienceMs)) ::kill(pid_, SIGKILL);
}

void Rig::make_code(char digit, const std::string& file, const std::string& text) {
  std::filesystem::create_directories(code_path(digit));
  std::ofstream(code_path(digit) + "/" + file) << text;
  // Open to everyone: what stops a worker from writing has to be the mount.
  chmod(code_path(digit).c_str(), 0777);
  chmod((code_path(digit) + "/" + file).c_str(), 0666);
}

std::string Rig::code_path(char digit) const { return folder.path() + "/code/" + code_hash(digit); }

uint32_t Rig::add_runtime(const char* name, const std::string& path,
                          const std::vector<std::string>& args) {
  RuntimeEntry& entry = config.runtimes[config.runtimes_count];
  set_text(entry.name, name);
  set_text(entry.path, path);
  entry.args_count = static_cast<uint8_t>(args.size());
  for (size_t i = 0; i < args.size(); ++i) set_text(entry.args[i], args[i]);
  return config.runtimes_count++;
}

// The spawner's program, with the line that is to be missing made a comment of the same length.
std::string Rig::image() const {
  std::string bytes(reinterpret_cast<const char*>(spawner_image().data()), spawner_image().size());
  const auto& [policy, line] = without_line;
  if (policy.empty()) return bytes;
  const std::string_view text = policy_text(policy);
  const size_t policy_at = bytes.find(text);
  const size_t line_at = ("\n" + std::string(text)).find("\n" + line + "\n");
  if (text.empty() || policy_at == bytes.npos || line_at == text.npos) abort();
  bytes[policy_at + line_at] = '#';
  return bytes;
}

void Rig::start_program(bool drop) {
  const std::string program = folder.path() + "/hearth-spawner";
  const std::string bytes = image();
  std::ofstream(program, std::ios::binary)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  chmod(program.c_str(), 0755);
  int control[2], lifeline[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control) != 0 ||
      pipe2(lifeline, O_CLOEXEC) != 0)
    abort();
  pid_ = ::fork();
  if (pid_ == 0) {
    for (const std::string& group : groups) {
      const UniqueFd procs(open((group + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC));
      if (write(procs.get(), "0", 1) != 1) _exit(125);
    }
    const int c = fcntl(control[1], F_DUPFD_CLOEXEC, 20),
              l = fcntl(lifeline[0], F_DUPFD_CLOEXEC, 20);
    if (drop &&
        (syscall(SYS_setgroups, 0, nullptr) != 0 || setresgid(kNobody, kNobody, kNobody) != 0 ||
         setresuid(kNobody, kNobody, kNobody) != 0))
      _exit(126);
    if (dup2(c, 3) != 3 || dup2(l, 4) != 4) _exit(126);
    char* argv[] = {const_cast<char*>("hearth-spawner"), nullptr};
    char* envp[] = {nullptr};
    execve(program.c_str(), argv, envp);
    _exit(127);
  }
  control_.reset(control[0]);
  lifeline_.reset(lifeline[1]);
  close(control[1]);
  close(lifeline[0]);
  pidfd_.reset(static_cast<int>(syscall(SYS_pidfd_open, pid_, 0)));
  config.header = {kSpawnerMagic, MessageType::kConfig};
  send_raw(&config, sizeof config);
}

void Rig::start() {
  const bool drop = config.mode == Mode::kUser && running_as_root() && as_nobody;
  if (drop || !without_line.first.empty()) {
    start_program(drop);
  } else {
    Result<SpawnerProcess> started = start_spawner(config);
    if (!started) {
      ready_error = started.error().message();
      return;
    }
    control_ = std::move(started->control);
    lifeline_ = std::move(started->lifeline);
    pidfd_ = std::move(started->pidfd);
    pid_ = started->pid;
  }
  SpawnerProcess view{UniqueFd(dup(control_.get())), UniqueFd(), UniqueFd(), pid_};
  Result<ReadyMessage> message = wait_ready(view, std::chrono::seconds(20));
  if (message)
    ready = *message;
  else
    ready_error = message.error().message();
}

void Rig::send_raw(const void* bytes, size_t size) {
  if (::send(control_.get(), bytes, size, MSG_NOSIGNAL) != static_cast<ssize_t>(size))
    ready_error = "send failed";
}

bool Rig::receive(std::vector<char>& message, std::vector<UniqueFd>& fds) {
  if (!readable(control_.get(), kPatienceMs)) return false;
  message.resize(4096);
  iovec data{message.data(), message.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kForkFds)];
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  const ssize_t n = recvmsg(control_.get(), &header, MSG_CMSG_CLOEXEC);
  if (n <= 0) return false;
  message.resize(static_cast<size_t>(n));
  if (const cmsghdr* rights = CMSG_FIRSTHDR(&header); rights != nullptr) {
    int numbers[kForkFds];
    const size_t count = (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    memcpy(numbers, CMSG_DATA(rights), sizeof(int) * count);
    fds.clear();
    for (size_t i = 0; i < count; ++i) fds.emplace_back(numbers[i]);
  }
  return true;
}

Answer Rig::wait_answer(UniqueFd (&fds)[kSpawnFds]) {
  std::vector<UniqueFd> received;
  const Answer answer = wait_answer(received);
  size_t next = 0;
  for (size_t i = 0; i < kSpawnFds && next < received.size(); ++i)
    if ((answer.fds >> i & 1) != 0) fds[i] = std::move(received[next++]);
  return answer;
}

Answer Rig::wait_answer(std::vector<UniqueFd>& fds) {
  std::vector<char> message;
  while (receive(message, fds)) {
    Answer answer{};
    ExitedMessage exited;
    if (message.size() == sizeof exited) {
      memcpy(&exited, message.data(), sizeof exited);
      exits_.push_back(exited);
    } else if (message.size() == sizeof answer) {
      memcpy(&answer, message.data(), sizeof answer);
      return answer;
    }
  }
  Answer none{};
  none.error = -1;
  return none;
}

SpawnRequest Rig::spawn_request(uint32_t slot, uint32_t runtime) const {
  SpawnRequest request{};
  request.header = {kSpawnerMagic, MessageType::kSpawn};
  request.slot = slot;
  request.generation = generation_;
  request.runtime = runtime;
  return request;
}

TestWorker Rig::spawn(uint32_t slot, uint32_t runtime, uint64_t memory, Network network) {
  SpawnRequest request = spawn_request(slot, runtime);
  request.memory_bytes = memory;
  request.network = static_cast<uint8_t>(network);
  return spawn(request);
}

TestWorker Rig::spawn(SpawnRequest request) {
  request.generation = ++generation_;
  send_raw(&request, sizeof request);
  UniqueFd fds[kSpawnFds];
  const Answer answer = wait_answer(fds);
  TestWorker worker;
  worker.slot = request.slot;
  worker.generation = generation_;
  worker.pid = answer.pid;
  worker.error = answer.error;
  worker.detail = answer.detail;
  worker.channel = std::move(fds[kFdChannel]);
  worker.out = std::move(fds[kFdStdout]);
  worker.err = std::move(fds[kFdStderr]);
  worker.egress = std::move(fds[kFdEgress]);
  worker.api = std::move(fds[kFdApi]);
  worker.warm = answer.warm != 0;
  return worker;
}

TestWorker Rig::spawn_zygote(uint32_t slot, uint32_t runtime) {
  ++generation_;
  SpawnRequest request = spawn_request(slot, runtime);
  request.family = 1;
  code_hash('a').copy(request.code, sizeof request.code);
  send_raw(&request, sizeof request);
  UniqueFd fds[kSpawnFds];
  const Answer answer = wait_answer(fds);
  TestWorker worker{slot, generation_, answer.pid, answer.error, answer.detail, {}, {}, {}};
  worker.channel = std::move(fds[kFdChannel]);
  worker.out = std::move(fds[kFdStdout]);
  worker.err = std::move(fds[kFdStderr]);
  return worker;
}

TestWorker Rig::fork(const TestWorker& zygote, uint32_t slot, const std::string& command) {
  ForkRequest request{{kSpawnerMagic, MessageType::kFork},
                      slot,
                      ++generation_,
                      zygote.slot,
                      zygote.generation,
                      0,
                      0};
  send_raw(&request, sizeof request);
  std::vector<UniqueFd> fds;
  const Answer answer = wait_answer(fds);
  TestWorker worker{slot, request.generation, 0, answer.error, answer.detail, {}, {}, {}};
  if (answer.error != 0) return worker;
  if (answer.header.type != MessageType::kForkEnds || fds.size() != kForkFds) {
    worker.error = -1;
    return worker;
  }
  std::string line = command + "\n";
  iovec data{line.data(), line.size()};
  constexpr size_t kFar = size_t{kForkFds} - size_t{kPlainFds};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kFar)] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* rights = CMSG_FIRSTHDR(&message);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof(int) * kFar);
  int far[kFar];
  for (size_t i = 0; i < kFar; ++i) far[i] = fds[kPlainFds + i].get();
  memcpy(CMSG_DATA(rights), far, sizeof far);
  if (sendmsg(zygote.channel.get(), &message, MSG_NOSIGNAL) < 0) worker.error = -1;
  worker.channel = std::move(fds[kFdChannel]);
  worker.out = std::move(fds[kFdStdout]);
  worker.err = std::move(fds[kFdStderr]);
  return worker;
}

void Rig::forked(TestWorker& worker) {
  std::vector<UniqueFd> fds;
  const Answer answer = wait_answer(fds);
  const bool ours = answer.header.type == MessageType::kSpawned && answer.slot == worker.slot &&
                    answer.generation == worker.generation && fds.empty();
  worker.pid = answer.pid;
  worker.error = ours ? answer.error : -1;
  worker.detail = answer.detail;
}

Answer Rig::assign(const TestWorker& worker, const std::string& hash, uint64_t memory) {
  AssignRequest request{};
  request.header = {kSpawnerMagic, MessageType::kAssign};
  request.slot = worker.slot;
  request.generation = worker.generation;
  request.memory_bytes = memory;
  hash.copy(request.code, sizeof request.code);
  send_raw(&request, sizeof request);
  UniqueFd fds[kSpawnFds];
  return wait_answer(fds);
}

void Rig::kill(const TestWorker& worker) {
  const KillRequest request{{kSpawnerMagic, MessageType::kKill}, worker.slot, worker.generation};
  send_raw(&request, sizeof request);
}

ExitedMessage Rig::wait_exit() {
  ExitedMessage exited{};
  if (exits_.empty()) {
    std::vector<char> message;
    std::vector<UniqueFd> fds;
    while (receive(message, fds)) {
      if (message.size() != sizeof exited) continue;
      memcpy(&exited, message.data(), sizeof exited);
      return exited;
    }
    exited.generation = 0xffffffff;
    return exited;
  }
  exited = exits_.front();
  exits_.erase(exits_.begin());
  return exited;
}

bool Rig::spawner_ends(int timeout_ms) {
  if (!pidfd_.valid() || !readable(pidfd_.get(), timeout_ms)) return false;
  siginfo_t info;
  const bool reaped =
      waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(pidfd_.get()), &info, WEXITED) == 0;
  pidfd_.reset();
  return reaped;
}

bool process_ends(int pid) {
  UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  return !pidfd.valid() || readable(pidfd.get(), kPatienceMs);
}

const char* mode_name(Mode mode) {
  const char* const names[] = {"off", "degraded", "user", "strict"};
  return names[static_cast<int>(mode)];
}

bool allowed(Mode mode) {
  static const Result<ProbeReport> report = probe();
  if (report && report->mode_works(mode)) return true;
  WARN("skipped: this machine doesn't allow mode " << mode_name(mode));
  return false;
}

}  // namespace hearth::sandbox
