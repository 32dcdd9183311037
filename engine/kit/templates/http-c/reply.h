/* What the function answers; free of Hearth, so that test_reply.c can call it. */
#ifndef REPLY_H
#define REPLY_H
#include <stddef.h>

/* Writes the reply to `event`, which ends with a NUL, and returns its size; 0 if `room` is too
 * small for it. */
size_t make_reply(const char* event, char* reply, size_t room);

#endif
