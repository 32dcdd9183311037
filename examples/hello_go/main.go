package main

import (
	"context"

	"github.com/aws/aws-lambda-go/lambda"
)

type Request struct {
	Name string `json:"name"`
}

type Reply struct {
	Message string `json:"message"`
}

func hello(_ context.Context, request Request) (Reply, error) {
	return Reply{"Hello " + request.Name}, nil
}

func main() {
	lambda.Start(hello)
}
