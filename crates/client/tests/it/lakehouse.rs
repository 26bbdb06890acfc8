//! The clients that programs outside of the services use, through a gateway.

use std::io;

use bytes::Bytes;
use futures::StreamExt as _;
use lakehouse_client::{Error, IngestUpload, LakehouseClient};
use lakehouse_types::{
    Name, ServiceError as _,
    vector::{AddItem, AddRequest, CreateIndexRequest, DeleteRequest, Distance, SearchRequest},
};

use crate::server::{Act, Server, answer, options, problem};

fn lakehouse(server: &Server) -> LakehouseClient {
    LakehouseClient::new(&server.url(), &options()).unwrap()
}

fn name() -> Name {
    Name::new("my evidence").unwrap()
}

fn upload(size: Option<u64>) -> IngestUpload {
    IngestUpload {
        name: name(),
        file_name: "day \"1\".ndjson".into(),
        parameters: vec![("mode".into(), "append".into())],
        size,
    }
}

const INGESTED: &str = r#"{"name":"my evidence","fingerprint":"f","key":"datasets/x","rows":2,"columns":[],"bytes":9,
    "existing":false,"version":1}"#;

#[tokio::test]
async fn a_file_goes_out_as_a_form_piece_by_piece() {
    for size in [None, Some(100 << 10)] {
        let server = Server::start([answer(200, INGESTED)]).await;
        let pieces = futures::stream::iter((0..100).map(|_| Ok(Bytes::from(vec![b'x'; 1 << 10])))).boxed();
        let ingested = lakehouse(&server).ingest.ingest(&upload(size), pieces).await.unwrap();
        assert_eq!((ingested.rows, ingested.version), (2, 1));
        let request = server.request();
        assert_eq!(request.line, "POST /v1/ingest?name=my+evidence&mode=append HTTP/1.1");
        assert!(request.header("content-type").unwrap().starts_with("multipart/form-data; boundary="));
        assert_eq!(request.header("content-length").is_some(), size.is_some());
        let text = String::from_utf8(request.body).unwrap();
        assert!(text.contains("form-data; name=\"file\"; filename=\"day "), "{}", &text[..300]);
        assert!(text.contains(&format!("\r\n\r\n{}\r\n--", "x".repeat(100 << 10))));
    }
}

#[tokio::test]
async fn an_upload_that_was_begun_is_not_repeated_and_a_torn_source_is_told() {
    let whole = || futures::stream::iter([Ok(Bytes::from("a\n1\n"))]).boxed();
    for act in [Act::HangUp, problem(503, "unavailable")] {
        let server = Server::start([act.clone(), answer(200, INGESTED)]).await;
        lakehouse(&server).ingest.ingest(&upload(None), whole()).await.unwrap_err();
        assert_eq!(server.requests().len(), 1, "{act:?}");
    }
    let server = Server::start([]).await;
    let torn = futures::stream::iter([Ok(Bytes::from("a\n")), Err(io::Error::other("tape torn"))]).boxed();
    let error = lakehouse(&server).ingest.ingest(&upload(None), torn).await.unwrap_err();
    assert!(matches!(&error, Error::Body(cause) if cause.to_string() == "tape torn"), "{error:?}");
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn vectors_are_made_filled_searched_and_emptied() {
    let info = r#"{"name":"my evidence","dimension":2,"distance":"cosine","m":16,"ef_construction":200,"ef_search":64,
        "count":0,"indexed":0}"#;
    let server = Server::start([
        problem(404, "not-found"),
        answer(201, info),
        Act::HangUp,
        answer(200, r#"{"added":1,"updated":0}"#),
        answer(200, r#"{"results":[{"id":"a","distance":0.0,"metadata":{"n":1}}]}"#),
        answer(200, r#"{"deleted":1,"missing":0}"#),
    ])
    .await;
    let vectors = lakehouse(&server).vectors;
    assert!(vectors.index(&name()).await.unwrap_err().is_not_found());
    let create = CreateIndexRequest {
        name: name(),
        dimension: 2,
        distance: Distance::Cosine,
        m: None,
        ef_construction: None,
        ef_search: None,
    };
    assert_eq!(vectors.create(&create).await.unwrap().m, 16);
    let add = AddRequest { items: vec![AddItem { id: "a".into(), vector: vec![1.0, 0.5], metadata: None }] };
    assert_eq!(vectors.add(&name(), &add).await.unwrap().added, 1);
    let search = SearchRequest {
        vector: Some(vec![1.0, 0.5]),
        text: None,
        k: 1,
        ef: None,
        filter: None,
        with_vectors: false,
        exact: false,
    };
    assert_eq!(vectors.search(&name(), &search).await.unwrap().results[0].id, "a");
    let delete = DeleteRequest { ids: vec!["a".into()] };
    assert_eq!(vectors.delete(&name(), &delete).await.unwrap().deleted, 1);
    let lines: Vec<String> = server.requests().into_iter().map(|request| request.line).collect();
    assert_eq!(
        lines,
        [
            "GET /v1/vectors/index/my%20evidence HTTP/1.1",
            "POST /v1/vectors/index HTTP/1.1",
            "POST /v1/vectors/index/my%20evidence/add HTTP/1.1",
            "POST /v1/vectors/index/my%20evidence/add HTTP/1.1",
            "POST /v1/vectors/index/my%20evidence/search HTTP/1.1",
            "POST /v1/vectors/index/my%20evidence/delete HTTP/1.1",
        ]
    );
}

#[tokio::test]
async fn an_index_is_not_made_twice() {
    let server = Server::start([Act::HangUp, problem(409, "conflict")]).await;
    let create = CreateIndexRequest {
        name: name(),
        dimension: 2,
        distance: Distance::L2,
        m: None,
        ef_construction: None,
        ef_search: None,
    };
    let error = lakehouse(&server).vectors.create(&create).await.unwrap_err();
    assert_eq!(error.detail(), "vectord is not available");
    assert_eq!(server.requests().len(), 1);
}
