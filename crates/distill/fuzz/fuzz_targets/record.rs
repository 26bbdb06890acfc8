//! Any line as a record of another runtime: a valid one reads back as it was written.
//! `scripts/soak/fuzz 60 distill`.

#![no_main]

use lakehouse_distill::evidence::EvidenceRecord;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|line: &str| {
    let Ok(record) = EvidenceRecord::from_line(line) else { return };
    assert_eq!(record.violations(), None);
    let written = serde_json::to_string(&record).expect("JSON");
    assert_eq!(EvidenceRecord::from_line(&written).as_ref(), Ok(&record), "{written}");
});
