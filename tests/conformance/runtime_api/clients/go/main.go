// As clients/python/app.py.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type reply struct {
	Event     map[string]any    `json:"event"`
	RequestID string            `json:"request_id"`
	Arn       string            `json:"arn"`
	LeftMs    int64             `json:"left_ms"`
	Name      string            `json:"name"`
	Handler   string            `json:"handler"`
	Trace     string            `json:"trace"`
	Client    map[string]string `json:"client"`
	Pid       int               `json:"pid"`
}

func handle(ctx context.Context, event map[string]any) (any, error) {
	switch event["do"] {
	case "error":
		return nil, errors.New("an error with ü")
	case "panic":
		var none []int
		return none[3], nil
	case "exit":
		os.Exit(3)
	case "large":
		return strings.Repeat("x", int(event["bytes"].(float64))), nil
	case "sleep":
		time.Sleep(time.Duration(event["ms"].(float64)) * time.Millisecond)
	}
	lc, _ := lambdacontext.FromContext(ctx)
	deadline, _ := ctx.Deadline()
	trace, _ := ctx.Value("x-amzn-trace-id").(string)
	fmt.Fprintln(os.Stderr, "a line of", lc.AwsRequestID)
	return reply{event, lc.AwsRequestID, lc.InvokedFunctionArn, time.Until(deadline).Milliseconds(), lambdacontext.FunctionName,
		os.Getenv("_HANDLER"), trace, lc.ClientContext.Custom, os.Getpid()}, nil
}

type parts struct {
	left, sent int
	pause      time.Duration
	fail       bool
}

func (p *parts) Read(to []byte) (int, error) {
	if p.left == 0 {
		if p.fail {
			return 0, errors.New("in the midst of it")
		}
		return 0, io.EOF
	}
	if p.sent > 0 {
		time.Sleep(p.pause)
	}
	p.left--
	p.sent++
	return copy(to, fmt.Sprintf("part %d\n", p.sent-1)), nil
}

func stream(_ context.Context, request events.LambdaFunctionURLRequest) (*events.LambdaFunctionURLStreamingResponse, error) {
	query := request.QueryStringParameters
	number := func(name string, otherwise int) int {
		if n, err := strconv.Atoi(query[name]); err == nil {
			return n
		}
		return otherwise
	}
	return &events.LambdaFunctionURLStreamingResponse{
		StatusCode: 201,
		Headers:    map[string]string{"x-mine": "yes", "content-type": "text/plain"},
		Body:       &parts{left: number("parts", 3), pause: time.Duration(number("ms", 0)) * time.Millisecond, fail: query["fail"] != ""},
	}, nil
}

func main() {
	if os.Getenv("FAIL_INIT") != "" {
		panic("the init was told to fail")
	}
	if os.Getenv("_HANDLER") == "stream" {
		lambda.Start(stream)
	} else {
		lambda.Start(handle)
	}
}
