use bm25::{DefaultTokenizer, Embedder, EmbedderBuilder, Language, LanguageMode, Scorer};

/// The `k` documents that have most to do with `query` by BM25, best first, with their scores.
///
/// Words are stemmed as English, and other scripts transliterated. Documents that share no word with
/// the query are not among them; equal scores keep the order of the documents.
#[must_use]
pub fn rank(query: &str, documents: &[&str], k: usize) -> Vec<(usize, f32)> {
    let tokenizer = DefaultTokenizer::new(LanguageMode::Fixed(Language::English));
    let embedder: Embedder<u32, DefaultTokenizer> =
        EmbedderBuilder::with_tokenizer_and_fit_to_corpus(tokenizer, documents).build();
    let mut scorer = Scorer::<usize, u32>::new();
    for (i, document) in documents.iter().enumerate() {
        scorer.upsert(&i, embedder.embed(document));
    }
    let mut matches: Vec<(usize, f32)> =
        scorer.matches(&embedder.embed(query)).into_iter().map(|m| (m.id, m.score)).collect();
    // The crate's own order of equal scores is that of a hash set: another one in every process.
    matches.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    matches.truncate(k);
    matches
}
