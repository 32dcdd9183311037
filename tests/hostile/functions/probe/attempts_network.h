/* Attempts against the network and sockets. */
#pragma once
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "attempt.h"

/* "ADDRESS PORT" of either family. */
static socklen_t address_of(const char* text, struct sockaddr_storage* to) {
  char host[128] = "";
  int port = 0;
  struct sockaddr_in* four = (struct sockaddr_in*)to;
  struct sockaddr_in6* six = (struct sockaddr_in6*)to;
  sscanf(text, "%127s %d", host, &port);
  memset(to, 0, sizeof *to);
  if (inet_pton(AF_INET6, host, &six->sin6_addr) == 1) {
    six->sin6_family = AF_INET6;
    six->sin6_port = htons((uint16_t)port);
    return sizeof *six;
  }
  if (inet_aton(host, &four->sin_addr) == 0) return 0; /* takes octal and decimal ones too */
  four->sin_family = AF_INET;
  four->sin_port = htons((uint16_t)port);
  return sizeof *four;
}
/* Waits at most a second for a connection that is on its way. */
static int connected(int fd, int result) {
  struct pollfd ready = {fd, POLLOUT, 0};
  int error = 0;
  socklen_t length = sizeof error;
  if (result == 0) return 0;
  if (errno != EINPROGRESS) return errno;
  if (poll(&ready, 1, 1000) <= 0) return ETIMEDOUT;
  getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
  return error;
}
static int try_connect(const char* text) {
  struct sockaddr_storage to;
  const socklen_t length = address_of(text, &to);
  const int fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (fd < 0) return errno;
  return connected(fd, connect(fd, (struct sockaddr*)&to, length));
}
static int try_fastopen(const char* text) {
  struct sockaddr_storage to;
  const socklen_t length = address_of(text, &to);
  const int fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (fd < 0) return errno;
  const ssize_t n = sendto(fd, "x", 1, MSG_FASTOPEN, (struct sockaddr*)&to, length);
  return connected(fd, n < 0 ? -1 : 0);
}
static int try_fastopen_message(const char* text) {
  struct sockaddr_storage to;
  struct iovec data = {(void*)"x", 1};
  struct msghdr message = {.msg_name = &to, .msg_iov = &data, .msg_iovlen = 1};
  message.msg_namelen = address_of(text, &to);
  const int fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (fd < 0) return errno;
  return connected(fd, sendmsg(fd, &message, MSG_FASTOPEN) < 0 ? -1 : 0);
}
static int try_udp(const char* text) {
  struct sockaddr_storage to;
  const socklen_t length = address_of(text, &to);
  const int fd = socket(to.ss_family, SOCK_DGRAM, 0);
  if (fd < 0) return errno;
  return outcome(sendto(fd, "x", 1, 0, (struct sockaddr*)&to, length));
}
static int try_socket(const char* text) {
  int family = 0, type = 0, protocol = 0;
  sscanf(text, "%d %d %d", &family, &type, &protocol);
  return outcome(socket(family, type, protocol));
}
static int try_unix(const char* path) {
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  strncpy(to.sun_path, path, sizeof to.sun_path - 1);
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  return fd < 0 ? errno : outcome(connect(fd, (struct sockaddr*)&to, sizeof to));
}
static int try_abstract(const char* name) {
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  const size_t length = strlen(name);
  memcpy(to.sun_path + 1, name, length);
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  const socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length);
  return fd < 0 ? errno : outcome(connect(fd, (struct sockaddr*)&to, size));
}
/* "LEVEL OPTION": an empty filter for SO_ATTACH_FILTER, a name for TCP_ULP, else 1. */
static int try_sockopt(const char* text) {
  static const char kNothing[16] = "espintcp";
  int level = 0, option = 0;
  sscanf(text, "%d %d", &level, &option);
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (fd < 0) return errno;
  return outcome(setsockopt(fd, level, option, kNothing, sizeof kNothing));
}
/* Sends descriptors into a socket that nobody reads: "MOST". */
static int try_flying_fds(const char* most) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair) != 0) return errno;
  for (int i = 0; i < atoi(most); ++i) {
    struct iovec data = {(void*)"x", 1};
    char control[CMSG_SPACE(sizeof(int))] = {0};
    struct msghdr message = {.msg_iov = &data,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    struct cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &pair[0], sizeof(int));
    if (sendmsg(pair[1], &message, 0) < 0) {
      if (errno != EAGAIN) return errno;
      if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair) != 0) return errno;
    }
  }
  return 0;
}
