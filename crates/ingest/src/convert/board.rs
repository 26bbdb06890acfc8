//! Who does what next: pieces are read in any order and admitted in the file's order; each lane (some
//! neighbouring columns) encodes the admitted pieces one after the other. The threads take whatever
//! is there to do, encoding before reading, so that little waits in memory and nobody idles.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Range,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use super::piece::{Fatal, Issues, Piece};
use crate::{
    Error,
    column::Column,
    encode::{ColumnEncoder, EncodedColumn, FileWriter},
    kind::KindSet,
    options::Shape,
};

/// What a pass over the file needs to know beforehand.
pub(crate) struct Setup<'a> {
    pub(crate) pieces: usize,
    /// Where the first record begins.
    pub(crate) data_start: u64,
    /// Pieces that may be on their way at once.
    pub(crate) window: usize,
    pub(crate) skips_bad_rows: bool,
    pub(crate) shape: Shape,
    /// The columns of each lane.
    pub(crate) lanes: Vec<Range<usize>>,
    pub(crate) columns: usize,
    pub(crate) cancelled: &'a AtomicBool,
}

/// One thing to do.
pub(crate) enum Task {
    /// Read a piece; `known` is where it begins, `observe` that only its kinds are wanted.
    Read { piece: usize, known: Option<u64>, observe: bool },
    /// Encode a piece's columns.
    Encode { lane: usize, encoders: Vec<ColumnEncoder>, job: Job },
    /// Write a finished row group.
    Write { writer: Box<FileWriter>, columns: Vec<EncodedColumn> },
}

/// A lane's columns of one piece.
pub(crate) struct Job {
    pub(crate) columns: Vec<Column>,
    pub(crate) ends_group: bool,
}

/// How a pass ended.
pub(crate) struct Outcome {
    pub(crate) rows: u64,
    pub(crate) seen: Vec<KindSet>,
    pub(crate) issues: Issues,
    /// `None` where columns turned out not to fit, and only their kinds were looked at further.
    pub(crate) writer: Option<FileWriter>,
}

/// Why a pass ended early.
pub(crate) enum Stop {
    Error(Error),
    /// Rows that may not be skipped.
    BadRows(Issues),
    Fatal(Fatal),
}

pub(crate) struct Board<'a> {
    setup: Setup<'a>,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    next_read: usize,
    next_admit: usize,
    /// Where the piece to admit next must begin.
    expected: u64,
    /// The piece to admit next was read from the wrong place.
    again: bool,
    waiting: BTreeMap<usize, Piece>,
    lanes: Vec<Lane>,
    /// Row groups of which some lanes are ready, the oldest first.
    groups: VecDeque<Group>,
    /// Row groups that came before those.
    taken_groups: usize,
    writer: Option<Box<FileWriter>>,
    writing: bool,
    group_rows: u64,
    group_start: u64,
    observing: bool,
    rows: u64,
    seen: Vec<KindSet>,
    issues: Issues,
    stop: Option<Stop>,
}

#[derive(Default)]
struct Lane {
    queue: VecDeque<Job>,
    /// Absent while a thread works with them.
    encoders: Option<Vec<ColumnEncoder>>,
    /// Pieces encoded.
    done: usize,
    /// Row groups finished.
    groups: usize,
}

#[derive(Default)]
struct Group {
    lanes: Vec<Option<Vec<EncodedColumn>>>,
    ready: usize,
}

impl<'a> Board<'a> {
    /// `lanes` are the encoders of each lane.
    pub(crate) fn new(setup: Setup<'a>, lanes: Vec<Vec<ColumnEncoder>>, writer: FileWriter) -> Self {
        let lane = |encoders| Lane { encoders: Some(encoders), ..Lane::default() };
        let state = State {
            next_read: 0,
            next_admit: 0,
            expected: setup.data_start,
            again: false,
            waiting: BTreeMap::new(),
            lanes: lanes.into_iter().map(lane).collect(),
            groups: VecDeque::new(),
            taken_groups: 0,
            writer: Some(Box::new(writer)),
            writing: false,
            group_rows: 0,
            group_start: setup.data_start,
            observing: false,
            rows: 0,
            seen: vec![KindSet::EMPTY; setup.columns],
            issues: Issues::default(),
            stop: None,
        };
        Self { setup, state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A thread that panicked has stopped the pass; what it held doesn't matter any more.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for something to do; `None` when all is done, or the pass has stopped.
    pub(crate) fn next(&self) -> Option<Task> {
        let mut state = self.lock();
        loop {
            if self.setup.cancelled.load(Ordering::Relaxed) && state.stop.is_none() {
                state.stop = Some(Stop::Error(Error::Cancelled));
                self.changed.notify_all();
            }
            if state.stop.is_some() || state.is_done(&self.setup) {
                self.changed.notify_all();
                return None;
            }
            if let Some(task) = state.pick(&self.setup) {
                return Some(task);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes in a piece that was read.
    pub(crate) fn admit(&self, index: usize, piece: Piece) {
        let mut state = self.lock();
        state.waiting.insert(index, piece);
        state.advance(&self.setup);
        self.changed.notify_all();
    }

    /// Takes back a lane's encoders, with the chunks of a row group that they have ended.
    pub(crate) fn encoded(&self, lane: usize, encoders: Vec<ColumnEncoder>, group: Option<Vec<EncodedColumn>>) {
        let mut state = self.lock();
        let lanes = state.lanes.len();
        state.lanes[lane].encoders = Some(encoders);
        state.lanes[lane].done += 1;
        if let Some(columns) = group {
            let number = state.lanes[lane].groups;
            state.lanes[lane].groups += 1;
            let at = number - state.taken_groups;
            while state.groups.len() <= at {
                state.groups.push_back(Group { lanes: (0..lanes).map(|_| None).collect(), ready: 0 });
            }
            state.groups[at].lanes[lane] = Some(columns);
            state.groups[at].ready += 1;
        }
        self.changed.notify_all();
    }

    /// Takes back the writer.
    pub(crate) fn written(&self, writer: Box<FileWriter>) {
        let mut state = self.lock();
        state.writer = Some(writer);
        state.writing = false;
        self.changed.notify_all();
    }

    /// Ends the pass. The first reason counts.
    pub(crate) fn stop(&self, error: Error) {
        self.lock().stop.get_or_insert(Stop::Error(error));
        self.changed.notify_all();
    }

    pub(crate) fn finish(self) -> Result<Outcome, Stop> {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(stop) = state.stop {
            return Err(stop);
        }
        let writer = state.writer.filter(|_| !state.observing).map(|writer| *writer);
        Ok(Outcome { rows: state.rows, seen: state.seen, issues: state.issues, writer })
    }
}

impl State {
    fn is_done(&self, setup: &Setup<'_>) -> bool {
        let lanes_done = || self.lanes.iter().all(|lane| lane.done == setup.pieces);
        self.next_admit == setup.pieces && (self.observing || (lanes_done() && self.groups.is_empty() && !self.writing))
    }

    fn pick(&mut self, setup: &Setup<'_>) -> Option<Task> {
        if !self.observing {
            if self.groups.front().is_some_and(|group| group.ready == self.lanes.len())
                && let Some(writer) = self.writer.take()
            {
                self.writing = true;
                self.taken_groups += 1;
                let group = self.groups.pop_front().unwrap_or_default();
                let columns = group.lanes.into_iter().flatten().flatten().collect();
                return Some(Task::Write { writer, columns });
            }
            let idle =
                self.lanes.iter().enumerate().filter(|(_, lane)| lane.encoders.is_some() && !lane.queue.is_empty());
            if let Some(lane) = idle.min_by_key(|(_, lane)| lane.done).map(|(lane, _)| lane)
                && let Some(job) = self.lanes[lane].queue.pop_front()
                && let Some(encoders) = self.lanes[lane].encoders.take()
            {
                return Some(Task::Encode { lane, encoders, job });
            }
        }
        if self.again {
            self.again = false;
            return Some(Task::Read { piece: self.next_admit, known: Some(self.expected), observe: self.observing });
        }
        let finished = if self.observing {
            self.next_admit
        } else {
            self.lanes.iter().map(|lane| lane.done).min().unwrap_or(self.next_admit)
        };
        if self.next_read < setup.pieces && self.next_read - finished < setup.window {
            let piece = self.next_read;
            self.next_read += 1;
            // Where the piece before is known to end, there is nothing to guess.
            let known = (piece == self.next_admit).then_some(self.expected);
            return Some(Task::Read { piece, known, observe: self.observing });
        }
        None
    }

    /// Admits the pieces that are in line.
    fn advance(&mut self, setup: &Setup<'_>) {
        while let Some(piece) = self.waiting.remove(&self.next_admit) {
            if piece.start != Some(self.expected) {
                self.again = true;
                return;
            }
            self.take(piece, setup);
            if self.stop.is_some() {
                return;
            }
        }
    }

    fn take(&mut self, piece: Piece, setup: &Setup<'_>) {
        let Piece { end, rows, columns, seen, issues, fatal, .. } = piece;
        self.issues.merge(issues);
        if self.issues.count > 0 && !setup.skips_bad_rows {
            self.stop = Some(Stop::BadRows(std::mem::take(&mut self.issues)));
            return;
        }
        if let Some(fatal) = fatal {
            self.stop = Some(Stop::Fatal(fatal));
            return;
        }
        for (all, seen) in self.seen.iter_mut().zip(seen) {
            all.insert(seen);
        }
        self.rows += rows as u64;
        self.expected = end;
        self.next_admit += 1;
        if self.observing {
            return;
        }
        match columns.into_iter().collect::<Option<Vec<Column>>>() {
            Some(columns) => self.enqueue(columns, rows as u64, setup),
            None => self.observe_from_here(),
        }
    }

    /// A column doesn't fit: what was encoded is worthless. The rest of the pass finds out what the
    /// columns really are.
    fn observe_from_here(&mut self) {
        self.observing = true;
        for lane in &mut self.lanes {
            lane.queue.clear();
        }
        self.groups.clear();
    }

    fn enqueue(&mut self, columns: Vec<Column>, rows: u64, setup: &Setup<'_>) {
        self.group_rows += rows;
        let is_last = self.next_admit == setup.pieces;
        // A piece more would bring the group farther over its size than it is under it now.
        let is_full = self.group_rows + rows / 2 >= setup.shape.group_rows
            || self.expected - self.group_start >= setup.shape.group_bytes;
        let ends_group = self.group_rows > 0 && (is_full || is_last);
        if ends_group {
            self.group_rows = 0;
            self.group_start = self.expected;
        }
        let mut columns = columns.into_iter();
        for (lane, range) in self.lanes.iter_mut().zip(&setup.lanes) {
            lane.queue.push_back(Job { columns: columns.by_ref().take(range.len()).collect(), ends_group });
        }
    }
}
