// Package worker runs a function of Hearth's runtime "native" in Go: it speaks ../../protocol.md on descriptor 3.
//
//	func main() {
//		worker.Run(func(ctx context.Context, event []byte) (any, error) {
//			return map[string]string{"message": "Hello"}, nil
//		})
//	}
//
// A handler returns what encoding/json takes, a json.RawMessage or []byte that is sent as it is, or an io.Reader, which is streamed: what each
// Read gives goes out at once. It may be called from several goroutines at a time, as many as concurrency.per_worker says. Its context ends with
// the call's deadline, or when nobody waits for the call any more.
package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"runtime/debug"
	"strings"
	"time"
)

// Handler answers one call.
type Handler func(ctx context.Context, event []byte) (any, error)

// Level is that of a line in the function's log.
type Level uint16

const (
	Plain Level = iota
	Debug
	Info
	Warning
	Error
	Critical
)

// Call is what a handler may want to know of its call; FromContext gives it.
type Call struct {
	RequestID string
	HTTP      bool            // the event has the API Gateway v2.0 shape
	Extension json.RawMessage // {"clientContext", "traceId", "arn"}, each optional; nil when there is none
	Function  string
	Version   string
	ARN       string

	id       callID
	event    []byte
	whole    bool
	deadline time.Time
	cancel   context.CancelFunc
	unwanted bool
	credit   int // reply bytes that may be sent now
	worker   *worker
}

type contextKey struct{}

// FromContext returns the call of a handler's context, nil for any other.
func FromContext(ctx context.Context) *Call {
	call, _ := ctx.Value(contextKey{}).(*Call)
	return call
}

// Logf writes lines into the function's log, with the call's request id. Safe from any goroutine, until the handler has returned.
func (c *Call) Logf(level Level, format string, arguments ...any) {
	c.worker.log(c.id, level, fmt.Sprintf(format, arguments...))
}

// Logf writes lines that belong to no call.
func Logf(level Level, format string, arguments ...any) {
	if running != nil {
		running.log(callID{}, level, fmt.Sprintf(format, arguments...))
	}
}

// TypedError is an error that names its type to the caller (errorType); of others it is the name of their Go type.
type TypedError interface {
	error
	ErrorType() string
}

var running *worker

// Run serves calls until the engine ends it; it does not return.
func Run(handler Handler) { RunInit(nil, handler) }

// RunInit is Run with a function that runs when the environment and the working directory are the function's own. Its error is why the function
// can't serve.
func RunInit(init func() error, handler Handler) {
	running = newWorker(os.NewFile(3, "engine"), init, handler)
	running.serve()
}

const (
	partMax   = 65_536
	windowMax = 262_144
	replyMax  = 6*1024*1024 + 100
)

type errorReply struct {
	Message string   `json:"errorMessage"`
	Type    string   `json:"errorType"`
	Stack   []string `json:"stackTrace"`
}

func encodeError(kind, message string, stack []string) []byte {
	if stack == nil {
		stack = []string{}
	}
	text, _ := json.Marshal(errorReply{message, kind, stack})
	return text
}

func errorType(err error) string {
	var typed TypedError
	if errors.As(err, &typed) {
		return typed.ErrorType()
	}
	kind := reflect.TypeOf(err)
	if kind.Kind() == reflect.Pointer {
		kind = kind.Elem()
	}
	return kind.Name()
}

// execute runs one call to its reply.
func (w *worker) execute(call *Call) {
	began := time.Now()
	ctx, cancel := context.WithDeadline(context.WithValue(context.Background(), contextKey{}, call), call.deadline)
	defer cancel()
	w.begin(call, cancel)
	result, err := w.guarded(ctx, call)
	if reader, streams := result.(io.Reader); streams && err == nil {
		w.stream(call, reader)
	} else {
		text, failed := w.encode(result, err)
		if len(text) > replyMax {
			text, failed = encodeError("Function.ResponseSizeTooLarge", fmt.Sprintf("the reply has %d bytes, %d are allowed", len(text), replyMax), nil), true
		}
		if failed {
			w.logError(call, text)
		}
		w.logs.mark(w, call.id)
		w.reply(call, time.Since(began), text, failed)
	}
	w.end(call)
}

// guarded calls the handler; a panic is an error, and the worker goes on.
func (w *worker) guarded(ctx context.Context, call *Call) (result any, err error) {
	defer func() {
		if reason := recover(); reason != nil {
			result, err = nil, &panicked{fmt.Sprint(reason), strings.Split(strings.TrimSpace(string(debug.Stack())), "\n")}
		}
	}()
	return w.handler(ctx, call.event)
}

type panicked struct {
	reason string
	stack  []string
}

func (p *panicked) Error() string     { return "panic: " + p.reason }
func (p *panicked) ErrorType() string { return "Panic" }

func (w *worker) encode(result any, err error) ([]byte, bool) {
	if err != nil {
		var stack []string
		if p, ok := err.(*panicked); ok {
			stack = p.stack
		}
		return encodeError(errorType(err), err.Error(), stack), true
	}
	if raw, is := result.([]byte); is {
		return raw, false
	}
	text, err := json.Marshal(result)
	if err != nil {
		return encodeError("Runtime.MarshalError", err.Error(), nil), true
	}
	return text, false
}

func (w *worker) logError(call *Call, text []byte) {
	var reply errorReply
	if json.Unmarshal(text, &reply) == nil {
		w.log(call.id, Error, strings.Join(append([]string{"[ERROR] " + reply.Type + ": " + reply.Message}, reply.Stack...), "\n"))
	}
}

// stream sends what each Read gives. Before its first byte a failure is an error like any other.
func (w *worker) stream(call *Call, from io.Reader) {
	if closer, is := from.(io.Closer); is {
		defer closer.Close()
	}
	kind, flags := byte(frameReply), byte(flagStream)
	buffer := make([]byte, partMax)
	for {
		room := partMax
		head := 0
		if kind == frameReply {
			head = 4
		}
		n, err := from.Read(buffer[:room-head])
		if n > 0 || (err == io.EOF && kind == frameReply) {
			w.part(call, kind, flags|flagMore, 0, buffer[:n])
			w.flush()
			kind, flags = frameChunk, 0
		}
		if err == io.EOF {
			w.logs.mark(w, call.id)
			w.part(call, frameChunk, 0, 0, nil)
			return
		}
		if err != nil {
			text := encodeError(errorType(err), err.Error(), nil)
			w.logError(call, text)
			w.logs.mark(w, call.id)
			w.part(call, kind, flagError, 0, text)
			return
		}
	}
}
