use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Result<String, String> {
    let json = Json::parse(text).unwrap();
    Instant::from_json(&json).map(|instant| instant.to_string()).map_err(|e| e.to_string())
}

#[test]
fn every_spelling_of_a_time_becomes_utc() {
    for (spelling, utc) in [
        (r#""2026-04-21T09:15:00Z""#, "2026-04-21T09:15:00Z"),
        (r#"" 2026-04-21t09:15:00.120z ""#, "2026-04-21T09:15:00.12Z"),
        (r#""2026-04-21T09:15:00+02:00""#, "2026-04-21T07:15:00Z"),
        (r#""2026-04-20T23:30:00-0930""#, "2026-04-21T09:00:00Z"),
        (r#""2026-04-21 09:15:00+02""#, "2026-04-21T07:15:00Z"),
        (r#""2026-04-21T09:15:00+02:00[Europe/Berlin]""#, "2026-04-21T07:15:00Z"),
        (r#""2026-04-21 09:15:00""#, "2026-04-21T09:15:00Z"),
        (r#""2026-04-21T09:15:00.123456789""#, "2026-04-21T09:15:00.123456789Z"),
        (r#""2026-04-21""#, "2026-04-21T00:00:00Z"),
        (r#""Tue, 21 Apr 2026 09:15:00 +0200""#, "2026-04-21T07:15:00Z"),
        // Zones are honoured, by the rules that this program carries itself.
        (r#""2026-04-20T10:00:00[Europe/Zurich]""#, "2026-04-20T08:00:00Z"),
        (r#""2026-01-20T10:00:00[europe/zurich]""#, "2026-01-20T09:00:00Z"),
        (r#""2026-04-20 10:00[America/New_York]""#, "2026-04-20T14:00:00Z"),
        (r#""2026-04-20T10:00:00[!Asia/Kathmandu][u-ca=iso8601]""#, "2026-04-20T04:15:00Z"),
        (r#""2026-04-20T10:00:00[+02:00]""#, "2026-04-20T08:00:00Z"),
        (r#""2026-04-20T10:00:00+02:00[+02:00]""#, "2026-04-20T08:00:00Z"),
        (r#""2026-04-20T10:00:00Z[Europe/Zurich]""#, "2026-04-20T10:00:00Z"),
        (r#""2026-04-20T10:00:00[UTC]""#, "2026-04-20T10:00:00Z"),
        (r#""2026-04-20T10:00:00[u-ca=iso8601]""#, "2026-04-20T10:00:00Z"),
        (r#""2026-10-25T02:30:00+01:00[Europe/Zurich]""#, "2026-10-25T01:30:00Z"),
        (r#""Mon, 20 Apr 2026 10:00:00 EST""#, "2026-04-20T15:00:00Z"),
        (r#""Mon, 20 Apr 2026 10:00:00 edt""#, "2026-04-20T14:00:00Z"),
        (r#""Mon, 20 Apr 2026 10:00:00 PDT""#, "2026-04-20T17:00:00Z"),
        (r#""20 Apr 2026 10:00 PST (Pacific)""#, "2026-04-20T18:00:00Z"),
        (r#""Mon, 20 Apr 2026 10:00:00 UT""#, "2026-04-20T10:00:00Z"),
        (r#""Mon, 20 Apr 2026 10:00:00 GMT""#, "2026-04-20T10:00:00Z"),
        (r#""Mon, 20 Apr 2026 10:00:00 UTC""#, "2026-04-20T10:00:00Z"),
        (r#""Mon, 20 Apr 2026 10:00:00 Z""#, "2026-04-20T10:00:00Z"),
        (r#""Mon, 20 Apr 2026 10:00:00 +0200 (CEST)""#, "2026-04-20T08:00:00Z"),
        (r#""Mon, 20 Apr 2026 10:00:00 -0000""#, "2026-04-20T10:00:00Z"),
        ("1776762900", "2026-04-21T09:15:00Z"),
        ("1776762900.25", "2026-04-21T09:15:00.25Z"),
        ("1776762900000", "2026-04-21T09:15:00Z"),
        ("1776762900123456", "2026-04-21T09:15:00.123456Z"),
        ("1776762900123456789", "2026-04-21T09:15:00.123456789Z"),
        ("1.7767629e9", "2026-04-21T09:15:00Z"),
        (r#""1776762900""#, "2026-04-21T09:15:00Z"),
    ] {
        assert_eq!(read(spelling).as_deref(), Ok(utc), "{spelling}");
    }
}

#[test]
fn what_is_no_time_is_refused() {
    for text in [
        r#""""#,
        r#""yesterday""#,
        r#""2026-13-01T00:00:00Z""#,
        r#""2026-04-21T25:00:00Z""#,
        r#""09:15""#,
        "0",
        "-5",
        "1e400",
        "1e25",
        "true",
        "null",
        "{}",
        "[1]",
        r#""1970-01-01T00:00:00Z""#,
        r#""1969-12-31T23:59:59Z""#,
        r#""+010000-01-01T00:00:00Z""#,
    ] {
        assert!(read(text).is_err(), "{text}: {:?}", read(text));
    }
    // What is shown of it stays short.
    assert!(read(&format!("\"{}\"", "x".repeat(10_000))).unwrap_err().len() < 120);
}

#[test]
fn a_zone_that_can_t_be_honoured_is_never_read_as_utc() {
    for (text, why) in [
        ("2026-04-20T10:00:00+03:00[Europe/Zurich]", "offset"),
        ("2026-04-20T10:00:00+03:00[+02:00]", "offset"),
        ("2026-04-20T10:00:00[Mars/Olympus]", "Mars/Olympus"),
        ("2026-04-20T10:00:00[CEST]", "CEST"),
        ("2026-04-20T10:00:00[]", ""),
        ("2026-04-20T10:00:00[Europe/Zurich", ""),
        // Twice, and never: an hour to either side would be a guess.
        ("2026-10-25T02:30:00[Europe/Zurich]", "twice"),
        ("2026-03-29T02:30:00[Europe/Zurich]", "never"),
        ("Mon, 20 Apr 2026 10:00:00 CEST", "CEST"),
        ("Mon, 20 Apr 2026 10:00:00 JST", "JST"),
        ("Mon, 20 Apr 2026 10:00:00 A", "zone A"),
        ("Mon, 20 Apr 2026 10:00:00 m", "zone m"),
        ("Mon, 20 Apr 2026 10:00:00 CEST (+0200)", "CEST"),
        ("Mon, 20 Apr 2026 10:00:00", ""),
        ("2026-04-20 10:00:00 CEST", ""),
        ("2026-04-20 10:00:00 Europe/Zurich", ""),
        ("2026-04-20T10:00:00A", ""),
    ] {
        let refused = read(&format!("\"{text}\"")).unwrap_err();
        assert!(refused.contains(why) && refused.contains(text), "{text}: {refused}");
    }
}

#[test]
fn days_and_folders_are_one_to_one() {
    let day = "2026-04-21T23:59:59.999999999Z".parse::<Instant>().unwrap().day();
    assert_eq!(day.folder(), "2026/04/21");
    assert_eq!(Day::from_folder("2026/04/21"), Some(day));
    for folder in ["2026/4/21", "2026-04-21", "2026/02/30", "", ".staging"] {
        assert_eq!(Day::from_folder(folder), None, "{folder}");
    }
}

proptest! {
    #[test]
    fn the_day_is_the_same_in_every_zone(seconds in 1_i64..4_000_000_000, hours in -12_i64..=14) {
        let utc = Instant::from_timestamp(Timestamp::from_second(seconds).unwrap()).unwrap();
        let local = Timestamp::from_second(seconds + hours * 3600).unwrap();
        let sign = if hours < 0 { '-' } else { '+' };
        let spelled = format!("{}{sign}{:02}:00", local.to_string().trim_end_matches('Z'), hours.abs());
        prop_assume!(seconds + hours * 3600 > 0);
        let read: Instant = spelled.parse().unwrap();
        prop_assert_eq!(read, utc);
        prop_assert_eq!(read.day().folder(), utc.to_string()[..10].replace('-', "/"));
    }

    #[test]
    fn no_text_makes_it_panic(text in "[0-9TZ:.+\\-eE ]{0,30}") {
        let _ = text.parse::<Instant>();
    }
}
