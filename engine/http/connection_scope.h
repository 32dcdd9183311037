// Keeps a connection in its slot while a callback of it is on the stack. Internal to this folder.
#pragma once
#include "http/connection.h"

namespace hearth::http {

class Scope {
 public:
  explicit Scope(Connection& connection);
  ~Scope();  // the outermost one frees the slot of a connection that has closed
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

 private:
  Connection& connection_;
};

}  // namespace hearth::http
