//! Converts a CSV file: `convert INPUT OUTPUT [THREADS]`. For measurements without the services.

use std::{fs::File, num::NonZero, time::Instant};

use lakehouse_ingest::{Cancel, Limits, Options, convert};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(input), Some(output)) = (arguments.next(), arguments.next()) else {
        return Err("usage: convert INPUT OUTPUT [THREADS]".into());
    };
    let threads = arguments.next().map_or(Ok(2), |text| text.parse())?;
    let threads = NonZero::new(threads).ok_or("THREADS must not be 0")?;
    let file = File::open(&input)?;
    let megabytes = file.metadata()?.len() as f64 / 1e6;
    let started = Instant::now();
    let converted = convert(
        file,
        &File::create(output)?,
        "",
        &Options::default(),
        &Limits::with_threads(threads),
        &Cancel::new(false),
    )?;
    let took = started.elapsed().as_secs_f64();
    println!(
        "{took:.3} s, {:.1} MB/s, {} rows, {:.1} MB of Parquet",
        megabytes / took,
        converted.rows,
        converted.size as f64 / 1e6
    );
    for column in converted.columns {
        println!("{} {}", column.name, column.sql_type);
    }
    Ok(())
}
