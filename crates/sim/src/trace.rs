//! Remembers what happened, for the reader of a failure.

use std::collections::VecDeque;

/// Lines kept when only the end matters.
const TAIL: usize = 80;

/// How much is remembered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tracing {
    /// Nothing: a run that fails is run again to be told.
    #[default]
    Off,
    /// The last lines before a failure.
    Tail,
    /// Every line, printed as it happens.
    Print,
}

/// The lines.
pub(crate) struct Trace {
    tracing: Tracing,
    lines: VecDeque<String>,
}

impl Trace {
    pub(crate) fn new(tracing: Tracing) -> Self {
        Self { tracing, lines: VecDeque::new() }
    }

    /// Notes a line, made only where somebody will read it.
    pub(crate) fn note(&mut self, elapsed: u64, line: impl FnOnce() -> String) {
        if self.tracing == Tracing::Off {
            return;
        }
        let line = format!("{:>12.3}s  {}", std::time::Duration::from_millis(elapsed).as_secs_f64(), line());
        if self.tracing == Tracing::Print {
            println!("{line}");
        }
        self.lines.push_back(line);
        if self.lines.len() > TAIL {
            self.lines.pop_front();
        }
    }

    /// The last lines.
    pub(crate) fn into_tail(self) -> Vec<String> {
        self.lines.into()
    }
}
