use http::Method;
use lakehouse_types::embed::{EmbedRequest, EmbedResponse};

use crate::{ClientOptions, Error, retry::Repeat, transport::Http};

const SERVICE: &str = "embedd";

/// embedd. Cheap to clone; the clones share one pool of connections.
#[derive(Debug, Clone)]
pub struct EmbedClient {
    http: Http,
}

impl EmbedClient {
    /// A client of the embedd under `base`, which may have a path (a gateway's `/v1`).
    ///
    /// # Errors
    /// [`Error::Options`] where `base` is no http or https URL, or the token no header value.
    pub fn new(base: impl AsRef<str>, options: ClientOptions) -> Result<Self, Error> {
        Ok(Self { http: Http::new(SERVICE, base.as_ref(), options)? })
    }

    /// One vector for each text, in the order of the texts.
    ///
    /// # Errors
    /// `InvalidInput` for an empty text, `BadGateway` and `Timeout` from the provider, and
    /// [`Error::Nonsense`] where the answer does not have one vector a text, all of one length.
    pub async fn embed(&self, request: &EmbedRequest) -> Result<EmbedResponse, Error> {
        let url = self.http.url("/embed", &[]);
        let attempt = async |_doubtful| {
            let response = self.http.send(self.http.request(Method::POST, &url).json(request)).await?;
            self.http.read_json::<EmbedResponse>(response).await
        };
        let answer = self.http.call(Repeat::Always, attempt).await?;
        if answer.vectors.len() != request.texts.len() {
            let reason = format!("{} vectors for {} texts", answer.vectors.len(), request.texts.len());
            return Err(Error::nonsense(SERVICE, reason));
        }
        if answer.vectors.iter().any(|vector| vector.len() != answer.dimension) {
            return Err(Error::nonsense(SERVICE, format!("a vector's length is not {}", answer.dimension)));
        }
        Ok(answer)
    }
}
