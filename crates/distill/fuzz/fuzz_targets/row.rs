//! Any line of any source: a valid record that reads back as it was written and is scored within its
//! bounds, or a reason; the same for every spelling of the line.
//! `scripts/soak/fuzz 60 distill`.

#![no_main]

use lakehouse_distill::{
    Context,
    evidence::EvidenceRecord,
    json::Json,
    replay::Memory,
    score::{ScoredRun, score},
    sig_hash,
    source::Source,
    transform_line,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((choice, line)) = data.split_first() else { return };
    let Ok(line) = std::str::from_utf8(line) else { return };
    // The digit 0 is the first source, so that seeds can be written by hand.
    let source = Source::ALL[usize::from(choice.wrapping_sub(b'0')) % Source::ALL.len()];
    let context = Context { line_offset: 7, part: 0, recorded_at: None };

    let outcome = transform_line(source, line, &context);
    if let Ok(row) = Json::parse(line) {
        assert_eq!(transform_line(source, &row.to_string(), &context), outcome);
    }
    let record = match outcome {
        Ok(record) => record,
        Err(skip) => {
            assert!(!skip.to_string().is_empty());
            return;
        }
    };
    assert_eq!(record.violations(), None);
    assert_eq!((record.provenance.source_file.as_str(), record.source_name()), (&*source.file(), source.name()));
    let row = Json::parse(line).expect("it became a record");
    let sig: String = sig_hash(&row).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(record.provenance.sig_hash, sig);

    let written = serde_json::to_string(&record).expect("JSON");
    assert!(!written.contains('\n'));
    assert_eq!(EvidenceRecord::from_line(&written).as_ref(), Ok(&record), "{written}");
    // By which the materializer knows it again.
    let read = Json::parse(&written).expect("its own line");
    let known = read.as_object().and_then(|it| it.get("provenance")?.as_object()?.get("sig_hash")?.as_str());
    assert_eq!(known, Some(sig.as_str()));

    let scored = score(&record);
    assert!(!scored.reasons.is_empty());
    assert!((0.0..=1.0).contains(&scored.quality), "{scored:?}");
    assert!(scored.sub_scores.values().all(|sub| (0.0..=1.0).contains(sub)), "{scored:?}");
    let run = ScoredRun::of(&record, "data/evidence/2026/04/21/outcomes.jsonl", 0);
    let written = serde_json::to_string(&run).expect("JSON");
    assert_eq!(serde_json::from_str::<ScoredRun>(&written).expect("its own line"), run);
    if let Some(memory) = Memory::of(&record) {
        assert!(!memory.text.trim().is_empty() && memory.text.chars().count() <= 2_000);
    }
});
