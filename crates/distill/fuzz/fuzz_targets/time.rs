//! Any text as a point in time: refused, or after 1970 and before 10000, written in one form that reads as
//! the same, in the day that its text begins with.
//! `scripts/soak/fuzz 60 distill`.

#![no_main]

use lakehouse_distill::{
    json::Json,
    time::{Day, Instant},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Some(day) = Day::from_folder(text) {
        assert_eq!(day.folder(), text);
    }
    let read = text.parse::<Instant>();
    let quoted = serde_json::to_string(text).expect("a string");
    let as_json = Instant::from_json(&Json::parse(&quoted).expect("a string"));
    assert_eq!(as_json, read);
    // A count means the same with quotes and without; but eight digits in quotes are a date.
    if let Ok(number @ Json::Number(digits)) = Json::parse(text)
        && digits.len() != 8
    {
        assert_eq!(Instant::from_json(&number).ok(), read.as_ref().ok().copied(), "{text}");
    }
    let Ok(instant) = read else { return };
    assert!(instant.timestamp().as_nanosecond() > 0);
    let written = instant.to_string();
    assert_eq!(written.parse(), Ok(instant));
    assert_eq!(serde_json::to_string(&instant).expect("a string"), format!("\"{written}\""));
    let folder = instant.day().folder();
    assert_eq!(folder.replace('/', "-"), written[..10]);
    assert_eq!(Day::from_folder(&folder), Some(instant.day()));
});
