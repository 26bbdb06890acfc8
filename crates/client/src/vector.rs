use http::Method;
use lakehouse_types::{
    Name, escape_segment,
    vector::{
        AddRequest, AddResponse, CreateIndexRequest, DeleteRequest, DeleteResponse, IndexInfo, SearchRequest,
        SearchResponse,
    },
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{ClientOptions, Error, retry::Repeat, transport::Http};

const SERVICE: &str = "vectord";

/// vectord. Cheap to clone; the clones share one pool of connections.
#[derive(Debug, Clone)]
pub struct VectorClient {
    http: Http,
}

impl VectorClient {
    /// A client of the vectord under `base`, which may have a path (a gateway's `/v1`).
    ///
    /// # Errors
    /// [`Error::Options`] where `base` is no http or https URL, or the token no header value.
    pub fn new(base: impl AsRef<str>, options: ClientOptions) -> Result<Self, Error> {
        Ok(Self { http: Http::new(SERVICE, base.as_ref(), options)? })
    }

    /// Makes an index. It is repeated only where the service did not begin: a second one would
    /// meet the first.
    ///
    /// # Errors
    /// A `Conflict` where it exists, `InvalidInput`, or what the connection gives.
    pub async fn create(&self, request: &CreateIndexRequest) -> Result<IndexInfo, Error> {
        self.post("/vectors/index", request, Repeat::IfRefused).await
    }

    /// What is known of an index.
    ///
    /// # Errors
    /// [`Error::is_not_found`] where there is none.
    pub async fn index(&self, name: &Name) -> Result<IndexInfo, Error> {
        let url = self.http.url(&index_path(name, ""), &[]);
        let attempt = async |_doubtful| {
            let response = self.http.send(self.http.request(Method::GET, &url)).await?;
            self.http.read_json(response).await
        };
        self.http.call(Repeat::Always, attempt).await
    }

    /// Adds items, all or none. It is repeated freely: adding an item again replaces it by
    /// itself. The counts are those of the attempt that was answered.
    ///
    /// # Errors
    /// [`Error::is_not_found`] where there is no such index, `InvalidInput`, or what the
    /// connection gives.
    pub async fn add(&self, name: &Name, request: &AddRequest) -> Result<AddResponse, Error> {
        self.post(&index_path(name, "/add"), request, Repeat::Always).await
    }

    /// The nearest items.
    ///
    /// # Errors
    /// [`Error::is_not_found`] where there is no such index, `InvalidInput`, or what the
    /// connection gives.
    pub async fn search(&self, name: &Name, request: &SearchRequest) -> Result<SearchResponse, Error> {
        self.post(&index_path(name, "/search"), request, Repeat::Always).await
    }

    /// Removes items. It is repeated freely; the counts are those of the attempt that was
    /// answered.
    ///
    /// # Errors
    /// [`Error::is_not_found`] where there is no such index, or what the connection gives.
    pub async fn delete(&self, name: &Name, request: &DeleteRequest) -> Result<DeleteResponse, Error> {
        self.post(&index_path(name, "/delete"), request, Repeat::Always).await
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize, repeat: Repeat) -> Result<T, Error> {
        let url = self.http.url(path, &[]);
        let attempt = async |_doubtful| {
            let response = self.http.send(self.http.request(Method::POST, &url).json(body)).await?;
            self.http.read_json(response).await
        };
        self.http.call(repeat, attempt).await
    }
}

fn index_path(name: &Name, rest: &str) -> String {
    format!("/vectors/index/{}{rest}", escape_segment(name.as_str()))
}
