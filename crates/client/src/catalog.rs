use http::{HeaderValue, Method, StatusCode, header};
use lakehouse_types::{
    Name,
    catalog::{ListResponse, Manifest, RegisterRequest, RegisterResponse},
    escape_segment,
};

use crate::{
    ClientOptions, Error,
    retry::{Failure, Fate, Repeat},
    transport::Http,
};

const SERVICE: &str = "catalogd";

/// catalogd. Cheap to clone; the clones share one pool of connections.
#[derive(Debug, Clone)]
pub struct CatalogClient {
    http: Http,
}

impl CatalogClient {
    /// A client of the catalogd under `base`, which may have a path (a gateway's `/v1`).
    ///
    /// # Errors
    /// [`Error::Options`] where `base` is no http or https URL, or the token no header value.
    pub fn new(base: impl AsRef<str>, options: ClientOptions) -> Result<Self, Error> {
        Ok(Self { http: Http::new(SERVICE, base.as_ref(), options)? })
    }

    /// Registers files under a name. It is repeated freely, for catalogd takes the same
    /// registration twice as one; `existing` then speaks of the attempt that was answered.
    ///
    /// # Errors
    /// A `Conflict` when the schema drifted or the name differs from another only by case,
    /// `InvalidInput`, or what the connection gives.
    pub async fn register(&self, request: &RegisterRequest) -> Result<RegisterResponse, Error> {
        let url = self.http.url("/catalog/register", &[]);
        let attempt = async |_doubtful| {
            let response = self.http.send(self.http.request(Method::POST, &url).json(request)).await?;
            self.http.read_json(response).await
        };
        self.http.call(Repeat::Always, attempt).await
    }

    /// The newest version of a dataset.
    ///
    /// # Errors
    /// [`Error::is_not_found`] where there is none.
    pub async fn manifest(&self, name: &Name) -> Result<Manifest, Error> {
        let url = self.http.url(&manifest_path(name), &[]);
        let attempt = async |_doubtful| {
            let response = self.http.send(self.http.request(Method::GET, &url)).await?;
            self.http.read_json(response).await
        };
        self.http.call(Repeat::Always, attempt).await
    }

    /// All datasets with schema and files, and the tag of this state; `None` where the catalog
    /// still has the state `known`. That is the cheap check for changes.
    ///
    /// # Errors
    /// What the connection gives.
    pub async fn list(&self, known: Option<&str>) -> Result<Option<(ListResponse, String)>, Error> {
        self.list_with(&[("full", "true")], known).await
    }

    /// Like [`Self::list`], with `schema` and `objects` left empty.
    ///
    /// # Errors
    /// What the connection gives.
    pub async fn list_short(&self, known: Option<&str>) -> Result<Option<(ListResponse, String)>, Error> {
        self.list_with(&[], known).await
    }

    async fn list_with(
        &self,
        query: &[(&str, &str)],
        known: Option<&str>,
    ) -> Result<Option<(ListResponse, String)>, Error> {
        let url = self.http.url("/catalog/list", query);
        let attempt = async |_doubtful| {
            let mut request = self.http.request(Method::GET, &url);
            if let Some(tag) = known {
                request = request.header(header::IF_NONE_MATCH, tag);
            }
            let response = self.http.send(request).await?;
            if response.status() == StatusCode::NOT_MODIFIED {
                return Ok(None);
            }
            let tag = response.headers().get(header::ETAG).and_then(tag_text);
            let tag = tag.ok_or_else(|| Failure {
                error: Error::nonsense(SERVICE, "the list has no ETag"),
                fate: Fate::Final,
            })?;
            Ok(Some((self.http.read_json(response).await?, tag)))
        };
        self.http.call(Repeat::Always, attempt).await
    }

    /// Removes a dataset; false where there was none.
    ///
    /// # Errors
    /// What the connection gives.
    pub async fn delete(&self, name: &Name) -> Result<bool, Error> {
        let url = self.http.url(&manifest_path(name), &[]);
        let attempt = async |doubtful| match self.http.send(self.http.request(Method::DELETE, &url)).await {
            Ok(_) => Ok(true),
            // An earlier attempt may have been the one that removed it.
            Err(failure) if failure.error.is_not_found() => Ok(doubtful),
            Err(failure) => Err(failure),
        };
        self.http.call(Repeat::Always, attempt).await
    }
}

fn manifest_path(name: &Name) -> String {
    format!("/catalog/manifest/{}", escape_segment(name.as_str()))
}

/// The tag as it came, quotes and all: it is only ever sent back.
fn tag_text(value: &HeaderValue) -> Option<String> {
    value.to_str().ok().map(str::to_owned)
}
