/* A fake engine for measurements: starts a worker, keeps WINDOW calls in flight and counts what
 * comes back.
 *
 *   pump WINDOW SECONDS ROOT HANDLER EVENT COMMAND...
 *
 * Prints calls/s, the mean and p50 round trip, and the processor time of the worker a call. Pin it
 * with taskset; the worker inherits the mask.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { kHeader = 16, kBuffer = 1 << 20, kSamplesMax = 1 << 20 };

static uint8_t in[kBuffer], out[kBuffer];
static size_t in_size, out_size;
static double sent_at[65536];
static float samples[kSamplesMax];

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void header(uint32_t length, uint8_t type, uint32_t slot, uint32_t generation) {
  uint8_t* p = out + out_size;
  memcpy(p, &length, 4);
  p[4] = type;
  p[5] = 0;
  p[6] = p[7] = 0;
  memcpy(p + 8, &slot, 4);
  memcpy(p + 12, &generation, 4);
  out_size += kHeader;
}

static void put_call(const char* event, uint32_t slot, uint32_t generation) {
  size_t size = strlen(event);
  header((uint32_t)(24 + size), 0x02, slot, generation);
  double at = now();
  uint64_t deadline = (uint64_t)(at * 1e6) + 3000000;
  sent_at[slot] = at;
  memcpy(out + out_size, &deadline, 8);
  memset(out + out_size + 8, (int)slot, 16);
  memcpy(out + out_size + 24, event, size);
  out_size += 24 + size;
}

static void flush(int fd) {
  size_t at = 0;
  while (at < out_size) {
    ssize_t n = write(fd, out + at, out_size - at);
    if (n <= 0) exit(1);
    at += (size_t)n;
  }
  out_size = 0;
}

/* Returns the size of the first whole frame in `in` at `at`, or 0. */
static size_t whole(size_t at) {
  uint32_t length;
  if (in_size - at < kHeader) return 0;
  memcpy(&length, in + at, 4);
  return in_size - at < kHeader + length ? 0 : kHeader + length;
}

static void fill(int fd) {
  ssize_t n = read(fd, in + in_size, kBuffer - in_size);
  if (n <= 0) {
    fprintf(stderr, "pump: the worker closed its channel\n");
    exit(1);
  }
  in_size += (size_t)n;
}

static void expect(int fd, uint8_t type) {
  size_t size;
  while ((size = whole(0)) == 0) fill(fd);
  if (in[4] != type) {
    fprintf(stderr, "pump: got frame %02x: %.*s\n", in[4], (int)(size - kHeader), in + kHeader);
    exit(1);
  }
  memmove(in, in + size, in_size - size);
  in_size -= size;
}

static int compare(const void* a, const void* b) {
  float x = *(const float*)a, y = *(const float*)b;
  return (x > y) - (x < y);
}

static pid_t start(char** command, int* channel) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) exit(1);
  pid_t pid = fork();
  if (pid == 0) {
    close(pair[0]);
    if (pair[1] != 3) {
      dup2(pair[1], 3);
      close(pair[1]);
    }
    execv(command[0], command);
    _exit(127);
  }
  close(pair[1]);
  *channel = pair[0];
  return pid;
}

/* HELLO, INIT, READY; returns the seconds that loading took. */
static double load(int fd, const char* root, const char* handler) {
  expect(fd, 0x81);
  header(0, 0x01, 0, 0);
  int size =
      snprintf((char*)out + out_size, 4096,
               "{\"protocol\":1,\"function\":\"hello\",\"version\":\"$LATEST\",\"arn\":\"arn\","
               "\"handler\":\"%s\",\"root\":\"%s\",\"environment\":{},\"memory_mb\":128,"
               "\"timeout_ms\":3000,\"per_worker\":1}",
               handler, root);
  memcpy(out, &size, 4);
  out_size += (size_t)size;
  double begin = now();
  flush(fd);
  expect(fd, 0x82);
  return now() - begin;
}

struct Run {
  int window;
  const char* event;
  uint32_t generation;
  uint64_t replies;
  uint32_t samples;
  int counting;
  char first_reply[64];
};

/* Takes every whole frame of the buffer; each reply is followed by a new call. */
static void take_frames(struct Run* run) {
  double at_time = now();
  size_t at = 0, frame;
  for (; (frame = whole(at)) != 0; at += frame) {
    const uint8_t* p = in + at;
    uint32_t slot;
    if (p[4] != 0x84) continue;
    memcpy(&slot, p + 8, 4);
    if (p[5] != 0 || slot >= (uint32_t)run->window) {
      fprintf(stderr, "pump: bad reply: %.*s\n", (int)(frame - kHeader - 4), p + kHeader + 4);
      exit(1);
    }
    if (run->first_reply[0] == 0)
      snprintf(run->first_reply, sizeof run->first_reply, "%.*s", (int)(frame - kHeader - 4),
               p + kHeader + 4);
    if (run->counting) {
      run->replies++;
      if (run->samples < kSamplesMax) samples[run->samples++] = (float)(at_time - sent_at[slot]);
    }
    put_call(run->event, slot, ++run->generation);
  }
  memmove(in, in + at, in_size - at);
  in_size -= at;
}

int main(int argc, char** argv) {
  if (argc < 7) {
    fprintf(stderr, "usage: pump WINDOW SECONDS ROOT HANDLER EVENT COMMAND...\n");
    return 2;
  }
  struct Run run = {.window = atoi(argv[1]), .event = argv[5], .generation = 1};
  double seconds = atof(argv[2]), first = 0, counted_from = 0, end;
  int fd;
  pid_t pid = start(argv + 6, &fd);
  double loaded = load(fd, argv[3], argv[4]), begin = now();
  for (int i = 0; i < run.window; i++) put_call(run.event, (uint32_t)i, run.generation);
  for (;;) {
    flush(fd);
    fill(fd);
    end = now();
    if (first == 0) first = end - begin;
    take_frames(&run);
    if (!run.counting && end >= begin + seconds / 5) {
      run.counting = 1;
      counted_from = end;
    }
    if (run.counting && end >= counted_from + seconds) break;
  }
  kill(pid, SIGKILL);
  waitpid(pid, NULL, 0);
  struct rusage used;
  getrusage(RUSAGE_CHILDREN, &used);
  qsort(samples, run.samples, sizeof *samples, compare);
  double rate = (double)run.replies / (end - counted_from);
  printf(
      "%.0f calls/s, %.2f us a call, round trip p50 %.1f us p99 %.1f us; load %.2f ms, first call "
      "%.2f ms; worker's whole processor time %.2f s; reply %s\n",
      rate, 1e6 / rate, (double)samples[run.samples / 2] * 1e6,
      (double)samples[(uint64_t)run.samples * 99 / 100] * 1e6, loaded * 1e3, first * 1e3,
      (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
          (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e-6,
      run.first_reply);
  return 0;
}
