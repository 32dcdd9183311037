// What a refused request gets: the catalogue's status, Lambda's error shape. Used by both halves of
// the API. Allocates nothing, but for render_error().
#pragma once
#include <string_view>

#include "api/responder.h"
#include "base/request_id.h"
#include "base/result.h"

namespace hearth::api {

// Answers with the catalogue's status for `code`: X-Amzn-ErrorType, X-Amzn-RequestId,
// X-Hearth-Error (the catalogue's name), and the body
// {"Type":"User"|"Service","message":"...","Reason":"queue_full"} (Reason with 429 only; the key is
// "Message" for the errors where AWS spells it so). What may succeed later (429, 503) has
// Retry-After: 1. `detail` goes into the message, cut at 512 bytes. The detail of
// method_not_allowed is the list of the path's methods ("GET, HEAD"); it is the Allow header too.
void respond_error(Responder& responder, ConnectionId connection, const RequestId& request_id,
                   Code code, std::string_view detail);

// The same answer for a request that the HTTP server itself refuses. `detail` is in static storage.
void render_error(http::RefusalAnswer& answer, const RequestId& request_id, Code code,
                  std::string_view detail);

}  // namespace hearth::api
