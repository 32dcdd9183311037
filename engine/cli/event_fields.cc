#include "cli/event_fields.h"

#include <fmt/core.h>
#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "api/percent.h"
#include "base/base64.h"
#include "base/json_text.h"
#include "cli/json_problem.h"

namespace hearth::cli {
namespace {

using json = nlohmann::ordered_json;  // an event keeps the order of its file
using Fields = std::map<std::string, std::string>;

constexpr size_t kMethodMax = 32;

Error wrong(std::string detail) { return Error{Code::usage, std::move(detail)}; }

const std::string* field(const Fields& fields, const char* name) {
  const auto found = fields.find(name);
  return found == fields.end() ? nullptr : &found->second;
}

bool is_text(std::string_view bytes) { return json_escaped_size(bytes).has_value(); }

std::string decoded(std::string_view encoded) {
  std::string text(encoded.size(), '\0');
  text.resize(api::percent_decode(text.data(), encoded, api::Plus::space));
  return text;
}

// What the body is taken for when nobody says.
std::string_view content_type(const std::string& body) {
  if (!is_text(body)) return "application/octet-stream";
  return json::accept(body) ? "application/json" : "text/plain; charset=utf-8";
}

Result<std::string> method_of(const Fields& fields) {
  const std::string* given = field(fields, "method");
  if (given == nullptr) {
    const std::string* body = field(fields, "body");
    return std::string(body != nullptr && !body->empty() ? "POST" : "GET");
  }
  std::string method = *given;
  for (char& c : method) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  const bool letters =
      std::all_of(method.begin(), method.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
  if (!letters || method.empty() || method.size() > kMethodMax)
    return wrong(fmt::format("--method: '{}' is not a method, such as GET or POST", *given));
  return method;
}

Status check_path(const std::string* path) {
  if (path == nullptr) return ok();
  const bool plain = std::all_of(path->begin(), path->end(),
                                 [](char c) { return c > ' ' && c < 127 && c != '?' && c != '#'; });
  if (plain && path->starts_with('/')) return ok();
  return wrong(fmt::format(
      "--path: '{}' is not a path as it is sent: it starts with '/', other characters are "
      "percent-encoded, and the query is --query's",
      *path));
}

Status check_query(const std::string* query) {
  if (query == nullptr) return ok();
  if (query->find_first_of(" #\n\r\t") != std::string::npos || query->starts_with('?'))
    return wrong(
        fmt::format("--query: '{}' is not a query as it is sent: write a=1&b=two%20words", *query));
  return ok();
}

// Members of one name become one, with the values in their order.
std::vector<std::pair<std::string, std::vector<std::string>>> query_values(std::string_view query) {
  std::vector<std::pair<std::string, std::vector<std::string>>> values;
  api::QueryPair pair;
  while (api::next_query_pair(query, pair)) {
    const std::string key = decoded(pair.key);
    auto found =
        std::find_if(values.begin(), values.end(), [&](const auto& v) { return v.first == key; });
    if (found == values.end()) found = values.insert(found, {key, {}});
    found->second.push_back(decoded(pair.value));
  }
  return values;
}

void put_body(json& event, const std::string& body) {
  event["body"] = is_text(body) ? body : base64_encode(body);
  event.erase("isBase64Encoded");
  event["isBase64Encoded"] = !is_text(body);
}

Status fill_v2(json& event, const Fields& fields) {
  json& http = event["requestContext"]["http"];
  http["method"] = HEARTH_TRY(method_of(fields));
  if (const std::string* path = field(fields, "path")) event["rawPath"] = http["path"] = *path;
  if (const std::string* query = field(fields, "query")) {
    event["rawQueryString"] = *query;
    json& parameters = event["queryStringParameters"];
    parameters.clear();
    for (const auto& [key, values] : query_values(*query))
      parameters[key] = fmt::format("{}", fmt::join(values, ","));
    if (parameters.empty()) event.erase("queryStringParameters");
  }
  const std::string* body = field(fields, "body");
  if (body == nullptr || body->empty()) return ok();
  event["headers"]["content-length"] = std::to_string(body->size());
  event["headers"]["content-type"] = content_type(*body);
  put_body(event, *body);
  return ok();
}

void put_path_v1(json& event, const std::string& path) {
  json& context = event["requestContext"];
  const bool root = path == "/";
  const std::string resource = root ? "/" : "/{proxy+}";
  event["path"] = path;
  event["resource"] = context["resourcePath"] = resource;
  event["pathParameters"] = root ? json(nullptr) : json{{"proxy", path.substr(1)}};
  context["path"] = fmt::format("/{}{}", context["stage"].get<std::string>(), path);
}

Status fill_v1(json& event, const Fields& fields) {
  event["httpMethod"] = event["requestContext"]["httpMethod"] = HEARTH_TRY(method_of(fields));
  if (const std::string* path = field(fields, "path")) put_path_v1(event, *path);
  if (const std::string* query = field(fields, "query")) {
    json& last = event["queryStringParameters"] = nullptr;
    json& all = event["multiValueQueryStringParameters"] = nullptr;
    for (const auto& [key, values] : query_values(*query)) {
      last[key] = values.back();
      all[key] = values;
    }
  }
  const std::string* body = field(fields, "body");
  if (body == nullptr || body->empty()) return ok();
  const auto header = [&](const char* name, std::string value) {
    event["multiValueHeaders"][name] = json::array({value});
    event["headers"][name] = std::move(value);
  };
  header("Content-Length", std::to_string(body->size()));
  header("Content-Type", std::string(content_type(*body)));
  put_body(event, *body);
  return ok();
}

Status fill_kafka(json& event, const Fields& fields) {
  json record = event["records"].front().front();
  if (const std::string* topic = field(fields, "topic")) {
    if (topic->empty() || !is_text(*topic)) return wrong("--topic: a topic has a name");
    record["topic"] = *topic;
  }
  if (const std::string* key = field(fields, "key")) record["key"] = base64_encode(*key);
  if (const std::string* value = field(fields, "message")) record["value"] = base64_encode(*value);
  const std::string partition =
      fmt::format("{}-{}", record["topic"].get<std::string>(), record["partition"].get<int>());
  event["records"] = json::object({{partition, json::array({record})}});
  return ok();
}

// As S3 writes keys: a space is '+', and a '/' stays.
std::string key_encoded(std::string_view key) {
  std::string out;
  for (const char c : key) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view("-_.*/").find(c) != std::string_view::npos;
    if (plain) {
      out += c;
    } else {
      out += c == ' ' ? "+" : fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

Status fill_s3(json& event, const Fields& fields) {
  json& s3 = event["Records"][0]["s3"];
  if (const std::string* bucket = field(fields, "bucket")) {
    if (bucket->empty() || !is_text(*bucket)) return wrong("--bucket: a bucket has a name");
    s3["bucket"]["name"] = *bucket;
    s3["bucket"]["arn"] = "arn:aws:s3:::" + *bucket;
  }
  if (const std::string* key = field(fields, "key")) {
    if (key->empty()) return wrong("--key: an object has a key");
    s3["object"]["key"] = key_encoded(*key);
  }
  return ok();
}

std::string md5_hex(std::string_view bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  size_t size = 0;
  if (EVP_Q_digest(nullptr, "MD5", nullptr, bytes.data(), bytes.size(), digest.data(), &size) != 1)
    size = 0;
  std::string hex;
  for (size_t i = 0; i < size; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

Status fill_sqs(json& event, const Fields& fields) {
  const std::string* message = field(fields, "message");
  if (message == nullptr) return ok();
  if (!is_text(*message)) return wrong("--message: a message of this queue is UTF-8 text");
  event["Records"][0]["body"] = *message;
  event["Records"][0]["md5OfBody"] = md5_hex(*message);
  return ok();
}

Status fill_cloudevent(json& event, const Fields& fields) {
  if (const std::string* type = field(fields, "type")) {
    if (type->empty() || !is_text(*type)) return wrong("--type: a CloudEvent has a type");
    event["type"] = *type;
  }
  const std::string* data = field(fields, "data");
  if (data == nullptr) return ok();
  json value = json::parse(*data, nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded())
    return wrong(fmt::format("--data: it is not JSON: {}; text needs its quotes: --data '\"text\"'",
                             json_problem(*data)));
  event["data"] = std::move(value);
  return ok();
}

struct Filler {
  std::string_view event;
  Status (*fill)(json&, const Fields&);
};
constexpr Filler kFillers[] = {{"api-gateway-v2", fill_v2}, {"api-gateway-v1", fill_v1},
                               {"kafka", fill_kafka},       {"s3", fill_s3},
                               {"sqs", fill_sqs},           {"cloudevent", fill_cloudevent}};

std::string options_of(const kit::SampleEvent& event) {
  if (event.fields.empty()) return "it has none";
  std::string text;
  for (const std::string_view name : event.fields)
    text += fmt::format("{}--{}", text.empty() ? "" : ", ", name);
  return "it has " + text;
}

}  // namespace

Result<std::string> fill_event(const kit::SampleEvent& event, const Fields& fields) {
  if (fields.empty()) return std::string(event.json);
  for (const auto& [name, value] : fields) {
    if (std::find(event.fields.begin(), event.fields.end(), name) == event.fields.end())
      return wrong(
          fmt::format("the event {} has no --{}: {}", event.name, name, options_of(event)));
  }
  HEARTH_TRY(check_path(field(fields, "path")));
  HEARTH_TRY(check_query(field(fields, "query")));
  json filled = json::parse(event.json);
  for (const Filler& filler : kFillers) {
    if (filler.event == event.name) HEARTH_TRY(filler.fill(filled, fields));
  }
  return filled.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace hearth::cli
