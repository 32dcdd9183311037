// What the unpacker gives up before it reads the first byte of an archive. Changes the calling
// process, which must have one thread; for unpacker_main.cc only.
#pragma once
#include <cstdint>
#include <string>

#include "store/unpack_message.h"

namespace hearth {

struct Confinement {
  uint32_t layers = 0;       // UnpackLayer bits that are in force
  std::string missing = {};  // why the first other one is not; empty: all are
};

// Takes on every layer that can be had here. From here on the process reads descriptor kArchiveFd,
// makes files below kFolderFd, and writes kReportFd; any other system call kills it.
Confinement confine_unpacker(const UnpackOrder& order);

}  // namespace hearth
