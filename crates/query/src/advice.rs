//! DuckDB's messages without what nobody can do here: to change a setting or to load an extension is
//! refused by the gate, so advice to do so helps nobody.

/// Commands that DuckDB advises; each stands before the name of a setting or an extension.
const COMMANDS: [&str; 4] = ["SET ", "PRAGMA ", "INSTALL ", "LOAD "];

/// How a whole list of advice begins.
const LISTS: [&str; 2] = ["Possible solutions:", "Please try installing and loading"];

/// The message without sentences that advise such a command. What is quoted of the caller's own
/// statement (`LINE 1: ..`) stays as it is.
pub(crate) fn without(message: &str) -> String {
    let (said, quoted) = message.split_at(message.find("\nLINE ").unwrap_or(message.len()));
    let said = LISTS.iter().filter_map(|list| said.find(list)).min().map_or(said, |at| &said[..at]);
    let mut kept: String = said.lines().filter_map(sentences).collect::<Vec<_>>().join("\n");
    kept.truncate(kept.trim_end().len());
    if kept.is_empty() {
        "the statement can't run here".clone_into(&mut kept);
    }
    if !quoted.is_empty() {
        kept.push('\n');
        kept.push_str(quoted);
    }
    kept
}

/// What is left of a line; `None` where all of it was advice.
fn sentences(line: &str) -> Option<String> {
    let kept: String = line.split_inclusive(". ").filter(|sentence| !is_advice(sentence)).collect();
    (line.is_empty() || !kept.is_empty()).then(|| kept.trim_end().to_owned())
}

fn is_advice(sentence: &str) -> bool {
    COMMANDS.iter().any(|command| {
        sentence.match_indices(command).any(|(at, _)| {
            let before = sentence[..at].chars().next_back();
            let after = &sentence[at + command.len()..];
            let rest = after.trim_start_matches(|c: char| c.is_ascii_lowercase() || c == '_');
            let named = rest.len() < after.len();
            // SET is a word of other statements too; a setting has a value.
            let valued = rest.trim_start().starts_with('=') || rest.starts_with(" TO ");
            !before.is_some_and(char::is_alphanumeric) && named && (*command != "SET " || valued)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::without;

    #[test]
    fn advice_is_left_out_and_the_rest_stays() {
        for (message, left) in [
            (
                "Parser Error: Max expression depth limit of 1000 exceeded. Use \"SET max_expression_depth TO x\" to increase the maximum expression depth.",
                "Parser Error: Max expression depth limit of 1000 exceeded.",
            ),
            (
                "Out of Memory Error: no room (1/2 used)\n\nPossible solutions:\n* Reducing the number of threads (SET threads=X)\n* x",
                "Out of Memory Error: no room (1/2 used)",
            ),
            (
                "Catalog Error: \"st_point\" exists in the spatial extension.\n\nPlease try installing and loading the spatial extension:\nINSTALL spatial;\nLOAD spatial;\n\n",
                "Catalog Error: \"st_point\" exists in the spatial extension.",
            ),
            (
                "Binder Error: no column \"x\"\n\nLINE 1: SELECT 'SET threads=1' FROM t\n        ^",
                "Binder Error: no column \"x\"\n\nLINE 1: SELECT 'SET threads=1' FROM t\n        ^",
            ),
            ("Conversion Error: OFFSET of RESET and SET 1", "Conversion Error: OFFSET of RESET and SET 1"),
            ("Use SET a=1", "the statement can't run here"),
        ] {
            assert_eq!(without(message), left);
        }
    }
}
