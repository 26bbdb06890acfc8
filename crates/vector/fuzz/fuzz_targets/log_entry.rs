//! Any bytes as a log entry, with a checksum that fits.
#![no_main]

use lakehouse_types::vector::Distance;
use lakehouse_vector::Params;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut sealed = bytes.to_vec();
    sealed.extend_from_slice(&crc32c::crc32c(bytes).to_le_bytes());
    let _ = lakehouse_vector::check_entry(&sealed, &Params::new(2, Distance::Cosine));
});
