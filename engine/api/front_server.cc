// Apart from front.cc, so that tests with a responder of their own need no server.
#include "api/front.h"

namespace hearth::api {

void Front::attach(http::Server& server) {
  server_ = std::make_unique<ServerResponder>(server);
  attach(*server_);
}

}  // namespace hearth::api
