/* A C program that calls a Python function: a blocking call, several at once, and what goes wrong.
 *
 *   embed_c FOLDER    the function's folder, here greet/
 */
#include <hearth/hearth.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CALLS = 4, TIMEOUT_MS = 10000 };

/* Prints what happened and what to do, and ends the program. */
static void check(const char* what, hearth_error_t* error) {
  if (error == NULL) return;
  fprintf(stderr, "%s: %s (%s)\n", what, hearth_error_message(error), hearth_error_name(error));
  hearth_error_free(error);
  exit(1);
}

static hearth_request_t request_to(const char* function, const char* json) {
  hearth_request_t request;
  HEARTH_INIT(&request);
  request.function = function;
  request.payload.data = json;
  request.payload.size = strlen(json);
  request.timeout_ms = TIMEOUT_MS;
  return request;
}

/* --- one call, which blocks ------------------------------------------------------------------- */

static void call_and_wait(hearth_engine_t* engine, const char* json) {
  const hearth_request_t request = request_to("greet", json);
  hearth_reply_t* reply = NULL;
  check("greet", hearth_invoke(engine, &request, &reply));
  const hearth_bytes_t payload = hearth_reply_payload(reply);
  /* A function that fails is an answer too: its payload tells the type, the message, the stack. */
  printf("%s: %.*s\n", hearth_reply_is_error(reply) ? "the function failed" : "reply",
         (int)payload.size, (const char*)payload.data);
  hearth_reply_release(reply);
}

/* --- several calls at once -------------------------------------------------------------------- */

struct batch {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  int running;
  int succeeded;
};

/* On the engine's thread: take what is needed and return. */
static void on_done(void* ctx, const hearth_outcome_t* outcome) {
  struct batch* batch = ctx;
  pthread_mutex_lock(&batch->lock);
  batch->running--;
  if (outcome->kind == HEARTH_REPLY) batch->succeeded++;
  pthread_cond_signal(&batch->changed);
  pthread_mutex_unlock(&batch->lock);
}

static void call_at_once(hearth_engine_t* engine) {
  struct batch batch = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, CALLS, 0};
  const hearth_request_t request = request_to("greet", "{\"name\": \"all\"}");
  for (int i = 0; i < CALLS; i++)
    check("greet", hearth_invoke_async(engine, &request, on_done, &batch, NULL));
  pthread_mutex_lock(&batch.lock);
  while (batch.running > 0) pthread_cond_wait(&batch.changed, &batch.lock);
  pthread_mutex_unlock(&batch.lock);
  printf("at once: %d of %d succeeded\n", batch.succeeded, CALLS);
}

/* --- an error of the platform ----------------------------------------------------------------- */

static void call_nobody(hearth_engine_t* engine) {
  const hearth_request_t request = request_to("nobody", "{}");
  hearth_reply_t* reply = NULL;
  hearth_error_t* error = hearth_invoke(engine, &request, &reply);
  if (error == NULL) {
    hearth_reply_release(reply);
    return;
  }
  printf("refused: %s, %s\n", hearth_error_name(error),
         hearth_error_retryable(error) ? "try again later" : "trying again won't help");
  hearth_error_free(error);
}

int main(int argc, char** argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: embed_c FOLDER\n");
    return 2;
  }
  /* No options: a thread of its own, a state folder of its own, no listener. */
  hearth_engine_t* engine = NULL;
  check("open", hearth_engine_open(NULL, &engine));

  hearth_source_t source;
  HEARTH_INIT(&source);
  source.folder = argv[1];
  source.name = "greet";
  check("load", hearth_function_load(engine, &source, 0, NULL));

  call_and_wait(engine, "{\"name\": \"C\"}");
  call_and_wait(engine, "{}"); /* no name: a KeyError in Python */
  call_at_once(engine);
  call_nobody(engine);
  check("close", hearth_engine_close(engine, 1000));
  return 0;
}
