/* What an attempt is: a function that returns 0, an errno, or kSaid after say(TEXT). Each runs in a
 * child process of its own, so it may crash, and leave what it likes open. */
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

enum { kSaid = 254, kTextMax = 256 };

/* Shared with the parent. */
static char* said;

static int say(const char* text) {
  snprintf(said, kTextMax, "%s", text);
  return kSaid;
}
static int outcome(long value) { return value < 0 ? errno : 0; }
