use super::*;

fn cited(text: &str) -> Vec<String> {
    cited_paths(text).into_iter().collect()
}

#[test]
fn paths_are_found_in_every_dress() {
    let text = "In ./src/main.rs:12:5, `docs/a-b.md` and \"x/y_z.tar.gz\"; [bins/g/src/lib.rs#L3], tests/é/ü.py.\nSource: /etc/hosts.conf!";
    assert_eq!(
        cited(text),
        ["/etc/hosts.conf", "bins/g/src/lib.rs", "docs/a-b.md", "src/main.rs", "tests/é/ü.py", "x/y_z.tar.gz"]
    );
}

#[test]
fn other_things_with_slashes_are_no_files() {
    let text = "either/or, 1.0/2.0, and/or. https://example.org/a/b.html text/event-stream TCP/IP /usr/bin 10/04/2026 a/.b n/a";
    assert_eq!(cited(text), Vec::<String>::new());
}

#[test]
fn a_path_is_known_as_a_whole_or_as_the_end_of_a_longer_one() {
    let none = |_: &str| false;
    let known = |text: &str, path: &str| Known { texts: &[text], exists: &none }.has(path);
    assert!(known("see crates/a/src/lib.rs", "src/lib.rs"));
    assert!(known("see src/lib.rs.", "src/lib.rs"));
    assert!(!known("see xsrc/lib.rs", "src/lib.rs"));
    assert!(!known("see src/lib.rsx", "src/lib.rs"));
    assert!(!known("nothing", "src/lib.rs"));
    assert!(Known { texts: &[], exists: &|path| path == "a/b.c" }.has("a/b.c"));
}
