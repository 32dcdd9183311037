use std::time::{Duration, Instant};

pub const LINE_MAX: usize = 65_536;
const KEPT_FOR_MARKER: f64 = 1_024.0; // bytes of the burst
const MARK_EVERY: Duration = Duration::from_secs(1);

/// Cuts what a function logs to log_rate bytes a second, behind a burst.
pub struct Limiter {
    rate: f64,
    burst: f64,
    room: f64,
    at: Instant,
    marked: Instant,
    dropped: u64,
}

impl Limiter {
    pub fn new(rate: f64, burst: f64) -> Self {
        let now = Instant::now();
        Limiter {
            rate,
            burst,
            room: burst,
            at: now,
            marked: now,
            dropped: 0,
        }
    }

    fn pass(&mut self, bytes: usize, kept: f64) -> bool {
        let now = Instant::now();
        self.room = (self.room + (now - self.at).as_secs_f64() * self.rate).min(self.burst);
        self.at = now;
        if self.room < bytes as f64 + kept {
            return false;
        }
        self.room -= bytes as f64;
        true
    }

    /// May this line go out? If not, it is counted.
    pub fn line(&mut self, bytes: usize) -> bool {
        let passes = self.pass(bytes, KEPT_FOR_MARKER);
        self.dropped += u64::from(!passes);
        passes
    }

    /// A long call tells of what is dropped once a second.
    pub fn due(&self) -> bool {
        self.dropped > 0 && self.marked.elapsed() > MARK_EVERY
    }

    /// How many lines were dropped, in words, if there is room for that.
    pub fn marker(&mut self) -> Option<String> {
        if self.dropped == 0 {
            return None;
        }
        let text = format!("[hearth] {} log lines dropped\n", self.dropped);
        if !self.pass(text.len(), 0.0) {
            return None;
        }
        self.dropped = 0;
        self.marked = Instant::now();
        Some(text)
    }
}
