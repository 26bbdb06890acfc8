use std::{
    collections::BTreeSet,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use lakehouse_types::{ErrorKind, ServiceError as _};
use prometheus_client::{encoding::text::encode, registry::Registry};
use proptest::prelude::*;
use tokio::sync::Notify;

use super::*;

/// What the fake provider does with a call.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mood {
    Good,
    OneShort,
    OtherLength,
    NotANumber,
    Empty,
    Fails,
    Stalls,
}

struct Fake {
    mood: Mutex<Mood>,
    calls: Mutex<Vec<Vec<String>>>,
    running: AtomicUsize,
    most_running: AtomicUsize,
    given_up: Notify,
}

impl Fake {
    fn new(mood: Mood) -> Arc<Self> {
        Arc::new(Self {
            mood: Mutex::new(mood),
            calls: Mutex::default(),
            running: AtomicUsize::new(0),
            most_running: AtomicUsize::new(0),
            given_up: Notify::new(),
        })
    }

    /// Tells a text from every other one.
    fn vector(text: &str) -> Vec<f32> {
        vec![text.len() as f32, text.bytes().map(f32::from).sum(), 1.0]
    }
}

struct Running<'a>(&'a Fake);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
        self.0.given_up.notify_one();
    }
}

#[async_trait]
impl Provider for Fake {
    fn name(&self) -> &'static str {
        "fake"
    }
    fn dimension(&self) -> Option<usize> {
        None
    }
    async fn embed(&self, texts: &[String]) -> Result<Vec<Embedding>, ProviderError> {
        let now = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_running.fetch_max(now, Ordering::SeqCst);
        let _running = Running(self);
        self.calls.lock().unwrap().push(texts.to_vec());
        tokio::task::yield_now().await;
        let mood = *self.mood.lock().unwrap();
        let mut made: Vec<Embedding> =
            texts.iter().map(|text| Embedding { vector: Self::vector(text), tokens: 2 }).collect();
        match mood {
            Mood::Good => {}
            Mood::OneShort => drop(made.pop()),
            Mood::OtherLength => made[0].vector.push(0.0),
            Mood::NotANumber => made[0].vector[1] = f32::NAN,
            Mood::Empty => made.iter_mut().for_each(|made| made.vector.clear()),
            Mood::Fails => return Err(ProviderError::failed("fake", "it fell over")),
            Mood::Stalls => std::future::pending().await,
        }
        Ok(made)
    }
}

fn options() -> Options {
    Options {
        model: "model".into(),
        aliases: vec!["alias".into()],
        dimension: None,
        batch_size: 4,
        max_concurrent_batches: 2,
        max_texts: 100,
        max_text_bytes: 50,
        cache_bytes: 1 << 20,
        timeout: Duration::from_secs(60),
    }
}

fn service(fake: &Arc<Fake>, options: Options) -> Service {
    Service::new(Arc::clone(fake) as Arc<dyn Provider>, options).unwrap()
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

#[tokio::test]
async fn batches_are_bounded_and_the_order_is_the_callers() {
    let fake = Fake::new(Mood::Good);
    let service = service(&fake, options());
    let asked: Vec<String> = (0..30).map(|i| "x".repeat(1 + (i * 7) % 30)).collect();
    let made = service.embed(asked.clone()).await.unwrap();
    let vectors: Vec<_> = made.iter().map(|made| made.vector.clone()).collect();
    assert_eq!(vectors, asked.iter().map(|text| Fake::vector(text)).collect::<Vec<_>>());
    let calls = fake.calls.lock().unwrap();
    assert_eq!(calls.len(), 8);
    assert!(calls.iter().all(|call| call.len() <= 4), "{calls:?}");
    assert_eq!(fake.most_running.load(Ordering::SeqCst), 2);
    assert_eq!(service.dimension(), Some(3));
}

#[tokio::test]
async fn equal_texts_are_sent_once_and_a_second_request_not_at_all() {
    let fake = Fake::new(Mood::Good);
    let service = service(&fake, options());
    let made = service.embed(texts(&["b", "a", "b", "b"])).await.unwrap();
    assert_eq!(fake.calls.lock().unwrap().concat(), texts(&["b", "a"]));
    assert!(Arc::ptr_eq(&made[0], &made[2]) && !Arc::ptr_eq(&made[0], &made[1]));
    assert_eq!(service.embed(texts(&["a", "b"])).await.unwrap(), [Arc::clone(&made[1]), Arc::clone(&made[0])]);
    service.embed(texts(&["a", "c"])).await.unwrap();
    assert_eq!(fake.calls.lock().unwrap().concat(), texts(&["b", "a", "c"]));

    let (mut registry, mut text) = (Registry::default(), String::new());
    service.metrics().register(&mut registry);
    encode(&mut text, &registry).unwrap();
    for line in [
        "embed_texts_total 8",
        "embed_texts_repeated_total 2",
        "embed_tokens_total 16",
        "embed_cache_hits_total 3",
        "embed_cache_misses_total 3",
        "embed_provider_calls_total 2",
        "embed_provider_calls_in_flight 0",
        "embed_provider_call_seconds_count 2",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[tokio::test]
async fn requests_that_say_nothing_or_too_much_are_refused() {
    let fake = Fake::new(Mood::Good);
    let service = service(&fake, options());
    for (asked, error, kind) in [
        (texts(&[]), Error::NoTexts, ErrorKind::InvalidInput),
        (texts(&["a", ""]), Error::EmptyText { position: 1 }, ErrorKind::InvalidInput),
        (texts(&[" \n\u{a0}"]), Error::EmptyText { position: 0 }, ErrorKind::InvalidInput),
        (vec!["a".into(); 101], Error::TooManyTexts { count: 101, max: 100 }, ErrorKind::TooLarge),
        (vec!["a".into(), "é".repeat(26)], Error::TextTooLong { position: 1, bytes: 52, max: 50 }, ErrorKind::TooLarge),
    ] {
        let got = service.embed(asked).await.unwrap_err();
        assert_eq!(got, error);
        assert_eq!(got.kind(), kind);
    }
    assert!(fake.calls.lock().unwrap().is_empty());
}

#[tokio::test]
async fn nonsense_is_the_providers_fault_and_is_not_cached() {
    let fake = Fake::new(Mood::Good);
    let service = service(&fake, options());
    service.embed(texts(&["first"])).await.unwrap();
    for (mood, words) in [
        (Mood::OneShort, "1 vectors for 2 texts"),
        (Mood::OtherLength, "4 dimensions"),
        (Mood::NotANumber, "not finite"),
        (Mood::Empty, "empty vector"),
        (Mood::Fails, "it fell over"),
    ] {
        *fake.mood.lock().unwrap() = mood;
        let error = service.embed(texts(&["a", "b"])).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadGateway, "{mood:?}");
        assert!(error.detail().contains(words), "{mood:?}: {error}");
    }
    *fake.mood.lock().unwrap() = Mood::Good;
    assert!(service.embed(texts(&["a", "b"])).await.is_ok());
}

#[tokio::test]
async fn a_wrong_first_answer_fixes_no_dimension() {
    let fake = Fake::new(Mood::OtherLength);
    let service = service(&fake, options());
    assert!(service.embed(texts(&["a", "b"])).await.is_err());
    assert_eq!(service.dimension(), None);
    *fake.mood.lock().unwrap() = Mood::Good;
    assert!(service.embed(texts(&["a", "b"])).await.is_ok());
    assert_eq!(service.dimension(), Some(3));
}

#[tokio::test]
async fn the_configured_dimension_holds() {
    let fake = Fake::new(Mood::Good);
    let service = service(&fake, Options { dimension: Some(8), ..options() });
    let error = service.embed(texts(&["a"])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadGateway);
    assert!(error.detail().contains("3 dimensions among those of 8"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn silence_ends_at_the_timeout() {
    let fake = Fake::new(Mood::Stalls);
    let service = service(&fake, options());
    let error = service.embed(texts(&["a"])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(fake.running.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn a_batch_without_a_turn_is_told_to_come_again() {
    let fake = Fake::new(Mood::Stalls);
    let service = service(&fake, Options { max_concurrent_batches: 1, ..options() });
    let (first, second) = tokio::join!(service.embed(texts(&["a"])), async {
        // The first one has the only turn by now, and keeps it for as long as this one waits.
        tokio::time::sleep(Duration::from_millis(1)).await;
        let begun = service.turns.try_acquire();
        assert!(begun.is_err());
        tokio::time::timeout(Duration::from_secs(59), service.embed(texts(&["b"]))).await
    });
    assert_eq!(first.unwrap_err().kind(), ErrorKind::Timeout);
    assert!(second.is_err(), "the second one waits for the whole timeout");
    let turn = service.turns.acquire().await.unwrap();
    assert_eq!(service.embed(texts(&["c"])).await.unwrap_err(), Error::Busy);
    drop(turn);
}

#[tokio::test]
async fn a_caller_that_goes_away_takes_its_call_along() {
    let fake = Fake::new(Mood::Stalls);
    let service = Arc::new(service(&fake, options()));
    let task = tokio::spawn({
        let service = Arc::clone(&service);
        async move { service.embed(texts(&["a"])).await }
    });
    while fake.running.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    task.abort();
    fake.given_up.notified().await;
    assert_eq!(fake.running.load(Ordering::SeqCst), 0);
    *fake.mood.lock().unwrap() = Mood::Good;
    assert!(service.embed(texts(&["a"])).await.is_ok());
}

#[test]
fn models_have_their_names() {
    let service = service(&Fake::new(Mood::Good), options());
    assert!(service.check_model("model").is_ok() && service.check_model("alias").is_ok());
    let error = service.check_model("other").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(error.to_string(), "there is no model `other` here; `model` is served");
    assert_eq!(service.names().collect::<Vec<_>>(), ["model", "alias"]);
}

#[test]
fn options_that_serve_nothing_name_their_key() {
    let refused = |options: Options| Service::new(Fake::new(Mood::Good), options).unwrap_err().to_string();
    assert!(refused(Options { batch_size: 0, ..options() }).contains("batch_size"));
    assert!(refused(Options { max_concurrent_batches: 0, ..options() }).contains("max_concurrent_batches"));
    assert!(refused(Options { max_texts: 0, ..options() }).contains("max_texts"));
    assert!(refused(Options { max_text_bytes: 0, ..options() }).contains("max_text_bytes"));
    assert!(refused(Options { timeout: Duration::ZERO, ..options() }).contains("timeout_seconds"));
    let hash = Arc::new(crate::Hash::new(64).unwrap());
    let error = Service::new(hash, Options { dimension: Some(384), ..options() }).unwrap_err();
    assert_eq!(error.to_string(), "dimension: 384, but the vectors of `hash` have 64");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_is_asked_comes_back_in_its_place(
        requests in prop::collection::vec(prop::collection::vec("[a-c]{1,3}", 1..20), 1..5),
        batch_size in 1_usize..6,
        max_concurrent_batches in 1_usize..4,
        cache_bytes in prop::sample::select(vec![0_u64, 600, 1 << 20]),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let fake = Fake::new(Mood::Good);
        let service = service(&fake, Options { batch_size, max_concurrent_batches, cache_bytes, ..options() });
        for request in requests {
            fake.calls.lock().unwrap().clear();
            let made = runtime.block_on(service.embed(request.clone())).unwrap();
            let vectors: Vec<_> = made.iter().map(|made| made.vector.clone()).collect();
            prop_assert_eq!(vectors, request.iter().map(|text| Fake::vector(text)).collect::<Vec<_>>());
            let sent = fake.calls.lock().unwrap().concat();
            prop_assert_eq!(sent.len(), sent.iter().collect::<BTreeSet<_>>().len());
        }
        prop_assert!(fake.most_running.load(Ordering::SeqCst) <= max_concurrent_batches);
    }
}
