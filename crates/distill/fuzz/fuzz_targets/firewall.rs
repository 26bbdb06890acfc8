//! Any scored run beside any evidence, as anyone may have edited them: nothing becomes a training row but
//! what was stored as accepted, is so by its evidence, and is of one source row.
//!
//! The first byte says whether partially accepted runs are asked for; the record stands on the first line,
//! the scored run on the second.
//! `scripts/soak/fuzz 60 distill`.

#![no_main]

use lakehouse_distill::{
    evidence::{EvidenceRecord, Role},
    score::{Category, ScoredRun, score},
    sft::{Quarantined, SftRow, examine},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Some((choice, lines)) = text.split_at_checked(1) else { return };
    let Some((record, run)) = lines.split_once('\n') else { return };
    let Ok(record) = EvidenceRecord::from_line(record) else { return };
    let Ok(run) = serde_json::from_str::<ScoredRun>(run) else { return };
    let include_partial = choice == "1";
    let row = match examine(&run, &record, include_partial) {
        Ok(row) => row,
        Err(stop) => {
            let quarantined = Quarantined::of(&run, &stop);
            let written = serde_json::to_string(&quarantined).expect("JSON");
            assert_eq!(serde_json::from_str::<Quarantined>(&written).expect("its own line"), quarantined);
            return;
        }
    };
    let may_pass = |it| it == Category::Accepted || (include_partial && it == Category::PartiallyAccepted);
    assert!(may_pass(run.category) && may_pass(score(&record).category), "{run:?} {record:?}");
    assert_eq!((row.category, score(&record).category), (run.category, run.category));
    assert_eq!(run.provenance.sig_hash, record.provenance.sig_hash);
    assert_eq!(run.run_id, record.run_id);
    assert!(!matches!(record.model_role, Some(Role::Extractor | Role::Embedder)));
    assert!(record.text.is_some_and(|text| text.trim() == row.output && !row.output.is_empty()));
    assert!(!row.instruction.trim().is_empty());
    let written = serde_json::to_string(&row).expect("JSON");
    let again: SftRow = serde_json::from_str(&written).expect("its own line");
    assert_eq!(again.content_hash(), row.content_hash());
});
