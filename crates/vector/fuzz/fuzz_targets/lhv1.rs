//! Any bytes as an index file: as they are, and with a checksum that fits, so that the fuzzer gets past it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = lakehouse_vector::check_frame(bytes);
    let mut sealed = bytes.to_vec();
    sealed.extend_from_slice(&crc32c::crc32c(bytes).to_le_bytes());
    let _ = lakehouse_vector::check_frame(&sealed);
});
