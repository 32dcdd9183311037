#include "kit/kit.h"

#include <array>

#include "kit/content.h"

namespace hearth::kit {
namespace {

constexpr EventField kFields[] = {
    {"method", "METHOD", "The request's method"},
    {"path", "PATH", "The request's path, as it is sent: percent-encoded"},
    {"query", "QUERY", "The query, as it is sent: a=1&b=two%20words"},
    {"body", "TEXT", "The request's body"},
    {"bucket", "BUCKET", "The bucket's name"},
    {"topic", "TOPIC", "The topic's name"},
    {"key", "KEY", "s3: the object's key, not encoded; kafka: the record's key"},
    {"message", "TEXT", "The record's value, or the message's body"},
    {"type", "TYPE", "The CloudEvent's type"},
    {"data", "JSON", "The CloudEvent's data"},
};

constexpr std::string_view kHttp[] = {"method", "path", "query", "body"};
constexpr std::string_view kKafka[] = {"topic", "key", "message"};
constexpr std::string_view kS3[] = {"bucket", "key"};
constexpr std::string_view kSqs[] = {"message"};
constexpr std::string_view kCloudEvent[] = {"type", "data"};

Template make_template(std::string_view name, std::string_view runtime, std::string_view help) {
  const std::string_view test = runtime == "python3"  ? "python3 -m unittest"
                                : runtime == "nodejs" ? "node --test"
                                                      : "make test";
  return {name,
          runtime,
          help,
          test,
          /*built=*/runtime == "native",
          /*http=*/name.starts_with("http-"),
          template_files(name)};
}

template <class Items>
auto find(const Items& items, std::string_view name) -> decltype(&*items.begin()) {
  for (const auto& item : items)
    if (item.name == name) return &item;
  return nullptr;
}

}  // namespace

std::span<const Template> templates() {
  static const std::array kTemplates = {
      make_template("http-python", "python3", "answers HTTP requests, in Python"),
      make_template("http-node", "nodejs", "answers HTTP requests, in Node"),
      make_template("http-c", "native", "answers HTTP requests, in C"),
      make_template("event-python", "python3", "handles events, in Python"),
      make_template("event-node", "nodejs", "handles events, in Node"),
      make_template("event-c", "native", "handles events, in C"),
  };
  return kTemplates;
}

const Template* find_template(std::string_view name) { return find(templates(), name); }

std::span<const EventField> event_fields() { return kFields; }

std::span<const SampleEvent> sample_events() {
  static const std::array kEvents = {
      SampleEvent{"api-gateway-v2", "an HTTP request as a function's URL sends it (payload 2.0)",
                  event_file("api-gateway-v2"), kHttp},
      SampleEvent{"api-gateway-v1", "an HTTP request as a REST API sends it (payload 1.0)",
                  event_file("api-gateway-v1"), kHttp},
      SampleEvent{"kafka", "a batch of one record of a Kafka topic", event_file("kafka"), kKafka},
      SampleEvent{"s3", "an object was put into a bucket", event_file("s3"), kS3},
      SampleEvent{"sqs", "a batch of one message of a queue", event_file("sqs"), kSqs},
      SampleEvent{"scheduled", "a timer went off", event_file("scheduled"), {}},
      SampleEvent{"cloudevent", "a CloudEvent 1.0 in structured mode", event_file("cloudevent"),
                  kCloudEvent},
  };
  return kEvents;
}

const SampleEvent* find_sample_event(std::string_view name) { return find(sample_events(), name); }

}  // namespace hearth::kit
