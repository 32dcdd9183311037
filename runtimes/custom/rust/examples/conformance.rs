//! The function that the conformance tests run: what it does depends on the event's "do".

use std::collections::VecDeque;
use std::io::Read;
use std::time::{Duration, Instant};

use hearth_worker::{log, run_init, Call, Error, Level, Reply};
use serde_json::{json, Value};

struct Parts(VecDeque<&'static str>, bool);

impl Read for Parts {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        match self.0.pop_front() {
            Some(part) => {
                to[..part.len()].copy_from_slice(part.as_bytes());
                Ok(part.len())
            }
            None if self.1 => Err(std::io::Error::other("half-way")),
            None => Ok(0),
        }
    }
}

fn spin(time: Duration) {
    let began = Instant::now();
    while began.elapsed() < time {}
}

fn handle(call: &Call, event: &[u8]) -> Result<Reply, Error> {
    let event: Value = if event.is_empty() {
        json!({})
    } else {
        serde_json::from_slice(event)?
    };
    let reply = match event["do"].as_str().unwrap_or_default() {
        "error" => return Err(Error::new("ValueError", "no \"good\"\n")),
        "panic" => panic!("out of cheese"),
        "sleep" => {
            std::thread::sleep(Duration::from_millis(600));
            json!("slept")
        }
        "nap" => {
            std::thread::sleep(Duration::from_millis(40));
            json!("slept")
        }
        "spin" => {
            spin(Duration::from_millis(600));
            json!("spun")
        }
        "whirl" => {
            spin(Duration::from_millis(40));
            json!("spun")
        }
        "wait" => {
            while !call.cancelled() && !call.remaining().is_zero() {
                std::thread::sleep(Duration::from_millis(5));
            }
            json!(if call.cancelled() {
                "cancelled"
            } else {
                "too late"
            })
        }
        "log" => {
            call.log(Level::Warning, "line 1\nline 2");
            json!(1)
        }
        "flood" => {
            for i in 0..20000 {
                call.log(
                    Level::Plain,
                    &format!("flood {i} 0123456789012345678901234567890123456789"),
                );
            }
            json!(1)
        }
        "longline" => {
            call.log(Level::Plain, &"a".repeat(150_000));
            json!(1)
        }
        "large" => json!("x".repeat(999_998)),
        "toolarge" => json!("x".repeat(6 * 1024 * 1024 + 99)),
        "stream" => {
            return Ok(Reply::Stream(Box::new(Parts(
                ["one ", "two"].into(),
                false,
            ))))
        }
        "broken" => return Ok(Reply::Stream(Box::new(Parts(["one "].into(), true)))),
        "broken at once" => return Ok(Reply::Stream(Box::new(Parts([].into(), true)))),
        "bytes" => return Ok(Reply::Bytes(b"as it is".to_vec())),
        "context" => {
            json!({"request_id": call.request_id, "name": call.function, "version": call.version, "arn": call.arn,
            "remaining": call.remaining().as_millis() as u64, "greeting": std::env::var("GREETING").unwrap_or_default(),
            "home": std::env::var("LEFT_OVER").is_ok()})
        }
        _ => json!({"message": "Hello world"}),
    };
    Ok(reply.into())
}

fn main() {
    run_init(
        || {
            if std::env::var("INIT_LOG").is_ok() {
                log(Level::Info, "loading");
            }
            std::env::var("INIT_FAILS").map_or(Ok(()), |reason| Err(Error::new("Refused", reason)))
        },
        handle,
    )
}
