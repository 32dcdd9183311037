use lambda_runtime::{service_fn, Error, LambdaEvent};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Request {
    name: String,
}

#[derive(Serialize)]
struct Reply {
    message: String,
}

async fn hello(event: LambdaEvent<Request>) -> Result<Reply, Error> {
    Ok(Reply { message: format!("Hello {}", event.payload.name) })
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    // Several calls at once where the function's `concurrency` asks for it.
    lambda_runtime::run_concurrent(service_fn(hello)).await
}
