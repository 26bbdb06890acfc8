use std::{sync::Arc, time::Instant};

use axum::{
    Router,
    extract::{DefaultBodyLimit, RawQuery, Request, State},
    routing::post,
};
use lakehouse_common::{ApiError, extract::Json};
use lakehouse_ingest::{IngestRequest, Options, SweepReport};
use lakehouse_types::{ErrorKind, Name, catalog::Mode, ingest::IngestResponse};
use percent_encoding::percent_decode_str;

use crate::{AppState, form};

/// ingestd's routes.
pub fn router(state: AppState) -> Router {
    Router::new()
        .route("/ingest", post(ingest))
        .route("/ingest/sweep", post(sweep))
        // The form is counted as it streams.
        .layer(DefaultBodyLimit::disable())
        .with_state(state)
}

async fn ingest(
    State(state): State<AppState>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Json<IngestResponse>, ApiError> {
    let started = Instant::now();
    let done = take(&state, query.as_deref().unwrap_or_default(), request).await;
    let (outcome, rows) = match &done {
        Ok(response) if response.existing => ("existing", 0),
        Ok(response) => ("written", response.rows),
        Err(error) => (error.kind().slug(), 0),
    };
    state.metrics.done(outcome, rows, started.elapsed());
    Ok(Json(done?))
}

async fn take(state: &AppState, query: &str, request: Request) -> Result<IngestResponse, ApiError> {
    let wanted = parse_query(query)?;
    // Before a byte of the body is read: who has to come back should not send a gigabyte first.
    let _place = state.ingestor.enter()?;
    let (parts, body) = request.into_parts();
    let upload = form::spool(state, &parts.headers, body, &wanted.options).await?;
    let ingestor = Arc::clone(&state.ingestor);
    Ok(ingestor.ingest(wanted, upload).await?)
}

fn invalid(detail: impl Into<String>) -> ApiError {
    ApiError::new(ErrorKind::InvalidInput, detail)
}

/// `name=...&mode=...` and the options of the file. Each at most once, none unknown: a slip in an
/// option's name must not silently ingest something else.
fn parse_query(query: &str) -> Result<IngestRequest, ApiError> {
    let mut name = None;
    let mut mode = None;
    let mut options = Options::default();
    let mut seen = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (key, value) = (decode(key)?, decode(value)?);
        if seen.contains(&key) {
            return Err(invalid(format!("`{key}` is given twice")));
        }
        match key.as_str() {
            "name" => name = Some(Name::new(value)?),
            "mode" => mode = Some(parse_mode(&value)?),
            option if Options::NAMES.contains(&option) => options.set(option, &value)?,
            other => {
                let known = Options::NAMES.join(", ");
                return Err(invalid(format!("there is no parameter `{other}`; there are name, mode, {known}")));
            }
        }
        seen.push(key);
    }
    let name = name.ok_or_else(|| invalid("`name` is missing: POST /ingest?name=DATASET"))?;
    Ok(IngestRequest { name, mode: mode.unwrap_or_default(), options })
}

fn parse_mode(value: &str) -> Result<Mode, ApiError> {
    match value {
        "replace" => Ok(Mode::Replace),
        "append" => Ok(Mode::Append),
        _ => Err(invalid(format!("`mode` is `replace` or `append`, not `{value}`"))),
    }
}

/// As forms encode: `+` is a space.
fn decode(text: &str) -> Result<String, ApiError> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    decoded.map(std::borrow::Cow::into_owned).map_err(|_| invalid("the query string is not UTF-8"))
}

async fn sweep(State(state): State<AppState>) -> Result<Json<SweepReport>, ApiError> {
    let report = state.ingestor.sweep().await?;
    state.metrics.swept(&report);
    Ok(Json(report))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_names_the_dataset_and_the_options() {
        let wanted = parse_query("name=O%27Brien%27s+data&mode=append&header=false&types=a:VARCHAR").unwrap();
        assert_eq!(wanted.name.as_str(), "O'Brien's data");
        assert_eq!(wanted.mode, Mode::Append);
        assert_ne!(wanted.options, Options::default());
        assert_eq!(parse_query("name=a").unwrap().options, Options::default());
    }

    #[test]
    fn what_is_wrong_with_a_query_is_named() {
        for (query, named) in [
            ("", "`name` is missing"),
            ("name=", "invalid name"),
            ("name=a%2Fb", "invalid name"),
            ("name=a&name=b", "given twice"),
            ("name=a&mode=upsert", "`mode`"),
            ("name=a&delimeter=;", "there is no parameter `delimeter`"),
            ("name=a&header=maybe", "`header`"),
            ("name=%ff", "UTF-8"),
        ] {
            let error = parse_query(query).unwrap_err();
            assert!(error.detail().contains(named), "{query}: {}", error.detail());
        }
    }
}
