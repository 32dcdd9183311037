//! Runs a function of Hearth's runtime "native" in Rust: it speaks ../../protocol.md on descriptor 3.
//!
//! ```no_run
//! fn main() {
//!     hearth_worker::run(|_call, _event| Ok(serde_json::json!({"message": "Hello"}).into()))
//! }
//! ```
//!
//! A handler is called from as many threads at a time as `concurrency.per_worker` says.

mod channel;
mod logs;

use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use channel::{CallId, Worker};

/// What a handler answers.
pub enum Reply {
    Json(serde_json::Value),
    /// Sent as it is.
    Bytes(Vec<u8>),
    /// What each `read` gives goes out at once.
    Stream(Box<dyn Read + Send>),
}

impl From<serde_json::Value> for Reply {
    fn from(value: serde_json::Value) -> Self {
        Reply::Json(value)
    }
}

/// Why a call failed, as its caller is told: errorType and errorMessage.
#[derive(Debug)]
pub struct Error {
    pub kind: String,
    pub message: String,
}

impl Error {
    pub fn new(kind: impl Into<String>, message: impl Into<String>) -> Self {
        Error {
            kind: kind.into(),
            message: message.into(),
        }
    }
}

/// `?` works with every error: its type is that of the Rust type, without the path.
impl<E: std::error::Error> From<E> for Error {
    fn from(error: E) -> Self {
        let path = std::any::type_name::<E>();
        Error::new(path.rsplit("::").next().unwrap_or(path), error.to_string())
    }
}

#[derive(Clone, Copy)]
pub enum Level {
    Plain,
    Debug,
    Info,
    Warning,
    Error,
    Critical,
}

/// What a handler may want to know of its call.
pub struct Call {
    pub request_id: String,
    /// The event has the API Gateway v2.0 shape.
    pub http: bool,
    /// `{"clientContext", "traceId", "arn"}`, each optional.
    pub extension: Option<serde_json::Value>,
    pub function: String,
    pub version: String,
    pub arn: String,
    pub deadline: Instant,
    cancelled: AtomicBool,
    id: CallId,
    worker: Arc<Worker>,
}

impl Call {
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
    /// Nobody waits for this call any more: a handler may stop.
    pub fn cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
    /// Writes lines into the function's log, with the call's request id.
    pub fn log(&self, level: Level, text: &str) {
        self.worker.log(self.id, level, text);
    }
}

static RUNNING: OnceLock<Arc<Worker>> = OnceLock::new();

/// Writes lines that belong to no call.
pub fn log(level: Level, text: &str) {
    if let Some(worker) = RUNNING.get() {
        worker.log(CallId::default(), level, text);
    }
}

/// Serves calls until the engine ends it; does not return.
pub fn run<H>(handler: H) -> !
where
    H: Fn(&Call, &[u8]) -> Result<Reply, Error> + Send + Sync + 'static,
{
    run_init(|| Ok(()), handler)
}

/// `run` with a function that is called when the environment and the working directory are the function's own. Its error is why it can't serve.
pub fn run_init<I, H>(init: I, handler: H) -> !
where
    I: FnOnce() -> Result<(), Error> + Send + 'static,
    H: Fn(&Call, &[u8]) -> Result<Reply, Error> + Send + Sync + 'static,
{
    let worker = Worker::new(Box::new(handler));
    let _ = RUNNING.set(worker.clone());
    worker.serve(Box::new(init))
}
