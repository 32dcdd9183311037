/* What the function answers; free of Hearth, so that test_reply.c can call it. */
#ifndef REPLY_H
#define REPLY_H
#include <stddef.h>

/* Writes the reply to `event`, which ends with a NUL, and returns its size; 0 if the event has no
 * order, or if `room` is too small for the reply. */
size_t make_reply(const char* event, char* reply, size_t room);

#endif
