/// Why a command could not be carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A file.
    #[error(transparent)]
    Files(#[from] lakehouse_distill::files::Error),
    /// What was asked makes no sense here.
    #[error("{0}")]
    Unusable(String),
    /// The lakehouse.
    #[error("{0}")]
    Lakehouse(String),
    /// A source was written over while it was read.
    #[error("{0} was changed, not only appended to, while it was read: run again")]
    Changed(String),
    /// A file of our own could not be used.
    #[error("spill to a temporary file: {0}")]
    Spill(#[source] std::io::Error),
}

pub(crate) type Result<T> = std::result::Result<T, Error>;
