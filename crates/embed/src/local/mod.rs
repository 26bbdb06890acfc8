//! A sentence model in a directory, as sentence-transformers writes it, run in this process.
//!
//! ```text
//! files.rs     what the directory's JSON files say, checked before anything is made of it
//! model.rs     tokenizer and weights; a batch of texts through the encoder
//! pooling.rs   from the vectors of a text's tokens to the one of the text
//! ```
//!
//! The model works on a thread of its own: a forward pass takes milliseconds to seconds, and one
//! pass already uses all cores.

mod files;
mod model;
mod pooling;

#[cfg(test)]
mod tests;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    thread,
};

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};

use crate::{Embedding, Provider, ProviderError};
use model::Model;

pub use files::LoadError;

const NAME: &str = "local";
/// Batches that may wait for the thread. The service lets far fewer through.
const QUEUE: usize = 64;
const STOPPED: &str = "the model's thread has stopped";

/// The provider `local`.
#[derive(Debug)]
pub struct Local {
    jobs: mpsc::Sender<Job>,
    dimension: usize,
}

struct Job {
    texts: Vec<String>,
    answer: oneshot::Sender<Result<Vec<Embedding>, ProviderError>>,
}

impl Local {
    /// Reads the model in `directory` and starts its thread. Takes as long as reading the weights
    /// takes: not for an async worker.
    ///
    /// # Errors
    /// [`LoadError`] names the file and what is wrong with it.
    pub fn load(directory: &Path) -> Result<Self, LoadError> {
        let model = Model::load(directory)?;
        let dimension = model.dimension();
        let (jobs, queue) = mpsc::channel(QUEUE);
        thread::Builder::new()
            .name("embed-model".to_owned())
            .spawn(move || work(&model, queue))
            .map_err(|error| LoadError::new("its thread", error.to_string()))?;
        Ok(Self { jobs, dimension })
    }
}

/// Ends when the provider is dropped.
fn work(model: &Model, mut queue: mpsc::Receiver<Job>) {
    while let Some(Job { texts, answer }) = queue.blocking_recv() {
        let given_up = || answer.is_closed();
        // A bug in a kernel must not take the thread, and with it the service, along.
        let made = catch_unwind(AssertUnwindSafe(|| model.embed(&texts, given_up))).unwrap_or_else(|_| {
            Err(ProviderError::Failed {
                provider: NAME,
                reason: "the model panicked; the message is in the log above".to_owned(),
                public: "it could not embed these texts".to_owned(),
            })
        });
        // Who went away meanwhile does not miss the answer.
        let _ = answer.send(made);
    }
}

#[async_trait]
impl Provider for Local {
    fn name(&self) -> &'static str {
        NAME
    }

    fn dimension(&self) -> Option<usize> {
        Some(self.dimension)
    }

    async fn embed(&self, texts: &[String]) -> Result<Vec<Embedding>, ProviderError> {
        let (answer, made) = oneshot::channel();
        let job = Job { texts: texts.to_vec(), answer };
        self.jobs.send(job).await.map_err(|_| ProviderError::failed(NAME, STOPPED))?;
        made.await.unwrap_or_else(|_| Err(ProviderError::failed(NAME, STOPPED)))
    }
}
