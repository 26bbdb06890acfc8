//! Any text as a vector in base64, and any bytes as a vector: one spelling for each, bit for bit.
//! `scripts/soak/fuzz 60 embed`.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../src/base64.rs"]
mod vector;

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data)
        && let Some(numbers) = vector::decode(text)
    {
        assert_eq!(vector::encode(&numbers), text);
    }
    let numbers: Vec<f32> = data.as_chunks::<4>().0.iter().copied().map(f32::from_le_bytes).collect();
    let back = vector::decode(&vector::encode(&numbers)).expect("its own text");
    let bits = |numbers: &[f32]| numbers.iter().map(|number| number.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&back), bits(&numbers));
});
