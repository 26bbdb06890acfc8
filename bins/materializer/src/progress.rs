use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Bars on a terminal; nothing elsewhere.
pub(crate) struct Progress {
    is_on: bool,
}

impl Progress {
    pub(crate) const fn new(is_on: bool) -> Self {
        Self { is_on }
    }

    /// A bar of bytes, which vanishes when it is dropped.
    pub(crate) fn bytes(&self, name: &str, total: u64) -> Bar {
        let target = if self.is_on { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(total), target);
        let style = "{msg:24} {wide_bar} {bytes:>10}/{total_bytes} {bytes_per_sec:>12} {eta:>4}";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        bar.set_message(name.to_owned());
        Bar { bar, unsaid: 0 }
    }
}

/// One bar.
pub(crate) struct Bar {
    bar: ProgressBar,
    unsaid: u64,
}

impl Bar {
    /// Tells the bar once in a while: millions of rows must not each take its lock.
    const STEP: u64 = 1 << 18;

    pub(crate) fn advance(&mut self, bytes: u64) {
        self.unsaid += bytes;
        if self.unsaid >= Self::STEP {
            self.bar.inc(self.unsaid);
            self.unsaid = 0;
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
