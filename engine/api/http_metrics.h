// The HTTP server's counters as metrics.
#pragma once
#include "base/metrics_text.h"
#include "http/server.h"

namespace hearth::api {

void append_http_metrics(const http::ServerStats& stats, MetricsText& out);

}  // namespace hearth::api
