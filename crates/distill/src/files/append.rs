use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
};

use super::{At, Error, create_dir};

/// Appends one line to a file that others append to at the same time, durably.
///
/// The line goes out in one `write` on a descriptor opened with `O_APPEND`, so lines interleave and
/// bytes never do. Programs that also take the file's advisory lock, as this one does, repair each
/// other's crashes: a line that somebody left half-written is ended before the new one begins.
///
/// # Errors
/// If the file can't be made, locked, written or synced. A line that the disk had no room for is
/// taken back.
pub fn append_line(path: &Path, line: &str) -> Result<(), Error> {
    if let Some(parent) = path.parent() {
        create_dir(parent)?;
    }
    let is_new = !path.exists();
    let mut file = File::options().create(true).read(true).append(true).open(path).at("open", path)?;
    file.lock().at("lock", path)?;
    let length = file.metadata().at("look at", path)?.len();
    let mut bytes = Vec::with_capacity(line.len() + 2);
    if length > 0 && last_byte(&mut file).at("read", path)? != b'\n' {
        bytes.push(b'\n');
    }
    // A line of JSON has no new line in it; one that did would be two lines for every reader.
    bytes.extend(line.bytes().map(|byte| if byte == b'\n' { b' ' } else { byte }));
    bytes.push(b'\n');
    let written = loop {
        match file.write(&bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => break result.at("append to", path)?,
        }
    };
    if written < bytes.len() {
        take_back(&file, length, written).at("take back a half-written line of", path)?;
        return Err(io::Error::from(io::ErrorKind::WriteZero)).at("append to", path);
    }
    file.sync_all().at("sync", path)?;
    if is_new && let Some(parent) = path.parent() {
        super::sync_dir(parent)?;
    }
    Ok(())
}

/// Removes the `written` bytes behind `length`, unless somebody who doesn't take the lock has written
/// behind them: then the half line stays, and the next append ends it.
fn take_back(file: &File, length: u64, written: usize) -> io::Result<()> {
    if file.metadata()?.len() == length + written as u64 { file.set_len(length) } else { Ok(()) }
}

fn last_byte(file: &mut File) -> io::Result<u8> {
    let mut byte = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut byte)?;
    Ok(byte[0])
}
