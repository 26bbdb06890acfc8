use std::time::Duration;

use http::Method;
use lakehouse_objstore::ByteStream;
use lakehouse_types::{Name, ingest::IngestResponse};
use reqwest::multipart::{Form, Part};

use crate::{
    ClientOptions, Error, body,
    retry::{Failure, Fate, Repeat},
    transport::Http,
};

const SERVICE: &str = "ingestd";

/// How long the conversion may take after the last byte was sent: the gateway waits as long.
const CONVERSION: Duration = Duration::from_secs(600);

/// ingestd. Cheap to clone; the clones share one pool of connections.
#[derive(Debug, Clone)]
pub struct IngestClient {
    http: Http,
}

/// What is uploaded, and how it is to be read.
#[derive(Debug, Clone)]
pub struct Upload {
    /// The dataset.
    pub name: Name,
    /// The name of the file, whose ending tells its format.
    pub file_name: String,
    /// Further parameters of the call, such as `("mode", "append")`.
    pub parameters: Vec<(String, String)>,
    /// The size in bytes, where it is known.
    pub size: Option<u64>,
}

impl IngestClient {
    /// A client of the ingestd under `base`, which may have a path (a gateway's `/v1`).
    ///
    /// # Errors
    /// [`Error::Options`] where `base` is no http or https URL, or the token no header value.
    pub fn new(base: impl AsRef<str>, options: ClientOptions) -> Result<Self, Error> {
        Ok(Self { http: Http::new(SERVICE, base.as_ref(), options)? })
    }

    /// Uploads a file, in pieces as they come. It is repeated only while not a byte was taken;
    /// ingesting the same bytes again is harmless, but only the caller has them.
    ///
    /// # Errors
    /// `InvalidInput` for what can't be read, `TooLarge`, `Conflict` for a schema that drifted,
    /// [`Error::Body`] where `source` fails, or what the connection gives.
    pub async fn ingest(&self, upload: &Upload, source: ByteStream) -> Result<IngestResponse, Error> {
        let mut query = vec![("name", upload.name.as_str())];
        query.extend(upload.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let url = self.http.url("/ingest", &query);
        let file = body::Upload::new(source, upload.size);
        let attempt = async |_doubtful| {
            let part = match upload.size {
                Some(size) => Part::stream_with_length(file.body(), size),
                None => Part::stream(file.body()),
            };
            let part = part.file_name(upload.file_name.clone()).mime_str("application/octet-stream");
            let part = part.map_err(|error| {
                let error = Error::nonsense(SERVICE, format!("build request: {error}"));
                Failure { error, fate: Fate::Final }
            })?;
            let request = self.http.request(Method::POST, &url).multipart(Form::new().part("file", part));
            let response = self.http.send_upload(request, &file, CONVERSION).await?;
            self.http.read_json(response).await
        };
        self.http.call(Repeat::IfUnsent, attempt).await
    }
}
