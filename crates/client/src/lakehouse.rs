use crate::{CatalogClient, ChatClient, ClientOptions, EmbedClient, Error, IngestClient, StoreClient, VectorClient};

/// All services behind one gateway, for programs that are clients of the lakehouse.
#[derive(Debug, Clone)]
pub struct LakehouseClient {
    /// Objects.
    pub store: StoreClient,
    /// Datasets.
    pub catalog: CatalogClient,
    /// Files in.
    pub ingest: IngestClient,
    /// Texts to vectors.
    pub embed: EmbedClient,
    /// Vector indexes.
    pub vectors: VectorClient,
    /// The model behind the gateway.
    pub chat: ChatClient,
}

impl LakehouseClient {
    /// Clients of the gateway at `url`, such as `http://127.0.0.1:3110`.
    ///
    /// # Errors
    /// [`Error::Options`] where `url` is no http or https URL, or the token no header value.
    pub fn new(url: &str, options: &ClientOptions) -> Result<Self, Error> {
        let base = format!("{}/v1", url.trim_end_matches('/'));
        Ok(Self {
            store: StoreClient::new(&base, options.clone())?,
            catalog: CatalogClient::new(&base, options.clone())?,
            ingest: IngestClient::new(&base, options.clone())?,
            embed: EmbedClient::new(&base, options.clone())?,
            vectors: VectorClient::new(&base, options.clone())?,
            chat: ChatClient::new(format!("{base}/chat"), options.clone())?,
        })
    }
}
