//! Entity tags: the time of the last write, made unique, and the size.
//!
//! A tag has to change on every write, stay the same over restarts, and be had without a second
//! file that could disagree with the first. A header or trailer would put bytes into the file
//! that are not the object's (so no `sendfile`, and `cat` or DuckDB could not read it); extended
//! attributes get lost by common copies and are missing on some file systems. So the tag is in
//! the one thing that every copy made with `cp -a`, `rsync -t` or `tar` keeps: the modification
//! time. The kernel's own is no better than a clock tick (two writes within it would look the
//! same), hence each write sets it to a value that this process has never used before.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustix::fs::{FileType, Stat, Timespec, Timestamps};

const NANOS: u64 = 1_000_000_000;

/// What a file's metadata says about the object in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) size: u64,
    /// Since the Unix epoch; negative for a file that somebody else put there with such a time.
    seconds: i64,
    nanos: u32,
}

impl Stamp {
    /// `None` for anything but a regular file.
    pub(super) fn of(stat: &Stat) -> Option<Self> {
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return None;
        }
        Some(Self {
            size: u64::try_from(stat.st_size).unwrap_or_default(),
            seconds: stat.st_mtime,
            nanos: u32::try_from(stat.st_mtime_nsec).unwrap_or_default(),
        })
    }

    pub(super) fn is_at(self, seconds: u64, nanos: u64) -> bool {
        u64::try_from(self.seconds) == Ok(seconds) && u64::from(self.nanos) == nanos
    }

    pub(super) fn etag(self) -> String {
        let nanos = i128::from(self.seconds) * i128::from(NANOS) + i128::from(self.nanos);
        format!("{nanos:x}-{:x}", self.size)
    }

    pub(super) fn modified(self) -> SystemTime {
        let whole = Duration::from_secs(self.seconds.unsigned_abs());
        let second = if self.seconds < 0 { UNIX_EPOCH.checked_sub(whole) } else { UNIX_EPOCH.checked_add(whole) };
        second.and_then(|second| second.checked_add(Duration::from_nanos(self.nanos.into()))).unwrap_or(UNIX_EPOCH)
    }

    pub(super) fn modified_ms(self) -> i64 {
        self.seconds.saturating_mul(1000).saturating_add(i64::from(self.nanos / 1_000_000))
    }
}

/// Hands out modification times, none of them twice.
///
/// Within a process this can't fail. Over a restart with the clock set back, two writes of one
/// key would have to hit the same nanosecond and the same size.
#[derive(Debug)]
pub(super) struct Clock {
    /// Nanoseconds since the Unix epoch, a multiple of `step`.
    last: AtomicU64,
    /// What the file system keeps of a time, in nanoseconds.
    step: u64,
}

impl Clock {
    pub(super) const fn new(step: u64) -> Self {
        Self { last: AtomicU64::new(0), step }
    }

    pub(super) fn next(&self) -> Timestamps {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let now = u64::try_from(now).unwrap_or(u64::MAX) / self.step * self.step;
        let after = |last: u64| Some(now.max(last.saturating_add(self.step)));
        let previous = self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, after).unwrap_or(now);
        timestamps(now.max(previous.saturating_add(self.step)))
    }
}

/// Both times of a file, from nanoseconds since the Unix epoch.
pub(super) fn timestamps(nanos: u64) -> Timestamps {
    let time = Timespec { tv_sec: (nanos / NANOS) as _, tv_nsec: (nanos % NANOS) as _ };
    Timestamps { last_access: time, last_modification: time }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_time_is_given_out_twice() {
        for step in [1, 100, 1_000_000] {
            let clock = Clock::new(step);
            let times: Vec<(i64, i64)> =
                (0..1000).map(|_| clock.next().last_modification).map(|time| (time.tv_sec, time.tv_nsec)).collect();
            assert!(times.is_sorted_by(|a, b| a < b));
            assert!(times.iter().all(|(_, nanos)| nanos % step as i64 == 0));
        }
    }

    #[test]
    fn times_before_the_epoch_and_far_ahead_are_no_trouble() {
        let early = Stamp { size: 1, seconds: -1, nanos: 5 };
        assert_eq!(early.modified(), UNIX_EPOCH - Duration::from_nanos(999_999_995));
        assert_ne!(early.etag(), Stamp { size: 1, seconds: 1, nanos: 5 }.etag());
        let late = Stamp { size: 1, seconds: i64::MAX, nanos: 0 };
        assert_eq!(late.modified_ms(), i64::MAX);
    }
}
