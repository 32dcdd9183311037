/* What hostile native code tries. As a function it takes a JSON array of attempts without escapes,
 * ["read /etc/shadow", ..], and answers with an array of outcomes: "ok", the name of an errno, the
 * name of a signal, or a word of the attempt's own. "probe ATTEMPT.." does the same from a shell:
 * that is the control run, without any sandbox. Static: it needs nothing of the root it runs in. */
#define _GNU_SOURCE
#include "attempts_files.h"
#include "attempts_network.h"
#include "attempts_process.h"
#include "hearth_worker.h"

static const struct {
  const char* name;
  int (*run)(const char* argument);
} kAttempts[] = {
    {"sys", try_sys},
    {"ptrace", try_ptrace},
    {"vm_readv", try_vm_readv},
    {"kill", try_kill},
    {"kill_child", try_kill_child},
    {"prlimit", try_prlimit},
    {"affinity", try_affinity},
    {"unshare", try_unshare},
    {"clone", try_clone},
    {"clone3", try_clone3},
    {"int80", try_int80},
    {"tty", try_tty},
    {"set_mm", try_set_mm},
    {"setuid_file", try_setuid_file},
    {"nice", try_nice},
    {"realtime", try_realtime},
    {"raise", try_raise},
    {"forks", try_forks},
    {"threads", try_threads},
    {"status", try_status},
    {"memory", try_memory},
    {"mlock", try_mlock},
    {"read", try_read},
    {"stat", try_stat},
    {"list", try_list},
    {"create", try_create},
    {"open_rw", try_open_rw},
    {"open_w", try_open_w},
    {"put", try_put},
    {"mknod", try_mknod},
    {"symlink_read", try_symlink_read},
    {"hardlink", try_hardlink},
    {"fill", try_fill},
    {"inodes", try_inodes},
    {"sparse", try_sparse},
    {"fds", try_fds},
    {"contains", try_contains},
    {"shm_make", try_shm_make},
    {"shm_look", try_shm_look},
    {"shm_remove", try_shm_remove},
    {"sysv_make", try_sysv_make},
    {"sysv_look", try_sysv_look},
    {"sysv_remove", try_sysv_remove},
    {"mq", try_mq},
    {"exhaust", try_exhaust},
    {"memfd", try_memfd},
    {"inotify", try_inotify},
    {"connect", try_connect},
    {"fastopen", try_fastopen},
    {"fastopen_message", try_fastopen_message},
    {"udp", try_udp},
    {"socket", try_socket},
    {"unix", try_unix},
    {"abstract", try_abstract},
    {"sockopt", try_sockopt},
    {"flying_fds", try_flying_fds},
};

static void name_of_status(int status, char* to, size_t room) {
  if (WIFSIGNALED(status)) {
    snprintf(to, room, "SIG%s", sigabbrev_np(WTERMSIG(status)));
  } else if (WEXITSTATUS(status) == kSaid) {
    snprintf(to, room, "%s", said);
  } else if (WEXITSTATUS(status) == 0) {
    snprintf(to, room, "ok");
  } else {
    const char* name = strerrorname_np(WEXITSTATUS(status));
    snprintf(to, room, "%s", name == NULL ? "an unknown error" : name);
  }
}

/* Runs "NAME ARGUMENT" in a child and writes its outcome to `to`. */
static void attempt(const char* text, char* to, size_t room) {
  const size_t length = strcspn(text, " ");
  const char* argument = text[length] == ' ' ? text + length + 1 : "";
  for (size_t i = 0; i < sizeof kAttempts / sizeof *kAttempts; ++i) {
    if (strlen(kAttempts[i].name) != length || strncmp(text, kAttempts[i].name, length) != 0)
      continue;
    fflush(NULL);
    const pid_t pid = fork();
    if (pid < 0) {
      snprintf(to, room, "no fork: %s", strerrorname_np(errno));
      return;
    }
    if (pid == 0) _exit(kAttempts[i].run(argument));
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
    return name_of_status(status, to, room);
  }
  snprintf(to, room, "no such attempt");
}

static void handle(hearth_call* call, const char* event, size_t size, void* user) {
  static char reply[1 << 16], text[1024];
  size_t used = 1;
  (void)user;
  reply[0] = '[';
  const char* end = event + size;
  for (const char* at = event; (at = memchr(at, '"', (size_t)(end - at))) != NULL;) {
    const char* close = memchr(at + 1, '"', (size_t)(end - at - 1));
    if (close == NULL || (size_t)(close - at) > sizeof text) break;
    memcpy(text, at + 1, (size_t)(close - at - 1));
    text[close - at - 1] = '\0';
    char result[kTextMax + 16];
    attempt(text, result, sizeof result);
    if (used + sizeof result + 8 > sizeof reply) break;
    used += (size_t)snprintf(reply + used, sizeof reply - used, "%s\"%s\"", used == 1 ? "" : ",",
                             result);
    at = close + 1;
  }
  reply[used++] = ']';
  hearth_reply(call, reply, used);
}

int main(int argc, char** argv) {
  if (argc == 2 && strcmp(argv[1], "--euid") == 0) return geteuid() != getuid();
  said = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (said == MAP_FAILED) return 2;
  if (argc == 1) return hearth_worker_run(handle, NULL);
  for (int i = 1; i < argc; ++i) {
    char result[kTextMax + 16];
    attempt(argv[i], result, sizeof result);
    puts(result);
  }
  return 0;
}
