//! The statements of mutations, read from the log of PostgreSQL, where `log_statement` is `all`.

/// A statement with its parameters, as text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Statement {
    /// As it was prepared.
    pub text: String,
    /// `$1` and so on.
    pub values: Vec<Option<String>>,
}

/// Reads the statements of a part of the log.
///
/// # Errors
/// If parameters cannot be read.
pub fn read(log: &str) -> Result<Vec<Statement>, String> {
    let mut statements: Vec<Statement> = Vec::new();
    for entry in entries(log) {
        if let Some((_, message)) = entry.split_once(" LOG:  ") {
            let text = match message.split_once(": ") {
                Some(("statement", text)) => text,
                Some((named, text)) if named.starts_with("execute ") => text,
                _ => continue,
            };
            statements.push(Statement { text: text.to_owned(), values: Vec::new() });
        } else if let Some((_, detail)) = entry.split_once(" DETAIL:  ")
            && let Some((_, parameters)) = detail.split_once("arameters: ")
            && let Some(last) = statements.last_mut()
        {
            last.values = values(parameters)?;
        }
    }
    Ok(statements)
}

/// Joins the lines of each entry: further ones begin with a tab.
fn entries(log: &str) -> Vec<String> {
    let mut entries: Vec<String> = Vec::new();
    for line in log.lines() {
        match (line.strip_prefix('\t'), entries.last_mut()) {
            (Some(further), Some(entry)) => {
                entry.push('\n');
                entry.push_str(further);
            }
            _ => entries.push(line.to_owned()),
        }
    }
    entries
}

/// Reads `$1 = 'it''s', $2 = NULL`.
fn values(text: &str) -> Result<Vec<Option<String>>, String> {
    let (mut values, mut rest) = (Vec::new(), text);
    while !rest.is_empty() {
        let (_, after) = rest.split_once(" = ").ok_or_else(|| format!("no parameters: {text}"))?;
        if let Some(after) = after.strip_prefix("NULL") {
            values.push(None);
            rest = after;
        } else {
            let (value, after) = quoted(after).ok_or_else(|| format!("no parameters: {text}"))?;
            values.push(Some(value));
            rest = after;
        }
    }
    Ok(values)
}

/// Reads a quoted value, in which quotes are doubled, and gives what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let (mut value, mut rest) = (String::new(), text.strip_prefix('\'')?);
    loop {
        let (part, after) = rest.split_once('\'')?;
        value.push_str(part);
        let Some(after_both) = after.strip_prefix('\'') else { return Some((value, after)) };
        value.push('\'');
        rest = after_both;
    }
}

/// Leaves the statements that are in every recording, and so of what was recorded; the server's own now and then, its polls
/// say, are in some.
///
/// # Errors
/// If what is left is not the same in all.
pub fn common(recordings: &mut [Vec<Statement>]) -> Result<(), String> {
    let texts: Vec<Vec<String>> =
        recordings.iter().map(|one| one.iter().map(|statement| statement.text.clone()).collect()).collect();
    for recording in &mut *recordings {
        recording.retain(|statement| texts.iter().all(|texts| texts.contains(&statement.text)));
    }
    let same = |one: &[Statement], other: &[Statement]| {
        one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.text == other.text)
    };
    if recordings.windows(2).all(|pair| same(&pair[0], &pair[1])) {
        return Ok(());
    }
    Err("the statements of a mutation are not the same each time".to_owned())
}
