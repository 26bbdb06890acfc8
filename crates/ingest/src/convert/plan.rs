//! Everything about a file that must be known before its rows are read.

use lakehouse_types::ingest::{RenamedColumn, Warning};

use super::{
    head::{HEAD_BYTES, Head},
    piece::PieceReader,
    source::Source,
    warnings,
};
use crate::{
    Error, Limits, Options,
    column::Target,
    csv::{Dialect, Names, fold, unique_names},
    kind::{KindSet, resolve_columns},
    schema::ColumnType,
    value::Notation,
};

/// How a file is to be read.
pub(crate) struct Plan {
    pub(crate) dialect: Dialect,
    pub(crate) notation: Notation,
    pub(crate) names: Vec<String>,
    pub(crate) renamed: Vec<RenamedColumn>,
    pub(crate) warnings: Vec<Warning>,
    /// The first byte after the header.
    pub(crate) data_start: u64,
    pub(crate) declared: Vec<Option<ColumnType>>,
    /// Kinds found in rows at the beginning of the file: the columns have at least these.
    known: Vec<KindSet>,
    /// Types to begin with, from a sample over the whole file.
    pub(crate) guess: Vec<ColumnType>,
}

/// Samples along the rest of the file, and bytes of each: a type that only shows further down is
/// found before the first conversion and not by its failure.
const SPOTS: u64 = 15;
const SPOT_BYTES: u64 = 32 << 10;

/// The longest column name in bytes.
const MAX_NAME_BYTES: usize = 1024;

impl Plan {
    pub(crate) fn columns(&self) -> usize {
        self.names.len()
    }

    /// The targets of a pass that builds columns of `types`.
    pub(crate) fn targets(&self, types: &[ColumnType]) -> Vec<Target> {
        let known = self.known.iter();
        let columns = types.iter().zip(&self.declared).zip(known);
        columns.map(|((ty, declared), known)| Target { ty: *ty, declared: declared.is_some(), known: *known }).collect()
    }

    pub(crate) fn make(source: &Source, options: &Options, limits: &Limits) -> Result<Self, Error> {
        let head = Head::read(source, options, limits)?;
        let names = names(&head, source, options, limits)?;
        let declared = declared_types(options, &names.names)?;
        let columns = names.names.len();
        let mut plan = Self {
            dialect: head.dialect,
            names: names.names,
            warnings: warnings::of_head(&head, &names.renamed, source)?,
            renamed: names.renamed,
            data_start: head.data_start,
            notation: options.notation(),
            known: vec![KindSet::EMPTY; columns],
            guess: declared.iter().map(|ty| ty.unwrap_or(ColumnType::Varchar)).collect(),
            declared,
        };
        plan.sample(source, limits)?;
        Ok(plan)
    }

    /// Finds kinds at the beginning (which are certain) and along the file (which may be misread, for
    /// nobody knows where its records begin; they only make a guess).
    fn sample(&mut self, source: &Source, limits: &Limits) -> Result<(), Error> {
        let head_end = source.size().min(self.data_start + HEAD_BYTES as u64);
        let targets = self.targets(&self.guess);
        let mut reader = PieceReader::new(source, self, &targets, limits);
        let mut observe = |range, known| reader.read(range, known, true);
        let known = observe(self.data_start..head_end, Some(self.data_start))?.seen;
        let mut guess = known.clone();
        let step = (source.size() - head_end) / SPOTS;
        if step > 2 * SPOT_BYTES {
            for spot in 1..=SPOTS {
                let end = head_end + step * spot;
                let piece = observe(end - SPOT_BYTES..end, None)?;
                for (guess, seen) in guess.iter_mut().zip(piece.seen) {
                    guess.insert(seen);
                }
            }
        }
        let guessed = resolve_columns(&guess).into_iter();
        self.guess = guessed.zip(&self.declared).map(|(guess, declared)| declared.unwrap_or(guess)).collect();
        self.known = known;
        Ok(())
    }
}

/// What the columns are called, and how many there are.
fn names(head: &Head, source: &Source, options: &Options, limits: &Limits) -> Result<Names, Error> {
    let columns = head.header.as_ref().map_or(head.usual_fields, |(cells, _)| cells.len());
    if columns > limits.max_columns {
        let max = limits.max_columns;
        return Err(Error::TooLarge(format!("the file has more than {max} columns")));
    }
    let Some((cells, offset)) = &head.header else {
        let names = (1..=columns).map(|position| format!("column{position}")).collect();
        return Ok(Names { names, renamed: Vec::new() });
    };
    let mut header = Vec::with_capacity(columns);
    for (position, cell) in cells.iter().enumerate() {
        if cell.len() > MAX_NAME_BYTES {
            let hint = if options.header().is_none() { "; if the file has no header, say `header=false`" } else { "" };
            return Err(Error::Invalid(format!(
                "the name of column {} is longer than {MAX_NAME_BYTES} bytes{hint}",
                position + 1
            )));
        }
        let Ok(name) = std::str::from_utf8(cell) else {
            let line = source.line_of(*offset)?;
            return Err(Error::Invalid(format!("line {line}: the name of column {} is not UTF-8", position + 1)));
        };
        header.push(name.to_owned());
    }
    Ok(unique_names(&header))
}

fn declared_types(options: &Options, names: &[String]) -> Result<Vec<Option<ColumnType>>, Error> {
    let mut declared = vec![None; names.len()];
    for over in options.types() {
        let exact = names.iter().position(|name| *name == over.column);
        let folded = || names.iter().position(|name| fold(name) == fold(&over.column));
        let column = exact.or_else(folded).ok_or_else(|| {
            let some: Vec<&str> = names.iter().take(20).map(String::as_str).collect();
            Error::Invalid(format!("`types` names column `{}`; the file has {}", over.column, some.join(", ")))
        })?;
        declared[column] = Some(over.column_type);
    }
    Ok(declared)
}
