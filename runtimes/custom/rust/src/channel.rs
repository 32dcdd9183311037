use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::FromRawFd;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::process::exit;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{json, Value};

use crate::logs::{Limiter, LINE_MAX};
use crate::{Call, Error, Level, Reply};

const INIT: u8 = 0x01;
const CALL: u8 = 0x02;
const BODY: u8 = 0x03;
const CANCEL: u8 = 0x04;
const RECALL: u8 = 0x05;
const PING: u8 = 0x06;
const CREDIT: u8 = 0x07;
const STOP: u8 = 0x08;
const HELLO: u8 = 0x81;
const READY: u8 = 0x82;
const INIT_ERROR: u8 = 0x83;
const REPLY: u8 = 0x84;
const CHUNK: u8 = 0x85;
const PONG: u8 = 0x86;
const HANDBACK: u8 = 0x87;
const LOG: u8 = 0x88;

const MORE: u8 = 1;
const ERROR: u8 = 2;
const STREAM: u8 = 4;
const HTTP: u8 = 8;

const HEADER: usize = 16;
const PART_MAX: usize = 65_536;
const WINDOW: i64 = 262_144;
const REPLY_MAX: usize = 6 * 1024 * 1024 + 100;
/// What was written waits so long for others at most while a handler runs.
const FLUSH_AFTER: Duration = Duration::from_millis(1);

pub type Handler = dyn Fn(&Call, &[u8]) -> Result<Reply, Error> + Send + Sync;
pub type Init = dyn FnOnce() -> Result<(), Error> + Send;

/// Eight bytes that are echoed.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct CallId([u8; 8]);

struct Queued {
    call: Arc<Call>,
    event: Vec<u8>,
    whole: bool,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Queued>, // not started, in the order in which they came
    active: HashMap<CallId, Arc<Call>>,
    credit: HashMap<CallId, i64>,
    stop: bool,
}

#[derive(Default)]
struct Out {
    pending: Vec<u8>,
    flush_by: Option<Instant>,
}

struct Names {
    function: String,
    version: String,
    arn: String,
}

pub struct Worker {
    engine: File,
    handler: Box<Handler>,
    started: Instant,
    clock_us: i64, // CLOCK_MONOTONIC when it was `started`
    names: OnceLock<Names>,
    state: Mutex<State>,
    changed: Condvar,
    out: Mutex<Out>,
    written: Condvar, // something waits to be flushed
    logs: Mutex<Limiter>,
}

fn error_json(error: &Error) -> Vec<u8> {
    json!({"errorMessage": error.message, "errorType": error.kind, "stackTrace": []})
        .to_string()
        .into_bytes()
}

/// The clock of deadlines, which std's own doesn't show.
fn monotonic_us() -> i64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the kernel writes one timespec, which is ours.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    now.tv_sec as i64 * 1_000_000 + now.tv_nsec as i64 / 1_000
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes[..4].try_into().unwrap())
}

impl Worker {
    pub fn new(handler: Box<Handler>) -> Arc<Self> {
        // SAFETY: descriptor 3 is this worker's to own, by the protocol.
        let engine = unsafe { File::from_raw_fd(3) };
        Arc::new(Worker {
            engine,
            handler,
            started: Instant::now(),
            clock_us: monotonic_us(),
            names: OnceLock::new(),
            state: Mutex::default(),
            changed: Condvar::new(),
            out: Mutex::default(),
            written: Condvar::new(),
            logs: Mutex::new(Limiter::new(0.0, 1e9)),
        })
    }

    pub fn serve(self: Arc<Self>, init: Box<Init>) -> ! {
        let flusher = self.clone();
        thread::spawn(move || flusher.flush_in_time());
        self.put(
            HELLO,
            0,
            0,
            CallId::default(),
            &[
                json!({"protocol": 1, "runtime": "native", "version": "rust"})
                    .to_string()
                    .as_bytes(),
            ],
        );
        self.flush();
        let mut init = Some(init);
        let mut input = Vec::new();
        let mut bytes = vec![0; 512 * 1024];
        loop {
            let n = (&self.engine).read(&mut bytes).unwrap_or(0);
            if n == 0 {
                exit(0); // the engine is gone
            }
            input.extend_from_slice(&bytes[..n]);
            let mut used = 0;
            while input.len() - used >= HEADER {
                let size = number(&input[used..]) as usize;
                if input.len() - used < HEADER + size {
                    break;
                }
                let frame = used..used + HEADER + size;
                used += HEADER + size;
                self.handle(&input[frame], &mut init);
            }
            input.drain(..used);
        }
    }

    fn handle(self: &Arc<Self>, frame: &[u8], init: &mut Option<Box<Init>>) {
        let (kind, flags, aux) = (frame[4], frame[5], u16::from_le_bytes([frame[6], frame[7]]));
        let id = CallId(frame[8..16].try_into().unwrap());
        let payload = &frame[HEADER..];
        match kind {
            INIT => self.on_init(payload, init.take()),
            CALL => self.on_call(id, flags, aux as usize, payload),
            BODY => {
                let mut state = self.lock();
                if let Some(call) = state.queue.iter_mut().find(|c| c.call.id == id) {
                    call.event.extend_from_slice(payload);
                    call.whole = flags & MORE == 0;
                    self.changed.notify_all();
                }
            }
            CANCEL => {
                let state = self.lock();
                let waiting = state.queue.iter().map(|q| &q.call).find(|c| c.id == id);
                if let Some(call) = waiting.or_else(|| state.active.get(&id)) {
                    call.cancelled.store(true, Ordering::Relaxed);
                }
            }
            RECALL => {
                let mut state = self.lock();
                if let Some(at) = state.queue.iter().position(|c| c.call.id == id) {
                    state.queue.remove(at);
                    drop(state);
                    self.put(HANDBACK, 0, 0, id, &[]);
                    self.flush();
                }
            }
            PING => {
                self.put(PONG, 0, aux, id, &[]);
                self.flush();
            }
            CREDIT => {
                if let Some(credit) = self.lock().credit.get_mut(&id) {
                    *credit += number(payload) as i64;
                    self.changed.notify_all();
                }
            }
            STOP => {
                let mut state = self.lock();
                state.stop = true;
                self.exit_when_done(&state);
            }
            _ => {}
        }
    }

    fn load(&self, payload: &[u8], init: Option<Box<Init>>) -> Result<u64, Error> {
        let values: Value = serde_json::from_slice(payload)?;
        let text = |key: &str| values[key].as_str().unwrap_or_default().to_string();
        for (name, _) in std::env::vars_os() {
            std::env::remove_var(name);
        }
        for (name, value) in values["environment"].as_object().into_iter().flatten() {
            std::env::set_var(name, value.as_str().unwrap_or_default());
        }
        let figure = |key: &str, otherwise: f64| values[key].as_f64().unwrap_or(otherwise);
        *self.logs.lock().unwrap() =
            Limiter::new(figure("log_rate", 1e6), figure("log_burst", 4e6));
        let _ = self.names.set(Names {
            function: text("function"),
            version: text("version"),
            arn: text("arn"),
        });
        std::env::set_current_dir(text("root"))
            .map_err(|e| Error::new("Runtime.InitError", format!("{}: {e}", text("root"))))?;
        if let Some(init) = init {
            init()?;
        }
        Ok(values["per_worker"].as_u64().unwrap_or(1).max(1))
    }

    fn on_init(self: &Arc<Self>, payload: &[u8], init: Option<Box<Init>>) {
        let began = Instant::now();
        match self.load(payload, init) {
            Ok(per_worker) => {
                self.put(
                    READY,
                    0,
                    0,
                    CallId::default(),
                    &[&(began.elapsed().as_micros() as u32).to_le_bytes()],
                );
                self.flush();
                for _ in 0..per_worker {
                    let worker = self.clone();
                    thread::spawn(move || worker.work());
                }
            }
            Err(error) => {
                self.put(INIT_ERROR, 0, 0, CallId::default(), &[&error_json(&error)]);
                self.flush();
                exit(1);
            }
        }
    }

    fn on_call(self: &Arc<Self>, id: CallId, flags: u8, extension: usize, payload: &[u8]) {
        let names = self.names.get().expect("a CALL before INIT");
        let deadline_us = i64::from_le_bytes(payload[..8].try_into().unwrap());
        let hex: String = payload[8..24]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let rest = &payload[24..];
        let extension_json: Option<Value> = (extension > 0)
            .then(|| serde_json::from_slice(&rest[..extension]).unwrap_or(Value::Null));
        let arn = extension_json
            .as_ref()
            .and_then(|e| e["arn"].as_str())
            .unwrap_or(&names.arn)
            .to_string();
        let call = Arc::new(Call {
            request_id: format!(
                "{}-{}-{}-{}-{}",
                &hex[..8],
                &hex[8..12],
                &hex[12..16],
                &hex[16..20],
                &hex[20..]
            ),
            http: flags & HTTP != 0,
            extension: extension_json,
            function: names.function.clone(),
            version: names.version.clone(),
            arn,
            deadline: self.started
                + Duration::from_micros((deadline_us - self.clock_us).max(0) as u64),
            cancelled: AtomicBool::new(false),
            id,
            worker: self.clone(),
        });
        self.lock().queue.push_back(Queued {
            call,
            event: rest[extension..].to_vec(),
            whole: flags & MORE == 0,
        });
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Runs calls in the order in which they came; per_worker threads do.
    fn work(&self) -> ! {
        loop {
            let mut state = self.lock();
            if state.queue.is_empty() {
                drop(state);
                self.flush(); // nothing follows at once
                state = self.lock();
            }
            while !state.queue.front().map_or(false, |first| first.whole) {
                state = self.changed.wait(state).unwrap();
            }
            let next = state.queue.pop_front().unwrap();
            let id = next.call.id;
            state.active.insert(id, next.call.clone());
            state.credit.insert(id, WINDOW);
            drop(state);
            self.execute(&next.call, &next.event);
            let mut state = self.lock();
            state.active.remove(&id);
            state.credit.remove(&id);
            self.exit_when_done(&state);
        }
    }

    fn exit_when_done(&self, state: &State) {
        if state.stop && state.queue.is_empty() && state.active.is_empty() {
            self.flush();
            exit(0);
        }
    }

    fn execute(&self, call: &Call, event: &[u8]) {
        let began = Instant::now();
        // A panic is an error, and the worker goes on.
        let result = catch_unwind(AssertUnwindSafe(|| (self.handler)(call, event))).unwrap_or_else(
            |reason| {
                let words = reason
                    .downcast_ref::<&str>()
                    .map(|s| s.to_string())
                    .or_else(|| reason.downcast_ref::<String>().cloned());
                Err(Error::new(
                    "Panic",
                    format!("panic: {}", words.unwrap_or_default()),
                ))
            },
        );
        let (text, failed) = match result {
            Ok(Reply::Stream(from)) => return self.stream(call, from),
            Ok(Reply::Bytes(bytes)) => (bytes, false),
            Ok(Reply::Json(value)) => (value.to_string().into_bytes(), false),
            Err(error) => (self.failed(call, &error), true),
        };
        let (text, failed) = if text.len() > REPLY_MAX {
            let words = format!(
                "the reply has {} bytes, {REPLY_MAX} are allowed",
                text.len()
            );
            (
                self.failed(call, &Error::new("Function.ResponseSizeTooLarge", words)),
                true,
            )
        } else {
            (text, failed)
        };
        self.mark(call.id);
        self.reply(call.id, began.elapsed(), &text, failed);
    }

    /// Its text for the caller; it stands in the log as well.
    fn failed(&self, call: &Call, error: &Error) -> Vec<u8> {
        self.log(
            call.id,
            Level::Error,
            &format!("[ERROR] {}: {}", error.kind, error.message),
        );
        error_json(error)
    }

    /// Sends what each read gives. Before its first byte a failure is an error like any other.
    fn stream(&self, call: &Call, mut from: Box<dyn Read + Send>) {
        let (mut kind, mut flags) = (REPLY, STREAM);
        let mut buffer = vec![0; PART_MAX];
        loop {
            let room = if kind == REPLY {
                PART_MAX - 4
            } else {
                PART_MAX
            };
            match from.read(&mut buffer[..room]) {
                Err(error) => {
                    let text = self.failed(call, &Error::new("StreamError", error.to_string()));
                    self.mark(call.id);
                    return self.part(call.id, kind, ERROR, Duration::ZERO, &text);
                }
                Ok(0) if kind == CHUNK => {
                    self.mark(call.id);
                    return self.part(call.id, CHUNK, 0, Duration::ZERO, &[]);
                }
                Ok(n) => {
                    self.part(call.id, kind, flags | MORE, Duration::ZERO, &buffer[..n]);
                    self.flush();
                    (kind, flags) = (CHUNK, 0);
                }
            }
        }
    }

    /// A whole reply, in parts if it is large.
    fn reply(&self, id: CallId, took: Duration, mut text: &[u8], failed: bool) {
        let (mut kind, mut head) = (REPLY, 4);
        loop {
            let credit = self.lock().credit.get(&id).copied().unwrap_or(0).max(1) as usize;
            let size = text.len().min(PART_MAX - head).min(credit);
            let more = if size < text.len() { MORE } else { 0 };
            let error = if failed && kind == REPLY { ERROR } else { 0 };
            self.part(id, kind, more | error, took, &text[..size]);
            text = &text[size..];
            if text.is_empty() {
                return;
            }
            (kind, head) = (CHUNK, 0);
        }
    }

    /// A REPLY or CHUNK, when its bytes have credit.
    fn part(&self, id: CallId, kind: u8, flags: u8, took: Duration, bytes: &[u8]) {
        let mut state = self.lock();
        while state
            .credit
            .get(&id)
            .map_or(false, |credit| *credit < bytes.len() as i64)
        {
            drop(state);
            self.flush();
            state = self.lock();
            if state
                .credit
                .get(&id)
                .map_or(false, |credit| *credit < bytes.len() as i64)
            {
                state = self.changed.wait(state).unwrap();
            }
        }
        if let Some(credit) = state.credit.get_mut(&id) {
            *credit -= bytes.len() as i64;
        }
        drop(state);
        if kind == REPLY {
            let micros = if flags & STREAM == 0 {
                took.as_micros() as u32
            } else {
                0
            };
            self.put(kind, flags, 0, id, &[&micros.to_le_bytes(), bytes]);
        } else {
            self.put(kind, flags, 0, id, &[bytes]);
        }
    }

    // ---- out

    /// Adds a frame to what goes out with the next flush.
    fn put(&self, kind: u8, flags: u8, aux: u16, id: CallId, parts: &[&[u8]]) {
        let size: usize = parts.iter().map(|part| part.len()).sum();
        let mut out = self.out.lock().unwrap();
        out.pending.extend_from_slice(&(size as u32).to_le_bytes());
        out.pending.extend_from_slice(&[kind, flags]);
        out.pending.extend_from_slice(&aux.to_le_bytes());
        out.pending.extend_from_slice(&id.0);
        for part in parts {
            out.pending.extend_from_slice(part);
        }
        if out.pending.len() >= 4 * PART_MAX {
            self.write(&mut out);
        } else if out.flush_by.is_none() {
            out.flush_by = Some(Instant::now() + FLUSH_AFTER);
            self.written.notify_one();
        }
    }

    fn flush(&self) {
        self.write(&mut self.out.lock().unwrap());
    }

    fn write(&self, out: &mut Out) {
        out.flush_by = None;
        if !out.pending.is_empty() && (&self.engine).write_all(&out.pending).is_err() {
            exit(0); // the engine is gone
        }
        out.pending.clear();
    }

    /// A thread of its own: a reply does not wait behind a handler that runs for long.
    fn flush_in_time(&self) -> ! {
        let mut out = self.out.lock().unwrap();
        loop {
            out = match out.flush_by {
                None => self.written.wait(out).unwrap(),
                Some(by) => match by.checked_duration_since(Instant::now()) {
                    Some(left) => self.written.wait_timeout(out, left).unwrap().0,
                    None => {
                        self.write(&mut out);
                        out
                    }
                },
            };
        }
    }

    // ---- logs

    /// Each line in a frame of its own, a long one in several.
    pub fn log(&self, id: CallId, level: Level, text: &str) {
        for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
            let (passes, due) = {
                let mut logs = self.logs.lock().unwrap();
                (logs.line(line.len() + 1), logs.due())
            };
            if due {
                self.mark(id);
            }
            if !passes {
                continue;
            }
            let line = [line.as_bytes(), b"\n"].concat();
            let mut parts = line.chunks(LINE_MAX).peekable();
            while let Some(part) = parts.next() {
                let more = if parts.peek().is_some() { MORE } else { 0 };
                self.put(LOG, more, level as u16, id, &[part]);
            }
        }
    }

    fn mark(&self, id: CallId) {
        let marker = self.logs.lock().unwrap().marker();
        if let Some(text) = marker {
            self.put(LOG, 0, Level::Warning as u16, id, &[text.as_bytes()]);
        }
    }
}
