// _hearth_fork: the part of the generic zygote that Python can't say. A module of CPython's stable
// ABI, without its headers, so that one build serves every Python 3.7 or later: what is declared
// here of it is fixed by PEP 384. See generic_zygote.h.
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "sandbox/generic_zygote.h"
#include "sandbox/launch.h"

extern "C" {
struct PyObject;
using PyCFunction = PyObject* (*)(PyObject*, PyObject*);
struct PyMethodDef {
  const char* name;
  PyCFunction function;
  int flags;
  const char* doc;
};
// PyObject_HEAD: count and type, and what PyModuleDef_Base adds.
struct PyModuleDef {
  intptr_t count;
  void* type;
  PyObject* (*init)();
  intptr_t index;
  PyObject* copy;
  const char* name;
  const char* doc;
  intptr_t size;
  PyMethodDef* methods;
  void *slots, *traverse, *clear, *free;
};
PyObject* PyModule_Create2(PyModuleDef* definition, int api_version);
PyObject* PyLong_FromLong(long value);
void PyOS_BeforeFork();
void PyOS_AfterFork_Parent();
void PyOS_AfterFork_Child();
}

namespace hearth::sandbox {
namespace {

constexpr int kNoArguments = 0x0004;  // METH_NOARGS
constexpr int kStableApi = 3;         // PYTHON_ABI_VERSION
constexpr int kBroken = 70;

// The sealed plan, with its filters as launch() takes them.
struct Plan {
  const ZygotePlan* plan = nullptr;
  size_t size = 0;
  sock_fprog filters[3] = {};
};

bool map_plan(Plan& to) {
  const off_t size = lseek(kZygotePlan, 0, SEEK_END);
  if (size < static_cast<off_t>(sizeof(ZygotePlan))) return false;
  to.size = static_cast<size_t>(size);
  void* const at = mmap(nullptr, to.size, PROT_READ, MAP_PRIVATE, kZygotePlan, 0);
  if (at == MAP_FAILED) return false;
  to.plan = static_cast<const ZygotePlan*>(at);
  if (to.plan->magic != kZygoteMagic || to.plan->runtime >= to.plan->config.runtimes_count)
    return false;
  size_t offset = sizeof(ZygotePlan);
  for (size_t i = 0; i < 3; ++i) {
    const uint32_t length = to.plan->filters[i];
    if (length > BPF_MAXINSNS || offset + length * sizeof(sock_filter) > to.size) return false;
    // The kernel takes a pointer to what it only reads.
    auto* const code = const_cast<std::byte*>(static_cast<const std::byte*>(at)) + offset;
    to.filters[i] = {static_cast<unsigned short>(length), reinterpret_cast<sock_filter*>(code)};
    offset += length * sizeof(sock_filter);
  }
  return true;
}

// One message and its descriptors. The spawner is the only one that can send; whatever has another
// form than it sends is the end.
void receive(ZygoteStart& start, int (&fds)[kStartFds]) {
  iovec data{&start, sizeof start};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kStartFds)];
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t n;
  do {
    n = recvmsg(kZygoteControl, &message, MSG_CMSG_CLOEXEC);
  } while (n < 0 && errno == EINTR);
  if (n == 0) _exit(0);
  const cmsghdr* const rights = CMSG_FIRSTHDR(&message);
  if (n != sizeof start || start.magic != kZygoteMagic || start.code[kSha256Hex] != '\0' ||
      start.has_code > 1 || start.has_group > 1 || (message.msg_flags & MSG_CTRUNC) != 0)
    _exit(kBroken);
  const size_t count = start.has_group != 0 ? kStartFds : kStartGroup;
  if (rights == nullptr || rights->cmsg_level != SOL_SOCKET || rights->cmsg_type != SCM_RIGHTS ||
      rights->cmsg_len != CMSG_LEN(sizeof(int) * count))
    _exit(kBroken);
  fds[kStartGroup] = -1;
  memcpy(fds, CMSG_DATA(rights), sizeof(int) * count);
}

Launch launch_of(const Plan& plan, const ZygoteStart& start, const int (&fds)[kStartFds]) {
  const SpawnerConfig& config = plan.plan->config;
  Launch l{};
  l.config = &config;
  l.runtime = &config.runtimes[plan.plan->runtime];
  l.filter = &plan.filters[start.network == Network::kEgress ? 1 : 0];
  l.init_filter = &plan.filters[2];
  l.uid = start.uid;
  l.memory_bytes = start.memory_bytes;
  l.data_bytes = start.data_bytes;
  l.nproc = start.nproc;
  l.tmp_bytes = start.tmp_bytes;
  l.code = start.has_code != 0 ? start.code : nullptr;
  l.entry = "";
  l.channel = fds[kStartChannel];
  l.out = fds[kStartOut];
  l.err = fds[kStartErr];
  l.report = fds[kStartReport];
  l.status = fds[kStartStatus];
  l.lifeline = kZygoteLifeline;
  l.landlock = plan.plan->landlock;
  l.network = start.network;
  l.cgroup = fds[kStartGroup];
  l.own_mounts = kZygoteOwnMounts;
  return l;
}

void tell_failure(int report_fd) {
  const Failure failure = Failure::at("clone the zygote");
  Report report{Report::Kind::kFailed, failure.error, {}};
  copy_text(report.step, failure.step);
  [[maybe_unused]] const ssize_t n = send(report_fd, &report, sizeof report, MSG_NOSIGNAL);
}

// serve(): makes a sandbox for each message. Returns in their workers only, when they are confined;
// the interpreter's own thread is the only one.
PyObject* serve(PyObject*, PyObject*) {
  static Plan plan;
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 || !map_plan(plan)) _exit(kBroken);
  const ZygoteReady ready{kZygoteMagic};
  if (send(kZygoteControl, &ready, sizeof ready, MSG_NOSIGNAL) != sizeof ready) _exit(kBroken);
  while (true) {
    ZygoteStart start;
    int fds[kStartFds];
    receive(start, fds);
    const Launch l = launch_of(plan, start, fds);
    PyOS_BeforeFork();
    const pid_t init = launch(l);
    if (init == 0) {
      PyOS_AfterFork_Child();
      munmap(const_cast<ZygotePlan*>(plan.plan), plan.size);
      return PyLong_FromLong(0);
    }
    if (init < 0) tell_failure(fds[kStartReport]);
    PyOS_AfterFork_Parent();
    for (const int fd : fds)
      if (fd >= 0) close(fd);
  }
}

PyMethodDef g_methods[] = {{"serve", serve, kNoArguments, nullptr}, {}};
PyModuleDef g_module = {1,  nullptr,   nullptr, 0,       nullptr, "_hearth_fork", nullptr,
                        -1, g_methods, nullptr, nullptr, nullptr, nullptr};

}  // namespace
}  // namespace hearth::sandbox

extern "C" __attribute__((visibility("default"))) PyObject* PyInit__hearth_fork() {
  return PyModule_Create2(&hearth::sandbox::g_module, hearth::sandbox::kStableApi);
}
