// The ceiling of a front end: one thread, libuv and llhttp, no worker behind it. Finds "name" in
// the request's JSON and greets it. Buffers live with their connection; a turn of the loop answers
// everything that one read brought with one write.
#include <llhttp.h>
#include <signal.h>
#include <uv.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

namespace {

struct Connection {
  uv_tcp_t handle;
  llhttp_t parser;
  std::string body;
  std::string out;
  char buffer[65536];
};

llhttp_settings_t settings;

// The value of "name" in a flat JSON object; false when it is not there. Escapes are passed on as
// they are.
bool find_name(std::string_view json, std::string_view& name) {
  constexpr std::string_view kKey = "\"name\"";
  size_t at = json.find(kKey);
  if (json.empty() || json.front() != '{' || at == std::string_view::npos) return false;
  at = json.find_first_not_of(" \t\r\n", at + kKey.size());
  if (at == std::string_view::npos || json[at] != ':') return false;
  at = json.find_first_not_of(" \t\r\n", at + 1);
  if (at == std::string_view::npos || json[at] != '"') return false;
  size_t end = at + 1;
  while (end < json.size() && json[end] != '"') end += json[end] == '\\' ? 2 : 1;
  if (end >= json.size()) return false;
  name = json.substr(at + 1, end - at - 1);
  return true;
}

void append_number(std::string& out, size_t number) {
  char digits[20];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
}

void append_reply(Connection& connection) {
  constexpr std::string_view kBefore = "{\"message\":\"Hello ";
  constexpr std::string_view kAfter = "\"}";
  std::string_view name;
  if (!find_name(connection.body, name)) {
    connection.out += "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
    return;
  }
  connection.out += "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ";
  append_number(connection.out, kBefore.size() + name.size() + kAfter.size());
  connection.out += "\r\n\r\n";
  connection.out += kBefore;
  connection.out += name;
  connection.out += kAfter;
}

int on_message_begin(llhttp_t* parser) {
  static_cast<Connection*>(parser->data)->body.clear();
  return 0;
}

int on_body(llhttp_t* parser, const char* data, size_t size) {
  static_cast<Connection*>(parser->data)->body.append(data, size);
  return 0;
}

int on_message_complete(llhttp_t* parser) {
  append_reply(*static_cast<Connection*>(parser->data));
  return 0;
}

void on_close(uv_handle_t* handle) { delete static_cast<Connection*>(handle->data); }

void close_connection(Connection& connection) {
  auto* handle = reinterpret_cast<uv_handle_t*>(&connection.handle);
  if (!uv_is_closing(handle)) uv_close(handle, on_close);
}

void on_alloc(uv_handle_t* handle, size_t, uv_buf_t* out) {
  auto* connection = static_cast<Connection*>(handle->data);
  *out = uv_buf_init(connection->buffer, sizeof connection->buffer);
}

struct SlowWrite {
  uv_write_t request;
  std::string bytes;
};

// Nearly always the socket takes everything at once; what it does not take is queued.
void flush(Connection& connection) {
  auto* stream = reinterpret_cast<uv_stream_t*>(&connection.handle);
  uv_buf_t buffer =
      uv_buf_init(connection.out.data(), static_cast<unsigned>(connection.out.size()));
  const int written = uv_try_write(stream, &buffer, 1);
  const size_t taken = written > 0 ? static_cast<size_t>(written) : 0;
  if (taken < connection.out.size()) {
    auto* slow = new SlowWrite{{}, connection.out.substr(taken)};
    buffer = uv_buf_init(slow->bytes.data(), static_cast<unsigned>(slow->bytes.size()));
    slow->request.data = slow;
    uv_write(&slow->request, stream, &buffer, 1,
             [](uv_write_t* request, int) { delete static_cast<SlowWrite*>(request->data); });
  }
  connection.out.clear();
}

void on_read(uv_stream_t* stream, ssize_t size, const uv_buf_t* buffer) {
  auto& connection = *static_cast<Connection*>(stream->data);
  if (size == 0) return;
  if (size < 0 ||
      llhttp_execute(&connection.parser, buffer->base, static_cast<size_t>(size)) != HPE_OK) {
    close_connection(connection);
    return;
  }
  if (!connection.out.empty()) flush(connection);
}

void on_connection(uv_stream_t* server, int status) {
  if (status < 0) return;
  auto* connection = new Connection;
  uv_tcp_init(server->loop, &connection->handle);
  connection->handle.data = connection;
  llhttp_init(&connection->parser, HTTP_REQUEST, &settings);
  connection->parser.data = connection;
  auto* stream = reinterpret_cast<uv_stream_t*>(&connection->handle);
  if (uv_accept(server, stream) != 0) return close_connection(*connection);
  uv_tcp_nodelay(&connection->handle, 1);
  uv_read_start(stream, on_alloc, on_read);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: bare PORT\n");
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  llhttp_settings_init(&settings);
  settings.on_message_begin = on_message_begin;
  settings.on_body = on_body;
  settings.on_message_complete = on_message_complete;
  uv_tcp_t server;
  sockaddr_in address;
  uv_tcp_init(uv_default_loop(), &server);
  uv_ip4_addr("127.0.0.1", atoi(argv[1]), &address);
  int error = uv_tcp_bind(&server, reinterpret_cast<const sockaddr*>(&address), 0);
  if (error == 0) error = uv_listen(reinterpret_cast<uv_stream_t*>(&server), 1024, on_connection);
  if (error != 0) {
    fprintf(stderr, "bare: %s\n", uv_strerror(error));
    return 1;
  }
  return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
