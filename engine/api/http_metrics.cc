#include "api/http_metrics.h"

namespace hearth::api {

void append_http_metrics(const http::ServerStats& stats, MetricsText& out) {
  using Type = MetricsText::Type;
  out.gauge("hearth_http_connections", "Open client connections.",
            static_cast<double>(stats.connections));
  out.counter("hearth_http_accepted_total", "Connections accepted.", stats.accepted);
  out.counter("hearth_http_refused_connections_total", "Connections refused at the limit.",
              stats.refused_connections);
  out.counter("hearth_http_requests_total", "Complete requests.", stats.requests);
  out.family("hearth_http_responses_total", Type::counter, "Responses by class of status.");
  static constexpr std::string_view kClasses[] = {"", "1xx", "2xx", "3xx", "4xx", "5xx"};
  for (size_t i = 2; i < std::size(kClasses); ++i)
    out.sample({{"class", kClasses[i]}}, stats.responses_by_class[i]);
  out.counter("hearth_http_refused_requests_total",
              "Requests that the server itself refused: malformed, or past a limit.",
              stats.refused_requests);
  out.counter("hearth_http_timeouts_total",
              "Connections closed because a limit of time was reached.", stats.timeouts);
  out.counter("hearth_http_received_bytes_total", "Bytes read from clients.", stats.bytes_in);
  out.counter("hearth_http_sent_bytes_total", "Bytes written to clients.", stats.bytes_out);
}

}  // namespace hearth::api
