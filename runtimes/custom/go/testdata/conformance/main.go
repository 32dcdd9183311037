// The function that the conformance tests run: what it does depends on the event's "do".
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	worker "hearth.local/worker"
)

type valueError string

func (e valueError) Error() string     { return string(e) }
func (e valueError) ErrorType() string { return "ValueError" }

type parts struct {
	left []string
	end  error
}

func (p *parts) Read(to []byte) (int, error) {
	if len(p.left) == 0 {
		return 0, p.end
	}
	n := copy(to, p.left[0])
	p.left = p.left[1:]
	return n, nil
}

func spin(d time.Duration) {
	for began := time.Now(); time.Since(began) < d; {
	}
}

func handle(ctx context.Context, raw []byte) (any, error) {
	var event struct{ Do, Name string }
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &event); err != nil {
			return nil, err
		}
	}
	call := worker.FromContext(ctx)
	switch event.Do {
	case "error":
		return nil, valueError("no \"good\"\n")
	case "panic":
		panic("out of cheese")
	case "sleep":
		time.Sleep(600 * time.Millisecond)
		return "slept", nil
	case "nap":
		time.Sleep(40 * time.Millisecond)
		return "slept", nil
	case "spin":
		spin(600 * time.Millisecond)
		return "spun", nil
	case "whirl":
		spin(40 * time.Millisecond)
		return "spun", nil
	case "wait":
		<-ctx.Done()
		return ctx.Err().Error(), nil
	case "log":
		call.Logf(worker.Warning, "line %d\nline %d", 1, 2)
		return 1, nil
	case "flood":
		for i := 0; i < 20000; i++ {
			call.Logf(worker.Plain, "flood %d 0123456789012345678901234567890123456789", i)
		}
		return 1, nil
	case "longline":
		call.Logf(worker.Plain, "%s", strings.Repeat("a", 150000))
		return 1, nil
	case "large":
		return strings.Repeat("x", 999998), nil
	case "toolarge":
		return strings.Repeat("x", 6*1024*1024+99), nil
	case "stream":
		return &parts{[]string{"one ", "two"}, io.EOF}, nil
	case "broken":
		return &parts{[]string{"one "}, valueError("half-way")}, nil
	case "broken at once":
		return &parts{nil, valueError("at once")}, nil
	case "bytes":
		return []byte("as it is"), nil
	case "unserialisable":
		return func() {}, nil
	case "context":
		deadline, _ := ctx.Deadline()
		_, home := os.LookupEnv("LEFT_OVER")
		return map[string]any{"request_id": call.RequestID, "name": call.Function, "version": call.Version, "arn": call.ARN,
			"remaining": time.Until(deadline).Milliseconds(), "greeting": os.Getenv("GREETING"), "home": home}, nil
	}
	return map[string]string{"message": "Hello world"}, nil
}

func main() {
	worker.RunInit(func() error {
		if os.Getenv("INIT_LOG") != "" {
			worker.Logf(worker.Info, "loading")
		}
		if reason := os.Getenv("INIT_FAILS"); reason != "" {
			return fmt.Errorf("%w", errors.New(reason))
		}
		return nil
	}, handle)
}
