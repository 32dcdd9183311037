// As clients/python/app.py.
use lambda_runtime::streaming::{channel, Body};
use lambda_runtime::{service_fn, Error, LambdaEvent, MetadataPrelude, StreamResponse};
use serde_json::{json, Value};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

async fn handle(event: LambdaEvent<Value>) -> Result<Value, Error> {
    let (event, context) = event.into_parts();
    match event["do"].as_str() {
        Some("error") => return Err("an error with ü".into()),
        Some("panic") => panic!("told to panic"),
        Some("exit") => std::process::exit(3),
        Some("large") => return Ok("x".repeat(event["bytes"].as_u64().unwrap() as usize).into()),
        Some("sleep") => tokio::time::sleep(Duration::from_millis(event["ms"].as_u64().unwrap())).await,
        _ => {}
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as i64;
    eprintln!("a line of {}", context.request_id);
    Ok(json!({"event": event, "request_id": context.request_id, "arn": context.invoked_function_arn, "left_ms": context.deadline as i64 - now,
        "name": context.env_config.function_name, "handler": std::env::var("_HANDLER")?, "trace": context.xray_trace_id,
        "client": context.client_context.map(|c| c.custom), "pid": std::process::id()}))
}

// What a function URL asks: the query says what to stream.
async fn stream(event: LambdaEvent<Value>) -> Result<StreamResponse<Body>, Error> {
    let query = event.payload["queryStringParameters"].clone();
    let number = move |name: &str, otherwise: u64| query[name].as_str().and_then(|n| n.parse().ok()).unwrap_or(otherwise);
    let (parts, ms, fail) = (number("parts", 3), number("ms", 0), number("fail", 0) == 1);
    let (mut to, body) = channel();
    tokio::spawn(async move {
        for i in 0..parts {
            to.send_data(format!("part {i}\n").into()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(ms)).await;
        }
        if fail {
            to.abort();
        }
    });
    let mut headers = http::HeaderMap::new();
    headers.insert("x-mine", "yes".parse()?);
    headers.insert("content-type", "text/plain".parse()?);
    let metadata_prelude = MetadataPrelude { status_code: http::StatusCode::CREATED, headers, cookies: vec![] };
    Ok(StreamResponse { metadata_prelude, stream: body })
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    if std::env::var("FAIL_INIT").is_ok() {
        return Err("the init was told to fail".into());
    }
    if std::env::var("_HANDLER")? == "stream" {
        return lambda_runtime::run(service_fn(stream)).await;
    }
    lambda_runtime::run_concurrent(service_fn(handle)).await
}
