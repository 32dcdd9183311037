/* A program of version 1: built against the header as it was then (v1/hearth.h), run against the
 * library of today. It uses each family of functions, with structures of the size that they had. */
#include <hearth/hearth.h>
#include <stdio.h>
#include <string.h>

static int failures;

#define EXPECT(condition)                                                     \
  do {                                                                        \
    if (!(condition)) {                                                       \
      failures++;                                                             \
      fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
    }                                                                         \
  } while (0)

static void succeed(const char* what, hearth_error_t* error) {
  if (error == NULL) return;
  failures++;
  fprintf(stderr, "%s: %s: %s\n", what, hearth_error_name(error), hearth_error_message(error));
  hearth_error_free(error);
}

static int has_name(hearth_error_t* error, const char* name) {
  const int same = error != NULL && strcmp(hearth_error_name(error), name) == 0 &&
                   hearth_error_code(error) != 0 && hearth_error_message(error)[0] != '\0';
  hearth_error_free(error);
  return same;
}

static int is_text(hearth_bytes_t bytes, const char* text) {
  return bytes.size == strlen(text) && memcmp(bytes.data, text, bytes.size) == 0;
}

static hearth_bytes_t bytes_of(const char* text) {
  const hearth_bytes_t bytes = {text, strlen(text)};
  return bytes;
}

static hearth_request_t request_to(const char* function) {
  hearth_request_t request;
  HEARTH_INIT(&request);
  request.function = function;
  request.payload = bytes_of("{\"a\":1}");
  request.timeout_ms = 20000;
  return request;
}

/* Answers in two parts: the event comes back behind them. */
static void on_call(void* ctx, hearth_incoming_t* call, hearth_bytes_t event) {
  ++*(int*)ctx;
  if (is_text(event, "{\"a\":1}") && strlen(hearth_incoming_request_id(call)) == 36 &&
      hearth_incoming_remaining_ms(call) > 0) {
    hearth_incoming_reply(call, event);
  } else {
    hearth_incoming_fail(call, "Unexpected", "not the event that was sent");
  }
}

static void on_removed(void* ctx) { *(int*)ctx += 1000; }

struct ended {
  int count;
  int kind;
  size_t size;
};

static void on_done(void* ctx, const hearth_outcome_t* outcome) {
  struct ended* ended = ctx;
  ended->count++;
  ended->kind = outcome->kind;
  ended->size = outcome->payload.size;
  EXPECT(outcome->struct_size >= sizeof *outcome);
  EXPECT(strlen(outcome->request_id) == 36);
}

static void define_and_call(hearth_engine_t* engine, int* calls) {
  hearth_host_function_t function;
  HEARTH_INIT(&function);
  function.name = "own";
  function.handler = on_call;
  function.on_removed = on_removed;
  function.ctx = calls;
  succeed("define", hearth_function_define(engine, &function, 0));

  const hearth_request_t request = request_to("own");
  hearth_reply_t* reply = NULL;
  succeed("invoke", hearth_invoke(engine, &request, &reply));
  if (reply == NULL) return;
  EXPECT(hearth_reply_is_error(reply) == 0);
  EXPECT(is_text(hearth_reply_payload(reply), "{\"a\":1}"));
  EXPECT(hearth_reply_outcome(reply)->kind == HEARTH_REPLY);
  hearth_reply_release(reply);
  EXPECT(*calls == 1);
}

/* With a loop of the host's: one call, and one that is cancelled or has ended by then. */
static void step_calls(hearth_engine_t* engine) {
  struct ended first = {0, -1, 0}, second = {0, -1, 0};
  const hearth_request_t request = request_to("own");
  hearth_call_t* call = NULL;
  succeed("async", hearth_invoke_async(engine, &request, on_done, &first, NULL));
  succeed("stream", hearth_invoke_stream(engine, &request, NULL, on_done, &second, &call));
  hearth_call_cancel(call);
  for (int i = 0; i < 2000 && first.count + second.count < 2; i++)
    succeed("step", hearth_engine_step(engine, 10));
  hearth_call_release(call);
  EXPECT(first.count == 1 && first.kind == HEARTH_REPLY && first.size == 7);
  EXPECT(second.count == 1);
  EXPECT(hearth_engine_fd(engine) >= 0);
}

static void refusals(hearth_engine_t* engine) {
  const hearth_request_t request = request_to("nobody");
  hearth_reply_t* reply = NULL;
  EXPECT(has_name(hearth_invoke(engine, &request, &reply), "function_unknown"));
  EXPECT(has_name(hearth_function_remove(engine, "nobody", 0), "function_unknown"));
  hearth_source_t source;
  HEARTH_INIT(&source);
  EXPECT(has_name(hearth_function_load(engine, &source, 0, NULL), "invalid_parameter"));
}

/* The first 0 or more bytes of `text` hold the word. */
static void tells(hearth_error_t* error, hearth_text_t* text, const char* word) {
  succeed(word, error);
  if (text == NULL) return;
  EXPECT(strstr(hearth_text_data(text), word) != NULL);
  EXPECT(hearth_text_size(text) == strlen(hearth_text_data(text)));
  hearth_text_free(text);
}

static void texts(hearth_engine_t* engine) {
  hearth_text_t* text = NULL;
  hearth_error_t* error = hearth_engine_metrics(engine, 0, &text);
  tells(error, text, "hearth_");
  text = NULL;
  error = hearth_engine_functions(engine, 0, &text);
  tells(error, text, "own");
}

static void run(uint32_t flags) {
  hearth_options_t options;
  HEARTH_INIT(&options);
  options.flags = flags;
  options.log_level = HEARTH_LOG_ERROR;
  hearth_engine_t* engine = NULL;
  succeed("open", hearth_engine_open(&options, &engine));
  if (engine == NULL) return;
  EXPECT(hearth_engine_address(engine) == NULL);
  EXPECT(hearth_engine_sandbox(engine) != NULL);
  int calls = 0;
  define_and_call(engine, &calls);
  if (flags & HEARTH_HOST_DRIVEN) step_calls(engine);
  refusals(engine);
  texts(engine);
  succeed("remove", hearth_function_remove(engine, "own", 0));
  hearth_engine_drain(engine);
  succeed("close", hearth_engine_close(engine, 1000));
  EXPECT(calls > 1000);
}

int main(void) {
  EXPECT(hearth_abi_version() >= HEARTH_ABI_VERSION);
  EXPECT(hearth_version()[0] != '\0');
  run(0);
  run(HEARTH_HOST_DRIVEN);
  return failures == 0 ? 0 : 1;
}
